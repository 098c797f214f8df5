"""The stage itself: on a linear model for what it does, on trained ones for what it says."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import provenance
from pipeline.errors import IncompleteArtifact, VerificationFailed
from pipeline.sandbox import launcher, supervisor
from pipeline.verify import verify
from testing.finished import finished
from testing.linear import CHECKS, Linear, make, params
from testing.project import Project

FORMATS = ("torch_export", "onnx", "torch_pickle")
FILES = ("MLmodel", "README.md", "examples/one.npz", "examples/seven.npz", "metrics.json")
FILES += ("examples/training.npz", "optimizer.pt")
FILES += ("lineage/checkpoint.json", "lineage/prepare.json", "lineage/train.json")
FILES += ("model.onnx", "model.pickle.json", "model.pickle.pt", "model.pt2", "provenance.json")
FILES += ("formats.json", "python_env.yaml", "requirements.txt", "schema.json", "conda.yaml")
FILES += ("input_example.json", "serving_input_example.json")


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Linear:
    return make(tmp_path_factory.mktemp("healthy"))


@pytest.fixture
def linear(healthy: Linear, tmp_path: Path, preloaded_python: None) -> Linear:
    """A copy to spoil."""
    return Linear(Path(shutil.copytree(healthy.root, tmp_path / "linear")))


@pytest.fixture(scope="session")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A convolutional net with layers of its own, in every format, through the stages."""
    return finished(tmp_path_factory, "torch_cnn")


def report_of(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.read("reports/verify.json"))
    return found


def untimed(report: dict[str, Any]) -> dict[str, Any]:
    times = {"timing": None, "training_timing": None}
    formats = {n: {**found, **times} for n, found in report["formats"].items()}
    return {**report, "formats": formats}


def run(linear: Linear, **changes: Any) -> None:
    linear.report.parent.mkdir(exist_ok=True)
    arguments = (linear.complete_model, linear.checkpoint, linear.data, linear.report)
    verify(*arguments, params(**changes))


def test_a_healthy_model_passes_every_check(linear: Linear) -> None:
    report = linear.verify()
    assert report["passed"]
    assert list(report["checks"]) == list(CHECKS)
    assert all(found["passed"] for found in report["checks"].values())
    assert report["complete_model"] == provenance.digest(linear.complete_model)
    assert report["checkpoint"] == provenance.digest(linear.checkpoint)


