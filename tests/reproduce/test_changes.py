"""What a stranger's patch does is read from the trees that git makes of it, and shown whole."""

import os
from pathlib import Path

import pytest

from pipeline.errors import CannotRun
from pipeline.reproduce import consent
from pipeline.reproduce.changes import changes
from pipeline.reproduce.code import Code
from testing.project import Project
from tests.reproduce.conftest import Patch

MARK = "print('planted')"


def code(repository: Project, patch: bytes, own: bool = True, commit: str | None = None) -> Code:
    commit = commit or repository.run("git", "rev-parse", "HEAD").stdout.strip()
    place = repository.root / "source.patch" if patch else None
    return Code(commit=commit, own=own, patch=patch, place=place)


def shown(repository: Project, patch: bytes) -> str:
    made = code(repository, patch)
    return "\n".join(consent.shown(made, changes(made, repository.root)))


def refusal(repository: Project, patch: bytes) -> str:
    with pytest.raises(CannotRun) as raised:
        changes(code(repository, patch), repository.root)
    assert "\n" not in str(raised.value) and "source.patch" in str(raised.value)
    return str(raised.value)


def new_file(name: str, mode: str = "100644", content: str = "x") -> bytes:
    return (
        f"diff --git a/{name} b/{name}\nnew file mode {mode}\n--- /dev/null\n+++ b/{name}\n"
        f"@@ -0,0 +1 @@\n+{content}\n\\ No newline at end of file\n"
    ).encode()


def test_no_number_of_decoys_hides_the_code(repository: Project, patch_of: Patch) -> None:
    def change(root: Path) -> None:
        for number in range(30):
            (root / f"a{number:02}_notes.md").write_text("typo\n")
            (root / f"a{number:02}_data.csv").write_text("1,2\n")
        (root / "models/net.py").write_text(f"SIZE = 1\n{MARK}\n")

    text = shown(repository, patch_of(change))
    assert text.index(f"+{MARK}") < text.index("a00_notes.md")
    assert "  code  models/net.py" in text and text.count("  other ") == 60
    assert "which changes 1 files of code (models/net.py) and 60 files" in text


@pytest.mark.parametrize(
    "name",
    [
        *("z.py", "dvc.yaml", "conf/z.yaml", "Makefile", ".gitattributes", ".gitmodules", "z.sh"),
        *(
            ".dvc/config",
            "requirements.lock",
            "data.dvc",
            ".github/w.md",
            "conf/z.md",
            "z",
            "z.pth",
        ),
        *("z.ipynb", "z.txt", "z.so", "setup.cfg", "data/z.py", "docs/z.py", ".pth"),
    ],
)
def test_whatever_may_be_run_comes_before_notes_and_data(
    repository: Project, patch_of: Patch, name: str
) -> None:
    def change(root: Path) -> None:
        (root / "a.md").write_text("a note\n")
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("code\n")

    text = shown(repository, patch_of(change))
    assert text.index(f"b/{name}") < text.index("b/a.md") and f"  code  {name}" in text


def test_what_is_no_text_is_named_with_its_size(repository: Project, patch_of: Patch) -> None:
    text = shown(repository, patch_of(lambda root: (root / "z.so").write_bytes(b"\0" * 70)))
    assert "binary: z.so (70 bytes)" in text and "  code  z.so" in text


@pytest.mark.parametrize("attribute", ["-diff", "binary", "diff=hidden", "-text"])
def test_no_attribute_makes_code_a_binary(
    repository: Project, patch_of: Patch, attribute: str
) -> None:
    def change(root: Path) -> None:
        (root / ".gitattributes").write_text(f"*.py {attribute}\n")
        (root / "models/net.py").write_text(f"SIZE = 1\n{MARK}\n")

    assert f"+{MARK}" in shown(repository, patch_of(change))


def test_python_with_a_null_byte_in_it_is_shown(repository: Project, patch_of: Patch) -> None:
    def change(root: Path) -> None:
        (root / "models/net.py").write_text(f"{MARK}\n\0\n")

    assert f"+{MARK}" in shown(repository, patch_of(change))


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        (new_file("lnk", "120000", "/outside"), "a symlink"),
        (new_file("sub", "160000", f"Subproject commit {'a' * 40}"), "a submodule"),
        (new_file("../outside"), "does not apply"),
        (new_file("models/../../outside"), "does not apply"),
        (new_file("/tmp/outside"), "source.patch"),
        (new_file(".git/hooks/post-checkout", "100755"), "does not apply"),
        (new_file(".GIT/config"), "source.patch"),
        (new_file("models/.git/config"), "does not apply"),
        (new_file("git~1/config"), "source.patch"),
        (new_file("own_link/beyond"), "does not apply"),
        (b"no patch at all\n", "does not apply"),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
def test_links_submodules_and_paths_of_git_s_own_are_refused(
    repository: Project, patch: bytes, named: str
) -> None:
    assert named in refusal(repository, patch)


def test_parameters_that_become_a_link_are_refused(
    repository: Project, patch_of: Patch, tmp_path: Path
) -> None:
    """The parent writes them, and used to write what the link led to."""

    def change(root: Path) -> None:
        (root / "params.yaml").unlink()
        (root / "params.yaml").symlink_to(tmp_path / "victim.yaml")

    assert "'params.yaml' is a symlink" in refusal(repository, patch_of(change))


def test_a_link_of_the_commit_s_own_may_stay(repository: Project, patch_of: Patch) -> None:
    assert "own_link" not in shown(
        repository, patch_of(lambda root: (root / "models/net.py").write_text("SIZE = 2\n"))
    )


def test_a_commit_of_nobody_s_branch_is_shown_from_where_it_left(repository: Project) -> None:
    (repository.root / "models/net.py").write_text(f"{MARK}\n")
    theirs = repository.commit("theirs")
    (repository.root / "there").symlink_to(os.devnull)
    linked = repository.commit("a link")
    repository.run("git", "reset", "--hard", "--quiet", "HEAD~2")
    made = code(repository, b"", own=False, commit=theirs)
    text = "\n".join(consent.shown(made, changes(made, repository.root)))
    assert f"+{MARK}" in text and "README" not in text
    with pytest.raises(CannotRun, match="'there' is a symlink"):
        changes(code(repository, b"", own=False, commit=linked), repository.root)
    repository.run("git", "branch", "--move", "main", "gone")
    alone = repository.run("git", "commit-tree", "-m", "x", f"{theirs}^{{tree}}").stdout.strip()
    with pytest.raises(CannotRun, match="'own_link' is a symlink"):
        changes(code(repository, b"", own=False, commit=alone), repository.root)
