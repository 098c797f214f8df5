"""A real MLflow server, and before it a proxy that does to its answers what a network does."""

import contextlib
import http.client
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from testing import preloaded

LONGEST = 120
"""Seconds that a server may take to start."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Server:
    """`mlflow server` with its store in a folder; killed and started again on the same port."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True)
        self.folder, self.port = folder, free_port()
        self.store, self.files = f"sqlite:///{folder}/mlflow.db", folder / "files"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [preloaded.python(), "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", self.store]
        command += ["--artifacts-destination", str(self.files)]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **quiet},
                stdout=log,
                stderr=log,
                process_group=0,
            )
        until = time.monotonic() + LONGEST
        while not self._answers():
            assert time.monotonic() < until, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        return False

    def kill(self) -> None:
        """With its workers, of which it has one."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


class Proxy(ThreadingHTTPServer):
    """Passes requests on; from the one after `sound` on, as its `fault` says.

    `dead` kills the server; `500` answers so; `silent` never answers; `late` takes two seconds;
    `lost` passes each kind of request on once without giving the answer back; `slow` takes what is
    uploaded at 300 kB a second; `403` refuses uploads.
    """

    daemon_threads = True

    def __init__(self, server: Server):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server, self.fault, self.sound = server, "", 0
        self.requests = 0
        self.struck = 0
        self._met: set[str] = set()
        self._lock = threading.Lock()
        self.ended = threading.Event()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def set(self, fault: str, sound: int = 0) -> None:
        self.fault, self.sound, self.requests, self.struck = fault, sound, 0, 0
        self._met = set()

    def next(self, kind: str) -> str:
        """What to do with this request."""
        with self._lock:
            self.requests += 1
            if not self.fault or self.requests <= self.sound:
                return ""
            if self.fault == "lost" and kind in self._met:
                return ""
            if self.fault == "403" and not kind.startswith("PUT "):
                return ""
            self._met.add(kind)
            self.struck += 1
            return self.fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_one_request(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            super().handle_one_request()

    def _pass_on(self) -> None:
        self.close_connection = True
        fault = self.server.next(f"{self.command} {self.path}")
        body = self._body(slow=fault == "slow")
        if fault == "silent":
            self.server.ended.wait()
            return
        if fault == "dead":
            self.server.server.kill()
        elif fault == "500":
            self._answer(500, [], b"<h1>Internal Server Error</h1>")
            return
        elif fault == "403":
            self._answer(403, [], b"<h1>Forbidden</h1>")
            return
        elif fault == "late":
            time.sleep(2)
        status, headers, content = self._asked(body)
        if fault != "lost":
            self._answer(status, headers, content)

    def _body(self, slow: bool) -> bytes:
        left, found = int(self.headers.get("Content-Length", 0)), b""
        while left > 0 and (block := self.rfile.read(min(left, 10_000))):
            found, left = found + block, left - len(block)
            if slow:
                time.sleep(len(block) / 300_000)
        return found

    def _asked(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server.port, timeout=60)
        own = ("host", "connection")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in own}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() == "content-type":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, *_: object) -> None:
        return


@contextlib.contextmanager
def before(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server)
    threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.ended.set()
        proxy.shutdown()
        proxy.server_close()
