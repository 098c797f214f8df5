"""Whoever signs a directory signs every file of it; whoever checks it parses none."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import provenance, sign, verify_signature
from pipeline.errors import CannotRun, VerificationFailed
from pipeline.sandbox import launcher, processes
from pipeline.untrusted import signatures
from pipeline.verify import verify
from testing.linear import Linear, make, params
from testing.project import ROOT


@dataclass(frozen=True)
class Keys:
    root: Path

    def private(self, name: str) -> Path:
        return self.root / f"{name}.pem"

    def public(self, name: str) -> Path:
        return self.root / f"{name}.pub"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """As the README makes them, and one of a kind that does not do."""
    found = Keys(tmp_path_factory.mktemp("keys"))
    for name, kind in {"mine": "P-256", "other": "P-384", "edwards": None}.items():
        how = ("-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{kind}")
        how = how if kind else ("-algorithm", "ed25519")
        private, public = str(found.private(name)), str(found.public(name))
        subprocess.run(["openssl", "genpkey", *how, "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return found


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Linear:
    found = make(tmp_path_factory.mktemp("signed"))
    assert sign.main([str(found.complete_model), "--key", str(keys.private("mine"))]) == 0
    return found


@pytest.fixture
def linear(signed: Linear, tmp_path: Path, preloaded_python: None) -> Linear:
    """A copy to spoil."""
    return Linear(Path(shutil.copytree(signed.root, tmp_path / "linear")))


def check(linear: Linear, keys: Keys, *names: str) -> int:
    trusted = (f"--trusted-key={keys.public(name)}" for name in names or ("mine",))
    return verify_signature.main([str(linear.complete_model), *trusted])


@pytest.mark.parametrize("name", ["mine", "other"])
def test_a_signature_by_either_curve_is_verified_where_the_directory_was_moved_to(
    linear: Linear, keys: Keys, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign.main([str(linear.complete_model), "--key", str(keys.private(name))]) == 0
    digest = capsys.readouterr().out.split()[-1]
    linear.complete_model.rename(linear.root / "elsewhere")
    arguments = [str(linear.root / "elsewhere"), f"--signature={linear.complete_model}.sig"]
    arguments += [f"--trusted-key={keys.public(each)}" for each in ("mine", "other")]
    assert verify_signature.main(arguments) == 0
    assert f"every file is as the key {digest} signed it" in capsys.readouterr().out


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


FORGED = "is not by the key it names, or changed after it was made"


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda d: append(d / "model.onnx"), "/model.onnx: changed since it was signed; "),
        (lambda d: (d / "metrics.json").unlink(), "/metrics.json: missing, but signed; "),
        (lambda d: (d / ".gitignore").write_text("x"), "/.gitignore: not signed; "),
        (lambda d: (d / "x").symlink_to(d / "README.md"), "x: is a link, a pipe or a device"),
        (lambda d: os.mkfifo(d / "x"), "x: is a link, a pipe or a device"),
        (lambda d: signatures.beside(d).unlink(), ".sig: missing, but a signature by a trusted"),
        (lambda d: signatures.beside(d).write_text("{}"), ".sig: is no signature made with a key"),
        (lambda d: forge(d, "payload"), FORGED),
        (lambda d: forge(d, "signatures"), FORGED),
    ],
)
def test_whatever_differs_is_named_in_one_line(
    linear: Linear,
    keys: Keys,
    spoil: Callable[[Path], None],
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(linear.complete_model)
    assert check(linear, keys) == 1
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1


def forge(directory: Path, part: str) -> None:
    """The statement says what lies there now, or another signature stands under it."""
    path = signatures.beside(directory)
    bundle = json.loads(path.read_text())
    envelope = bundle["dsseEnvelope"]
    if part == "payload":
        append(directory / "README.md")
        statement = json.loads(base64.b64decode(envelope["payload"]))
        for each in statement["predicate"]["resources"]:
            each["digest"] = provenance.digest(directory / each["name"])
        envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    else:
        envelope["signatures"][0]["sig"] = base64.b64encode(b"0" * 70).decode()
    path.write_text(json.dumps(bundle))


def test_an_old_signature_does_not_hold_for_a_newer_model(
    linear: Linear, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    (linear.complete_model / "README.md").write_text("Another model.\n")
    linear.seal()
    assert provenance.faults(linear.complete_model) == []
    assert check(linear, keys) == 1
    assert "README.md: changed since it was signed (and 1 more)" in capsys.readouterr().err


def test_another_s_signature_is_refused_with_the_key_s_digest(
    linear: Linear, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    sign.main([str(linear.complete_model), "--key", str(keys.private("other"))])
    digest = capsys.readouterr().out.split()[-1]
    assert check(linear, keys) == 1
    assert f"is by the key {digest}, expected a trusted one: " in capsys.readouterr().err


def test_a_signature_that_claims_a_trusted_key_is_not_by_it(linear: Linear, keys: Keys) -> None:
    path = signatures.beside(linear.complete_model)
    named = json.loads(path.read_text())["verificationMaterial"]
    sign.main([str(linear.complete_model), "--key", str(keys.private("other"))])
    path.write_text(json.dumps({**json.loads(path.read_text()), "verificationMaterial": named}))
    with pytest.raises(VerificationFailed, match=FORGED):
        signatures.demand(linear.complete_model, [keys.public("mine")])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "edwards.pem",
            "found Ed25519PrivateKey, expected a private key in PEM, on the curve P-256",
        ),
        ("mine.pub", "expected a private key in PEM, on the curve P-256 or P-384"),
        ("nowhere.pem", "nowhere.pem: No such file or directory; expected a private key"),
    ],
)
def test_a_key_that_does_not_do_is_told_in_one_line(
    linear: Linear, keys: Keys, name: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign.main([str(linear.complete_model), "--key", str(keys.root / name)]) == 1
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1


def test_only_a_complete_artifact_is_signed(
    linear: Linear, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    append(linear.complete_model / "model.onnx")
    assert sign.main([str(linear.complete_model), "--key", str(keys.private("mine"))]) == 1
    assert "only a complete artifact is signed" in capsys.readouterr().err


def test_verify_demands_a_signature_before_it_parses_a_file(linear: Linear, keys: Keys) -> None:
    trusted = (str(keys.public("mine")),)
    assert linear.verify(trusted_keys=trusted)["signed_by"]
    assert linear.verify()["signed_by"] is None
    (linear.complete_model / "formats.json").write_text("[" * 1_000_000)  # reading it would raise
    linear.report.unlink()
    allowed = params(trusted_keys=trusted)
    with pytest.raises(VerificationFailed, match=r"formats.json: changed since it was signed"):
        verify(linear.complete_model, linear.checkpoint, linear.data, linear.report, allowed)
    assert not linear.report.exists()


def test_without_model_signing_a_line_says_what_to_install(
    linear: Linear, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.setitem(sys.modules, "model_signing.signing", None)
    with pytest.raises(CannotRun, match=r"pip install model-signing==1.1.1 pyopenssl"):
        signatures.demand(linear.complete_model, [keys.public("mine")])


OFFLINE = """
import sys
sys.path.insert(0, {root!r})
from pipeline import sign, verify_signature
assert sign.main([sys.argv[1], "--key", sys.argv[2]]) == 0
assert verify_signature.main([sys.argv[1], "--trusted-key", sys.argv[3]]) == 0
print("offline")
"""


@pytest.mark.skipif(bool(launcher.lacking()), reason=str(launcher.lacking()))
def test_it_works_where_no_network_can_be_reached(linear: Linear, keys: Keys) -> None:
    script = linear.root / "script.py"
    script.write_text(OFFLINE.format(root=str(ROOT)))
    terms = {
        "read": [str(ROOT), str(keys.root)],
        "write": [str(linear.root)],
        "parent": os.getpid(),
    }
    terms |= {"memory": 8 << 30, "seconds": 60, "file": 1 << 20, "files": True, "calls": True}
    view = linear.root.with_name("view")
    view.mkdir()
    terms["view"] = str(view)
    (linear.root / "terms.json").write_text(json.dumps(terms))
    command = [processes.LAUNCHER, linear.root / "terms.json", script, linear.complete_model]
    command += [keys.private("mine"), keys.public("mine")]
    done = subprocess.run(
        [sys.executable, "-I", *map(str, command)], capture_output=True, text=True
    )
    assert "offline" in done.stdout, done.stderr


def test_a_key_that_git_would_publish_signs_nothing(linear: Linear, keys: Keys, capsys) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=linear.root, check=True)
    key = Path(shutil.copy(keys.private("mine"), linear.root / "mine"))
    signature = linear.root / "new.sig"
    arguments = [str(linear.complete_model), "--key", str(key), "--signature", str(signature)]
    assert sign.main(arguments) == 1
    assert "would publish this private key; keep it outside" in capsys.readouterr().err
    assert not signature.exists()
