"""A headless Chromium, driven over its own pipe by what its DevTools understand: a person's mouse,
and what stands on the page."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--window-size=940,900", "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe"),
)
PATIENCE = 90
"""Seconds, of a busy machine."""


class Page:
    """The page that is open."""

    def __init__(self, sent: int, received: int):
        self._sent, self._received = sent, os.fdopen(received, "rb")
        self._number, self._rest, self._session = 0, b"", ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Returns the answer to a command."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        command |= {"sessionId": self._session} if self._session else {}
        os.write(self._sent, json.dumps(command).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, said
                answer: dict[str, Any] = said["result"]
                return answer

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._received.fileno(), 1 << 16)
            assert part, "Chromium has ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        said: dict[str, Any] = json.loads(line)
        return said

    def value(self, expression: str) -> Any:
        """Returns what JavaScript gives, once it is there."""
        wanted = {"returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", expression=expression, **wanted)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Waits until JavaScript says yes."""
        end = time.monotonic() + PATIENCE
        while not self.value(expression):
            assert time.monotonic() < end, f"{expression}: {self.value('document.body.innerText')}"
            time.sleep(0.1)

    def mouse(self, kind: str, x: float, y: float) -> None:
        pressed = {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def drag(self, selector: str, *points: tuple[float, float]) -> None:
        """Draws a line through points within an element."""
        left, top = self._corner(selector)
        for number, (x, y) in enumerate(points):
            self.mouse("mouseMoved" if number else "mousePressed", left + x, top + y)
        self.mouse("mouseReleased", left + points[-1][0], top + points[-1][1])

    def click(self, selector: str) -> None:
        self.drag(selector, (8, 8))

    def _corner(self, selector: str) -> tuple[float, float]:
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        left, top = self.value(f"(({{left, top}}) => [left, top])({box})")
        return left, top

    def picture(self, path: Path) -> None:
        """Writes what it looks like."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def opened(program: str, url: str, profile: Path) -> Iterator[Page]:
    """Yields the page of a browser that reaches nothing but the disk."""
    inward, outward = os.pipe(), os.pipe()

    def as_three_and_four() -> None:
        one, other = os.dup(inward[0]), os.dup(outward[1])
        os.dup2(one, 3)
        os.dup2(other, 4)

    process = subprocess.Popen(
        [program, *SWITCHES, f"--user-data-dir={profile}"],
        preexec_fn=as_three_and_four,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(inward[0])
    os.close(outward[1])
    try:
        page = Page(inward[1], outward[0])
        page.call("Page.enable")
        page.call("Page.navigate", url=url)
        yield page
    finally:
        process.kill()
        process.wait()
        os.close(inward[1])