def test_the_report_says_how_its_processes_were_confined(
    linear: Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = linear.report.with_suffix(".html")
    told = linear.verify()["confined"]
    assert told["files"].startswith("Landlock") and told["calls"].startswith("seccomp")
    assert told["limits"] == "memory_gib 4, minutes 2, file_gib 1"
    assert "files: Landlock" in page.read_text()
    monkeypatch.setattr(launcher, "lacking", lambda: {"files": "an old <kernel>"})
    report = linear.verify()
    assert report["passed"] and report["confined"]["files"] == "NOT CONFINED: an old <kernel>"
    assert "files: NOT CONFINED: an old &lt;kernel&gt;" in page.read_text()


def test_a_model_beyond_its_limits_fails_and_the_limit_is_named(linear: Linear) -> None:
    report = linear.verify(limits={"memory_gib": 0.01, "minutes": 2.0, "file_gib": 1.0})
    told = [fault["fault"] for fault in report["faults"] if fault["format"] == "onnx"]
    assert "at the limit of memory" in told[0] and "memory_gib is 0.01" in told[0]


def test_but_for_the_timing_two_reports_are_equal(linear: Linear) -> None:
    first, second = linear.verify(), linear.verify()
    assert untimed(first) == untimed(second)
    assert first["formats"]["onnx"]["timing"]["load_seconds"] > 0


def test_all_faults_are_collected_and_the_first_is_told_with_the_page(linear: Linear) -> None:
    (linear.complete_model / "README.md").write_text("Something else.\n")
    (linear.complete_model / "more.txt").write_text("")
    with pytest.raises(VerificationFailed) as caught:
        run(linear)
    line = str(caught.value)
    assert line.startswith(f"3 faults, the first: integrity: {linear.complete_model}/README.md: ")
    assert line.endswith(f"see {linear.report.with_suffix('.html')}")
    assert "\n" not in line
    report = json.loads(linear.report.read_text())
    assert [fault["check"] for fault in report["faults"]] == ["integrity"] * 2 + ["self_contained"]


def test_nothing_is_loaded_from_bytes_that_nobody_vouches_for(linear: Linear) -> None:
    with (linear.complete_model / "model.onnx").open("ab") as file:
        file.write(b"\0")
    report = linear.verify()
    assert report["formats"]["onnx"]["timing"] == {}
    assert not report["formats"]["onnx"]["answered"]
    told = [fault["fault"] for fault in report["faults"] if fault["format"] == "onnx"]
    assert told == ["not loaded: a file is not what the statement says, see integrity"]
    assert not any(
        found["passed"] for name, found in report["checks"].items() if name != "self_contained"
    )


def test_integrity_is_judged_though_nobody_asked(linear: Linear) -> None:
    (linear.complete_model / "README.md").unlink()
    report = linear.verify(checks=("metrics",))
    assert list(report["checks"]) == ["integrity", "metrics"]
    assert report["faults"][0]["check"] == "integrity"


def test_a_format_without_answers_is_a_fault_though_no_check_asked_for_any(linear: Linear) -> None:
    (linear.complete_model / "model.onnx").write_bytes(b"no model")
    linear.seal()
    report = linear.verify(checks=("parity",))
    (fault,) = report["faults"]
    assert (fault["check"], fault["format"]) == ("load", "onnx")
    assert not report["checks"]["parity"]["passed"]


def test_a_model_without_a_statement_fails_with_a_report(linear: Linear) -> None:
    (linear.complete_model / provenance.NAME).unlink()
    report = linear.verify()
    assert report["complete_model"] is None and not report["formats"]["onnx"]["answered"]
    assert "Do not ship" in linear.report.with_suffix(".html").read_text()


def test_a_reference_without_a_batch_asks_for_the_checkpoint_again(linear: Linear) -> None:
    (linear.checkpoint / "reference" / "edge.npz").unlink()
    with pytest.raises(IncompleteArtifact, match=r"edge.npz: missing; run `dvc repro"):
        run(linear)


def test_a_format_that_has_no_plug_in_is_told(linear: Linear) -> None:
    kept = '{"held": ["papyrus"], "trains": [], "refused": {}}'
    (linear.complete_model / "formats.json").write_text(kept)
    with pytest.raises(IncompleteArtifact, match=r"the format papyrus, which pipeline/formats/"):
        run(linear)


def test_the_processes_know_nothing_of_this_one_s_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.setenv("SECRET", "value")
    found = supervisor.environment(2, tmp_path)
    assert set(found) - {"PATH", "LD_LIBRARY_PATH"} == {
        *("HOME", "TMPDIR", "LANG", "CUDA_VISIBLE_DEVICES"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        *("TF_DETERMINISTIC_OPS", "TF_CPP_MIN_LOG_LEVEL", "THP_MEM_ALLOC_ENABLE"),
        *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    }
    assert found["OMP_NUM_THREADS"] == "2"


def test_a_process_that_was_killed_is_told_with_its_last_words() -> None:
    expected = "the process ended with signal 9 and no report: out of memory"
    assert supervisor._death(-9, "out of memory") == expected
    assert supervisor._death(0, "") == "the process ended with exit code 0 and no report"


def test_verifying_loads_no_framework_and_no_model(linear: Linear) -> None:
    code = (
        "import sys; from pathlib import Path; from testing.linear import Linear;"
        f"Linear(Path({str(linear.root)!r})).verify();"
        "print(sorted({n.split('.')[0] for n in sys.modules}"
        " & {'torch', 'tensorflow', 'keras', 'models', 'mlflow', 'onnxruntime'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_page_needs_nothing_but_itself(linear: Linear) -> None:
    linear.verify()
    page = linear.report.with_suffix(".html").read_text()
    assert not re.search(r"<script|<link|<img|https?:|url\(|@import", page)
    for expected in ("Passed", "✓ passed", "prefers-color-scheme: dark", "@media print"):
        assert expected in page


def test_the_page_shows_every_fault_in_full_and_escaped(linear: Linear) -> None:
    (linear.complete_model / "<b>&.txt").write_text("")
    report = linear.verify()
    page = linear.report.with_suffix(".html").read_text()
    assert len(report["faults"]) == 2
    assert "&lt;b&gt;&amp;.txt: not in the statement" in page
    assert "<b>" not in page
    assert "– not examined" in page


def test_a_trained_model_passes_in_every_format(verified: Project) -> None:
    report = report_of(verified)
    assert report["passed"]
    assert list(report["formats"]) == list(FORMATS)
    assert report["model"]["sources"] == ["models", "pipeline"]
    assert report["formats"]["torch_export"]["max_abs_diff"] == 0.0
    assert 0.0 < report["formats"]["onnx"]["max_abs_diff"] < 1e-3
    assert report["checks"]["metrics"]["measured"]["torch_export"]["metrics"] == {
        "test/accuracy": report["model"]["metrics"]["test/accuracy"]
    }


def test_the_page_shows_how_it_was_trained_where_it_errs_and_some_rows(verified: Project) -> None:
    page = verified.read("reports/verify.html")
    for heading in ("How it was trained", "Where it errs", "Some rows of the test split"):
        assert f"<h2>{heading}</h2>" in page
    assert page.count("<figure") == 3
    assert not re.search(r"<script|<link|<img|https?:|url\(|@import", page)


def test_torch_pickle_is_told_to_need_its_source(verified: Project) -> None:
    told = report_of(verified)["checks"]["self_contained"]["measured"]["torch_pickle"]
    assert told["without_source"] == (
        "loading it: ModuleNotFoundError: models is refused: the model's source"
    )
    assert "– not promised" in verified.read("reports/verify.html")


def test_every_format_was_perturbed_and_noticed(verified: Project) -> None:
    measured = report_of(verified)["checks"]["sensitivity"]["measured"]
    assert {name for name, found in measured.items() if found["perturbed_moved"] > 1e-3} == {
        *FORMATS
    }


def test_a_flipped_bit_in_any_file_of_a_trained_model_is_named(
    verified: Project, copy_of: Callable[[Project], Project]
) -> None:
    spoilt = copy_of(verified)
    directory = spoilt.root / "artifacts/complete-model"
    assert sorted([*provenance.files(directory), provenance.NAME]) == sorted(
        [*FILES, *([provenance.PATCH] if (directory / provenance.PATCH).is_file() else [])]
    )
    artifacts = (spoilt.root / f"artifacts/{name}" for name in ("checkpoint", "data"))
    arguments = (directory, *artifacts, spoilt.root / "reports/verify.json")
    for name in FILES:
        path = directory / name
        whole = path.read_bytes()
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        with pytest.raises(VerificationFailed, match=re.escape(f"{path}: changed")):
            verify(*arguments, integrity_alone(spoilt))
        path.write_bytes(whole)


def integrity_alone(project: Project) -> Any:
    from pipeline.config.params import VerifyParams
    from pipeline.config.reading import read
    from pipeline.config.yaml_text import load_yaml

    params = load_yaml(project.read("params.yaml"), "params.yaml")
    params["verify"]["checks"] = ["integrity"]
    return read(VerifyParams, params)


def test_the_stage_fails_in_one_line_and_leaves_both_reports(
    verified: Project, copy_of: Callable[[Project], Project]
) -> None:
    spoilt = copy_of(verified)
    shutil.rmtree(spoilt.root / "reports")
    (spoilt.root / "artifacts/complete-model/README.md").write_text("Something else.\n")
    done = spoilt.stage("verify", check=False)
    assert done.returncode == 1
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("error: ")]
    assert line.startswith(
        "error: verify: 4 faults, the first: integrity: artifacts/complete-model"
    )
    assert not report_of(spoilt)["passed"]
    assert "Do not ship" in spoilt.read("reports/verify.html")


def test_a_format_that_cannot_hold_the_model_is_reported_with_its_reason(linear: Linear) -> None:
    why = "the layer <Lookup> has no kernel"
    kept = json.dumps({"held": ["onnx"], "trains": [], "refused": {"litert": why}})
    (linear.complete_model / "formats.json").write_text(kept)
    linear.seal()
    report = linear.verify()
    assert report["passed"]
    assert report["refused"] == {"litert": why}
    page = linear.report.with_suffix(".html").read_text()
    assert "the layer &lt;Lookup&gt; has no kernel" in page
