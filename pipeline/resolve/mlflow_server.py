"""MLflow's REST API, asked without MLflow."""

import base64
import contextlib
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipeline import provenance
from pipeline.errors import PipelineError
from pipeline.provenance.addresses import without_login
from pipeline.resolve.logged import KEY, MD5, Logged
from pipeline.untrusted import documents, limits

REFUSED = {
    "401": "it asks for a login (401), and got none or a wrong one; set MLFLOW_TRACKING_USERNAME "
    "and MLFLOW_TRACKING_PASSWORD",
    "403": "this login may not do that (403); ask who keeps the server for the permission",
}
"""By HTTP status, what the answer means to who has to do with it."""
SECONDS = 5
"""Until a server that does not answer is given up."""


class Server:
    """MLflow's REST API; every question is a request, so only who names a run asks one."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self.shown = without_login(self.uri)

    def get(self, path: str, **query: str) -> bytes | None:
        """Returns the body of an answer; None when there is no such thing. Raises PipelineError."""
        parts = urllib.parse.urlsplit(self.uri)
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        address = f"{place}/{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(address, headers=_login(parts))
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                body: bytes = answer.read(limits.STATEMENT + 1)
                if len(body) > limits.STATEMENT:
                    raise PipelineError(
                        f"MLflow at {self.shown}: answered more than {limits.STATEMENT} bytes"
                    )
                return body
        except urllib.error.HTTPError as fault:
            if fault.code in (400, 404):
                return None
            reason = REFUSED.get(str(fault.code), f"answered {fault.code}")
            raise PipelineError(f"MLflow at {self.shown}: {reason}") from None
        except OSError as fault:
            cause = getattr(fault, "reason", fault)
            raise PipelineError(
                f"MLflow at {self.shown}: not reachable ({cause}); start the server, correct "
                "tracking.uri in params.yaml, or give a directory or a sha256 instead"
            ) from None

    def get_json(self, path: str, **query: str) -> dict[str, Any] | None:
        body = self.get(f"api/2.0/mlflow/{path}", **query)
        try:
            answer: dict[str, Any] | None = documents.parse_json(body) if body else None
        except ValueError:
            raise PipelineError(f"MLflow at {self.shown}: is no MLflow server") from None
        return answer

    def run(self, run: str) -> Logged | None:
        answer = self.get_json("runs/get", run_id=run)
        if answer is None:
            return None
        tags = {t["key"]: t["value"] for t in answer["run"]["data"].get("tags", [])}
        models = answer["run"].get("outputs", {}).get("model_outputs", [])
        logged = next((m for each in models if (m := self.model(each["model_id"]))), Logged())
        return replace(logged, run=run, digest=tags.get(KEY), md5=tags.get(MD5))

    def model(self, model: str) -> Logged | None:
        answer = self.get_json(f"logged-models/{model}")
        if answer is None:
            return None
        info = answer["model"]["info"]
        tags = {t["key"]: t["value"] for t in info.get("tags", [])}
        return Logged(
            run=info.get("source_run_id"),
            name=info.get("name"),
            digest=tags.get(KEY),
            statements=tuple(self._statements(model)),
        )

    def _statements(self, model: str) -> Iterator[bytes]:
        """Yields the logged model's own statement, and those that it lists below lineage/."""
        where = f"ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files"
        first = self.get(where, artifact_file_path=provenance.NAME)
        if first is None:
            return
        yield first
        with contextlib.suppress(ValueError, KeyError, TypeError):
            names = [str(each["name"]) for each in documents.parse_json(first)["subject"]]
            left = limits.LINEAGE
            for name in [n for n in names if n.startswith("lineage/")][: limits.STATEMENTS]:
                content = self.get(where, artifact_file_path=name) or b""
                left -= len(content)
                if left < 0:
                    return
                yield content

    def version(self, name: str, version: str) -> tuple[str, str | None] | None:
        if version.startswith("@"):
            answer = self.get_json("registered-models/alias", name=name, alias=version[1:])
        else:
            answer = self.get_json("model-versions/get", name=name, version=version)
        entry = (answer or {}).get("model_version")
        return (entry["source"], entry.get("run_id")) if entry else None


def _login(parts: urllib.parse.SplitResult) -> dict[str, str]:
    """Returns the login that the address has, or that of the variables which MLflow itself
    reads."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user = parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user is None:
        return {}
    word = parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(word)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
