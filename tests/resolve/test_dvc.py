"""What is read of DVC's files without DVC is what the installed DVC writes."""

import pytest
from dvc.config import Config
from dvc.repo import Repo

from pipeline.errors import ParamsError
from pipeline.resolve import dvc

DVC_YAML = """\
stages:
  copy:
    cmd: mkdir -p out && cp data/provenance.json out/
    deps: [data]
    outs: [out]
  other:
    cmd: touch other
    outs: [other]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder under DVC, and a stage that ran."""
    root = tmp_path_factory.mktemp("dvc")
    (root / "data/sub").mkdir(parents=True)
    (root / "data/provenance.json").write_text("{}")
    (root / "data/sub/rows.csv").write_text("1,2\n")
    (root / "dvc.yaml").write_text(DVC_YAML)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        with Repo.init(str(root), no_scm=True) as repo:
            repo.add("data")
            repo.reproduce()
    return root


def test_a_dvc_file_names_the_md5_under_which_the_cache_lists_the_files(root):
    ((path, md5),) = dvc.tracked((root / "data.dvc").read_bytes(), "data.dvc")
    assert (path, dvc.md5_of(root / "data")) == ("data", md5)
    files = dvc.listing(root, md5)
    assert set(files) == {"provenance.json", "sub/rows.csv"}
    assert files["sub/rows.csv"].read_text() == "1,2\n"
    assert dvc.name_of(files["sub/rows.csv"]) == dvc.md5_of(root / "data/sub/rows.csv")


def test_a_directory_with_a_statement_is_known_in_the_cache(root):
    directories = dict(dvc.directories(root))
    assert set(directories) == {dvc.md5_of(root / "data"), dvc.md5_of(root / "out")}
    assert {path.read_text() for path in directories.values()} == {"{}"}


def test_the_lock_names_a_stages_output(root):
    text = (root / dvc.LOCK).read_bytes()
    assert set(dvc.stages(text, dvc.LOCK)) == {"copy", "other"}
    alone = dvc.stages(dvc.only_stages(text, "copy"), dvc.LOCK)
    assert alone == {"copy": dvc.stages(text, dvc.LOCK)["copy"]}
    assert dvc.output(alone["copy"]) == ("out", dvc.md5_of(root / "out"))


def test_the_run_cache_has_the_entry_of_a_stage_with_deps_and_outs(root):
    (entry,) = dvc.run_cache(root)
    stages = dvc.stages(b"stages:\n  copy:\n" + _indented(entry.read_bytes()), "run cache")
    assert dvc.output(stages["copy"]) == ("out", dvc.md5_of(root / "out"))


def _indented(text: bytes) -> bytes:
    return b"".join(b"    " + line for line in text.splitlines(keepends=True))


@pytest.mark.parametrize("text", [b"[]", b"outs: 1", b"outs: [{path: x}]", b"{", b"a: b"])
def test_what_is_no_dvc_file_is_refused(text):
    with pytest.raises(ParamsError, match=r"x\.dvc"):
        dvc.tracked(text, "x.dvc")


def test_remotes_lead_from_elsewhere_where_they_lead_here(root, tmp_path):
    """As DVC reads them, of one user's settings too, which go before git's."""
    here, there = root / ".dvc", tmp_path / "clone/.dvc"
    near, far, home = (f"['remote \"{name}\"']\n    url = " for name in ("near", "far", "home"))
    of_git = f"[core]\n    remote = near\n{near}/other\n{far}s3://bucket/x%y\n"
    own = f"[core]\n    remote = far\n    site_cache_dir = x\n{near}../near\n{home}~/store\n"
    own += "['remote \"far\"']\n    credentialpath = keys/one\n"
    (here / "config").write_text(of_git)
    (here / "config.local").write_text(own)
    there.mkdir(parents=True)
    (there / "config").write_text(dvc.remotes(root))
    read, expected = (Config(dvc_dir=str(each)) for each in (there, here))
    assert read["remote"] == expected["remote"] and len(read["remote"]) == 3
    assert read["core"]["remote"] == "far" and "site_cache_dir" not in read["core"]
