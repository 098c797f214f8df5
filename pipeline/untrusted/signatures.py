"""Signatures over a whole directory, offline, with the user's own key: OpenSSF's model-signing.

They are Sigstore bundles that `model_signing verify key` takes as well. `<directory>.sig` lies
beside the directory, which stays as its statement has it.
"""

import base64
import hashlib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import CannotRun, IncompleteArtifact, ParamsError, VerificationFailed
from pipeline.text import escaped
from pipeline.untrusted import documents, limits, plain_files

CURVES = ("secp256r1", "secp384r1")


def beside(directory: Path) -> Path:
    """Returns where a directory's signature lies unless another place is named."""
    whole = directory.resolve()
    return whole.with_name(f"{whole.name}.sig")


def sign(directory: Path, key: Path, signature: Path) -> str:
    """Writes the signature and returns the public key's digest. Raises a PipelineError."""
    _demand_plain(directory)
    if signature.resolve().is_relative_to(directory.resolve()):
        raise ParamsError(f"{signature}: lies in the directory itself; put it beside")
    digest = _digest(_private(key).public_key())
    signing, _, hashing = _library()
    config = signing.Config().use_elliptic_key_signer(private_key=key)
    config.set_hashing_config(_whole(hashing)).sign(directory, signature)
    return digest


def demand(directory: Path, trusted: Sequence[Path], signature: Path | None = None) -> str:
    """Returns the digest of the trusted key that signed every file of the directory. Parses none.

    Raises VerificationFailed unless one did.
    """
    keys = {_digest(_public(path)): path for path in trusted}
    _demand_plain(directory)
    signature = signature or beside(directory)
    if not signature.is_file():
        raise VerificationFailed(
            f"{signature}: missing, but a signature by a trusted key is demanded; "
            f"`python -m pipeline.sign {directory} --key <private.pem>` makes one with your own"
        )
    named, statement = _bundle(signature)
    if named not in keys:
        raise VerificationFailed(
            f"{signature}: is by the key {escaped(named)[:80]}, "
            f"expected a trusted one: {', '.join(keys)}"
        )
    _verify(directory, signature, keys[named], statement)
    return named


def _verify(directory: Path, signature: Path, key: Path, statement: Mapping[str, Any]) -> None:
    from cryptography.exceptions import InvalidSignature

    _, verifying, hashing = _library()
    config = verifying.Config().use_elliptic_key_verifier(public_key=key)
    try:
        config.set_hashing_config(_whole(hashing)).verify(directory, signature)
    except InvalidSignature:
        raise VerificationFailed(
            f"{signature}: is not by the key it names, or changed after it was made"
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        reason = _difference(directory, statement) or " ".join(str(fault).split())
        raise VerificationFailed(f"{escaped(reason)}; get both anew from whoever signed") from None
    if ignored := statement["predicate"].get("serialization", {}).get("ignore_paths"):
        raise VerificationFailed(f"{signature}: leaves out {ignored}; all files must be signed")


def _difference(directory: Path, statement: Mapping[str, Any]) -> str:
    """Returns the first file that is not as it was signed, and how many more there are."""
    signed = {str(each["name"]): each["digest"] for each in statement["predicate"]["resources"]}
    files = (path for path in directory.rglob("*") if path.is_file())
    present = {path.relative_to(directory).as_posix(): path for path in files}
    faults = [f"{name}: missing, but signed" for name in signed.keys() - present.keys()]
    faults += [f"{name}: not signed" for name in present.keys() - signed.keys()]
    for name in sorted(signed.keys() & present.keys()):
        with present[name].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != signed[name]:
                faults.append(f"{name}: changed since it was signed")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{directory}/{sorted(faults)[0]}{more}" if faults else ""


def _bundle(signature: Path) -> tuple[str, dict[str, Any]]:
    """Returns the key that a signature names, and what it says of the files; neither is verified
    yet."""
    try:
        bundle = documents.read_json(signature, limits.LISTING)
        named = bundle["verificationMaterial"]["publicKey"]["hint"]
        payload = base64.b64decode(bundle["dsseEnvelope"]["payload"], validate=True)
        statement = documents.parse_json(payload)
        {str(each["name"]): str(each["digest"]) for each in statement["predicate"]["resources"]}
        dict(statement["predicate"].get("serialization", {}))
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        raise VerificationFailed(
            f"{signature}: is no signature made with a key: {escaped(str(fault))[:200]}"
        ) from None
    return str(named), statement


def _demand_plain(directory: Path) -> None:
    if faults := plain_files.faults(directory, limits.SIGNED):
        raise IncompleteArtifact(f"{faults[0]}; a signature covers plain files only")


def _whole(hashing: Any) -> Any:
    """Returns the library's settings of hashing, by which every file is signed, git's too, which
    the library leaves out by default."""
    return hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)


def _private(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return _elliptic(path, "private", lambda content: load_pem_private_key(content, None))


def _public(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return _elliptic(path, "public", load_pem_public_key)


def _elliptic(path: Path, kind: str, load: Any) -> Any:
    wanted = f"expected a {kind} key in PEM, on the curve P-256 or P-384"
    try:
        key = load(path.read_bytes())
    except OSError as fault:
        raise ParamsError(f"{path}: {fault.strerror}; {wanted}") from None
    except (ValueError, TypeError) as fault:
        raise ParamsError(f"{path}: {' '.join(str(fault).split())[:200]}; {wanted}") from None
    curve = getattr(getattr(key, "curve", None), "name", type(key).__name__)
    if curve not in CURVES:
        raise ParamsError(f"{path}: found {curve}, {wanted}")
    return key


def _digest(key: Any) -> str:
    """Returns the sha256 of the public key in PEM, by which model-signing names it."""
    from cryptography.hazmat.primitives import serialization as to

    content = key.public_bytes(to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(content).hexdigest()


def _library() -> Iterable[Any]:
    try:
        names = ("signing", "verifying", "hashing")
        return [importlib.import_module(f"model_signing.{name}") for name in names]
    except ImportError as fault:
        raise CannotRun(
            f"signatures need model-signing, and {fault}; `uv pip install --requirement "
            "requirements.lock`, or `pip install model-signing==1.1.1 pyopenssl`"
        ) from None
