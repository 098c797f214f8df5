"""docs/complete-models.md, executed: every example runs, and every cell of the table is measured.

The file is also the script of the two processes that do so. Each has one framework imported and
forks once for every block, before the framework has done anything, so that a block has a process of
its own at the price of a fork; what only some blocks import is imported once by a fork for those.
"""

import ast
import contextlib
import gc
import importlib
import io
import itertools
import json
import os
import re
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

Results = dict[tuple[Any, ...], dict[str, Any]]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "complete-models.md"
SOURCES = {"PyTorch": "net", "Keras": "keras_net"}
PARENTS = {"PyTorch": "pytorch", "Keras": "keras"}
STORE = ("mlflow.store.tracking.sqlalchemy_store", "mlflow.pyfunc", "mlflow.tracing", "git")
ON_TOP = {
    ("PyTorch", "mlflow"): ("mlflow.pytorch", *STORE),
    ("PyTorch", "transformers"): ("transformers.modeling_utils",),
    ("Keras", "mlflow"): ("mlflow.tensorflow", *STORE),
}
"""A framework and what a block's code has in it -> what blocks in a row that have it import."""
PACKAGES = ("cloudpickle", "keras", "mlflow", "onnxruntime", "tensorflow", "torch", "transformers")
FRESH_STORE = "import mlflow; mlflow.MlflowClient('sqlite:///mlflow.db').search_experiments()"
NOTHING = "–"
RIGHT = ("prints", "True")
MEASURED = (
    *("Architecture", "Weights", "Optimizer", "Custom layer", "Custom loss"),
    *("Preprocessing", "Mode", "Next step", "Needs at load"),
)

# ------------------------------------------------------------------------------------ the page


@dataclass(frozen=True)
class Block:
    """`outcomes`: where ("alone", "with its source" or ""), "prints" or "fails with", the text."""

    code: str
    outcomes: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Example:
    framework: str
    name: str
    save: Block
    loads: tuple[Block, ...]

    @property
    def loaded(self) -> Block | None:
        """The block whose model the table tells of: the first that answers as the saved one."""
        right = (block for block in self.loads if any(o[1:] == RIGHT for o in block.outcomes))
        return next(right, None)


@dataclass(frozen=True)
class Page:
    sources: dict[str, str] = field(default_factory=dict)
    saving: dict[str, str] = field(default_factory=dict)
    loading: dict[str, str] = field(default_factory=dict)
    examples: dict[str, Example] = field(default_factory=dict)
    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> "Page":
        page = cls(rows=table(text))
        for framework, module in SOURCES.items():
            part = re.search(rf"^## {framework}\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE)
            assert part, f"no part on {framework}"
            head, *parts = re.split(r"^### ", part.group(1), flags=re.MULTILINE)
            source, page.saving[framework], page.loading[framework] = (
                block.code for block in blocks(head)
            )
            page.sources[module] = source
            for text_of_one in parts:
                example = read_example(framework, text_of_one)
                assert example.name not in page.examples, example.name
                page.examples[example.name] = example
        return page


def read_example(framework: str, text: str) -> Example:
    title = re.match(r"`(.+)`\n", text)
    assert title, text[:80]
    save, *loads = blocks(text)
    return Example(framework, title.group(1), save, tuple(loads))


def blocks(text: str) -> Iterator[Block]:
    pattern = r"^```python\n(.*?)^```\n((?:\n?- [^\n]*\n)*)"
    for code, facts in re.findall(pattern, text, re.DOTALL | re.MULTILINE):
        yield Block(code, tuple(outcome(line) for line in facts.splitlines() if line))


def outcome(line: str) -> tuple[str, str, str]:
    found = re.fullmatch(
        r"- (?:(alone|with its source): )?(prints|fails with) `(.*)`", line.replace("\\|", "|")
    )
    assert found, f"neither an outcome nor prose: {line}"
    return found.group(1) or "", found.group(2), found.group(3)


def table(text: str) -> dict[str, dict[str, str]]:
    """The page's one large table: a row's name to column to cell."""
    start = text.index("| Way |")
    lines = text[start : text.index("\n\n", start)].splitlines()
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = {cells[0].strip("`"): dict(zip(head, cells, strict=True)) for cells in body}
    assert len(rows) == len(body), "two rows of the same name"
    return rows


# ----------------------------------------------------------- in the process: one fork a block


def serve(job: Path) -> None:
    """Run the tasks of `job` one after the other, each in a fork; results lie beside it."""
    os.environ |= {"HOME": str(job.parent), "MLFLOW_DISABLE_TELEMETRY": "true"}
    sys.modules.pop("cloudpickle", None)  # which a block may need
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    tasks = enumerate(json.loads(job.read_text()))
    for modules, some in itertools.groupby(tasks, lambda numbered: numbered[1]["on_top"]):
        in_a_fork(serve_after, modules, some, job)


def serve_after(modules: list[str], tasks: Iterable[tuple[int, dict[str, Any]]], job: Path) -> None:
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    for number, task in tasks:
        in_a_fork(serve_one, task, job.with_name(f"{job.stem}.{number}.json"))


def serve_one(task: dict[str, Any], answer: Path) -> None:
    Path(task["cwd"]).mkdir(parents=True, exist_ok=True)
    if "mlflow.db" in task["code"]:
        shutil.copy(answer.with_name("mlflow.db"), task["cwd"])
    began = time.monotonic()
    result = {**perform(task), "seconds": time.monotonic() - began}
    answer.write_text(json.dumps(result))


def in_a_fork(work: Callable[..., None], *arguments: Any) -> None:
    child = os.fork()
    if not child:
        work(*arguments)
        os._exit(0)
    os.waitpid(child, 0)


def perform(task: dict[str, Any]) -> dict[str, Any]:
    """What the block printed, the error it ended in, and what `then` found in its names."""
    os.chdir(task["cwd"])
    sys.path[:0] = task["path"]
    names: dict[str, Any] = {"__name__": "__main__"}
    printed, found, before = io.StringIO(), None, set(sys.modules)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(task["code"], "<block>", "exec"), names)
            if task["then"]:
                found = globals()[task["then"]](names, Path(task["expected"]))
    except BaseException as error:  # noqa: BLE001  it is the result
        words = " ".join(f"{type(error).__name__}: {error}".split())
        trace = traceback.format_exc()
        return {"printed": printed.getvalue(), "error": words, "trace": trace, "found": None}
    loaded = [name for name in PACKAGES if name in sys.modules and name not in before]
    return {"printed": printed.getvalue(), "error": None, "found": found, "loaded": loaded}


def record(names: dict[str, Any], expected: Path) -> None:
    """Write what the saved model is, and what one more training step would make of it."""
    import numpy as np

    kit = torch_kit if "torch" in names else keras_kit
    model, optimizer = names["model"], names["optimizer"]
    found = {f"weight.{i}": value for i, value in enumerate(kit.weights(model))}
    found |= {f"momentum.{i}": value for i, value in enumerate(kit.momentum(optimizer))}
    found |= {"x": np.asarray(names["x"]), "y": np.asarray(names["y"])}
    found |= {"answer": kit.call(kit.evaluating(model), found["x"]), "seed": kit.seed(model)}
    kit.train_on(model, optimizer, found["x"], found["y"])
    found |= {f"after.{i}": value for i, value in enumerate(kit.weights(model))}
    np.savez(expected, **found)


def compare(names: dict[str, Any], expected: Path) -> dict[str, str]:
    """The cells of the table that can be told from what was loaded."""
    import numpy as np

    with np.load(expected) as file:
        known = dict(file)
    kit, model = kit_for(names["model"]), names["model"]
    optimizer = names.get("optimizer", getattr(model, "optimizer", None))
    return {
        "Mode": kit.mode(model, known["x"]),
        "Weights": yes(held(several(known, "weight"), kit.everything(model))),
        "Optimizer": yes(held(several(known, "momentum"), kit.momentum(optimizer))),
        "Custom loss": yes(getattr(getattr(model, "loss", None), "factor", None) == 2.0),
        "Preprocessing": yes(right(kit, kit.evaluating(model), known)),
        "Next step": next_step(kit, model, optimizer, known),
    }


def of_another_size(names: dict[str, Any], expected: Path) -> dict[str, bool]:
    """How it answers as it comes; it was saved in training mode where there is one."""
    import numpy as np

    with np.load(expected) as file:
        known = dict(file)
    kit = kit_for(names["model"])
    return {
        "random": random(kit, names["model"], known["x"]),
        "as in evaluation": right(kit, names["model"], known),
    }


def yes(told: bool) -> str:
    return "yes" if told else "no"


def several(known: dict[str, Any], kind: str) -> list[Any]:
    return [value for name, value in known.items() if name.startswith(f"{kind}.")]


def held(wanted: list[Any], present: Iterable[Any]) -> bool:
    """Whether each array is among those present, bit for bit."""
    there = {(value.shape, str(value.dtype), value.tobytes()) for value in present}
    return all((value.shape, str(value.dtype), value.tobytes()) in there for value in wanted)


def right(kit: Any, model: Any, known: dict[str, Any]) -> bool:
    import numpy as np

    return np.allclose(kit.call(model, known["x"]), known["answer"], atol=1e-5)


def random(kit: Any, model: Any, x: Any) -> bool:
    """Whether two calls differ: dropout is on."""
    return bool((kit.call(model, x) != kit.call(model, x)).any())


def next_step(kit: Any, model: Any, optimizer: Any, known: dict[str, Any]) -> str:
    """Two attempts from the same state: as loaded, and with dropout's random numbers put back."""
    if not kit.trainable(model, optimizer):
        return "no"
    start = kit.state(model, optimizer)
    kit.train_on(model, optimizer, known["x"], known["y"])
    if held(several(known, "after"), kit.weights(model)):
        return "yes"
    kit.restore(model, optimizer, start, known["seed"])
    kit.train_on(model, optimizer, known["x"], known["y"])
    return "but dropout" if held(several(known, "after"), kit.weights(model)) else "no"


def kit_for(model: Any) -> Any:
    """By what was loaded: a module, a Keras model or layer, a SavedModel, an ONNX session."""
    if hasattr(model, "get_inputs"):
        return onnx_kit
    if hasattr(model, "state_dict"):
        return torch_kit
    return keras_kit if hasattr(model, "get_weights") else saved_model_kit


class torch_kit:  # noqa: N801  a namespace of functions, one for each thing that can be loaded
    @staticmethod
    def weights(model: Any) -> list[Any]:
        return [value.detach().numpy().copy() for value in model.parameters()]

    @staticmethod
    def everything(model: Any) -> list[Any]:
        return [value.detach().numpy() for value in model.state_dict().values()]

    @staticmethod
    def momentum(optimizer: Any) -> list[Any]:
        states = optimizer.state.values() if optimizer else []
        return [state["momentum_buffer"].numpy().copy() for state in states]

    @staticmethod
    def seed(_: Any) -> int:
        return 1

    @staticmethod
    def call(model: Any, x: Any) -> Any:
        import torch

        return model(torch.from_numpy(x)).detach().numpy()

    @staticmethod
    def evaluating(model: Any) -> Any:
        with contextlib.suppress(NotImplementedError):
            model.eval()
        return model

    @staticmethod
    def mode(model: Any, x: Any) -> str:
        """The model is left as it was, batch norm's running statistics included."""
        before = {name: value.clone() for name, value in model.state_dict().items()}
        found = torch_kit.mode_found(model, x)
        model.load_state_dict(before)
        return found

    @staticmethod
    def mode_found(model: Any, x: Any) -> str:
        if random(torch_kit, model, x):
            return "lost"
        try:
            model.train()
        except NotImplementedError:
            return "fixed"
        return "kept" if random(torch_kit, model, x) else "fixed"

    @staticmethod
    def trainable(_: Any, optimizer: Any) -> bool:
        return optimizer is not None

    @staticmethod
    def state(*_: Any) -> None:
        return None

    @staticmethod
    def restore(*_: Any) -> None:
        """Every step is seeded alike: there is nothing to put back."""

    @staticmethod
    def train_on(model: Any, optimizer: Any, x: Any, y: Any) -> None:
        import torch

        model.train()
        torch.manual_seed(1)
        optimizer.zero_grad()
        outputs = model(torch.from_numpy(x))
        (2.0 * torch.nn.functional.cross_entropy(outputs, torch.from_numpy(y))).backward()
        optimizer.step()


class keras_kit:  # noqa: N801
    @staticmethod
    def weights(model: Any) -> list[Any]:
        return [value.numpy() for value in model.trainable_variables]

    @staticmethod
    def everything(model: Any) -> list[Any]:
        return [value.numpy() for value in model.variables]

    @staticmethod
    def momentum(optimizer: Any) -> list[Any]:
        variables = optimizer.variables if optimizer else []
        return [value.numpy() for value in variables if "momentum" in value.path]

    @staticmethod
    def seed(model: Any) -> Any:
        return model.dropout.seed_generator.state.numpy()

    @staticmethod
    def call(model: Any, x: Any) -> Any:
        return model(x).numpy()

    @staticmethod
    def evaluating(model: Any) -> Any:
        return model

    @staticmethod
    def mode(model: Any, x: Any) -> str:
        """The model is left as it was: dropout's random numbers, batch norm's statistics."""
        assert not random(keras_kit, model, x)
        before = [value.numpy() for value in model.variables]
        one, other = (model(x, training=True).numpy() for _ in range(2))
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
        return "at call" if (one != other).any() else "fixed"

    @staticmethod
    def trainable(model: Any, optimizer: Any) -> bool:
        return optimizer is not None and hasattr(model, "train_on_batch")

    @staticmethod
    def state(model: Any, optimizer: Any) -> list[Any]:
        return [value.numpy() for value in (*model.variables, *optimizer.variables)]

    @staticmethod
    def restore(model: Any, optimizer: Any, start: list[Any], seed: Any) -> None:
        both = (*model.variables, *optimizer.variables)
        for variable, value in zip(both, start, strict=True):
            variable.assign(value)
        model.dropout.seed_generator.state.assign(seed)

    @staticmethod
    def train_on(model: Any, _: Any, x: Any, y: Any) -> None:
        model.train_on_batch(x, y)


class saved_model_kit:  # noqa: N801
    @staticmethod
    def everything(_: Any) -> list[Any]:
        import tensorflow as tf

        reader = tf.train.load_checkpoint("directory/variables/variables")
        names = reader.get_variable_to_dtype_map()
        return [reader.get_tensor(name) for name in names if "OBJECT_GRAPH" not in name]

    @staticmethod
    def momentum(optimizer: Any) -> list[Any]:
        variables = optimizer._variables if optimizer else []
        return [value.numpy() for value in variables if "momentum" in value.name]

    @staticmethod
    def call(model: Any, x: Any) -> Any:
        import tensorflow as tf

        return model.signatures["serving_default"](tf.constant(x))["output_0"].numpy()

    @staticmethod
    def evaluating(model: Any) -> Any:
        return model

    @staticmethod
    def mode(model: Any, x: Any) -> str:
        """One program, which takes the inputs and nothing else."""
        assert not random(saved_model_kit, model, x)
        _, named = model.signatures["serving_default"].structured_input_signature
        return "fixed" if len(named) == 1 else "at call"

    @staticmethod
    def trainable(model: Any, _: Any) -> bool:
        return hasattr(model, "train_on_batch")


class onnx_kit:  # noqa: N801
    @staticmethod
    def everything(_: Any) -> list[Any]:
        import onnx

        (file,) = Path().glob("*.onnx")
        return [onnx.numpy_helper.to_array(value) for value in onnx.load(file).graph.initializer]

    @staticmethod
    def momentum(_: Any) -> list[Any]:
        return []

    @staticmethod
    def call(model: Any, x: Any) -> Any:
        return model.run(None, {model.get_inputs()[0].name: x})[0]

    @staticmethod
    def evaluating(model: Any) -> Any:
        return model

    @staticmethod
    def mode(model: Any, x: Any) -> str:
        assert not random(onnx_kit, model, x)
        return "at call" if hasattr(model, "train") else "fixed"

    @staticmethod
    def trainable(*_: Any) -> bool:
        return False


# ------------------------------------------------------------------------------- the two runs


@dataclass
class Bench:
    """One framework's tasks, in order; `results` after `finish` under the same keys."""

    root: Path
    framework: str
    page: Page
    tasks: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    recorded: set[bool] = field(default_factory=set)

    def add_example(self, example: Example) -> None:
        for altered in (False, True) if example.loaded else (False,):
            self.add_save(example, altered)
        here, name = self.saved(example, False), example.name
        for number, block in enumerate(example.loads):
            code = self.opening(block.code) + block.code
            for where in {where for where, _, _ in block.outcomes}:
                self.add((name, where, number), code, here, source=where != "alone")
        if block := example.loaded:
            bare = self.opening(block.code) + re.sub(
                r"^(print\(|model\.(eval|train)\().*\n", "", block.code, flags=re.MULTILINE
            )
            for altered, then in ((False, "compare"), (True, "of_another_size")):
                cwd = self.saved(example, altered)
                self.add((name, then), bare, cwd, source=True, then=then, altered=altered)

    def add_save(self, example: Example, altered: bool) -> None:
        opening = self.page.saving[self.framework]
        if altered:
            assert "units=5" in opening
            opening = opening.replace("units=5", "units=7").replace("model.eval()", "model.train()")
        self.add(
            (example.name, "save", altered),
            opening + example.save.code,
            self.saved(example, altered),
            source=True,
            then=None if altered in self.recorded else "record",
            altered=altered,
        )
        self.recorded.add(altered)

    def opening(self, code: str) -> str:
        return "" if "onnxruntime" in code else self.page.loading[self.framework]

    def saved(self, example: Example, altered: bool) -> Path:
        number = list(self.page.examples).index(example.name)
        return self.root / "saved" / f"{number}{'-altered' if altered else ''}"

    def add(
        self,
        key: tuple[Any, ...],
        code: str,
        cwd: Path,
        source: bool = False,
        then: str | None = None,
        altered: bool = False,
    ) -> None:
        self.tasks[key] = {
            "code": code,
            "cwd": str(cwd),
            "path": [str(self.root / "source")] if source else [],
            "then": then,
            "expected": str(self.root / f"expected-{self.framework}-{altered}.npz"),
            "on_top": next((ON_TOP[each] for each in ON_TOP if self.imports(each, code)), ()),
        }

    def imports(self, each: tuple[str, str], code: str) -> bool:
        return each[0] == self.framework and f"import {each[1]}" in code

    def run(self) -> None:
        job = self.root / f"{self.framework}.json"
        job.write_text(json.dumps(list(self.tasks.values())))
        code = f"import runpy; runpy.run_path({__file__!r}, run_name='__main__')"
        words = ("-I", "-c", code, str(job))
        in_a_parent(PARENTS[self.framework], self.root, *words)

    def results(self) -> Results:
        files = [self.root / f"{self.framework}.{i}.json" for i in range(len(self.tasks))]
        return {
            key: json.loads(file.read_text()) for key, file in zip(self.tasks, files, strict=True)
        }


@cache
def the_page() -> Page:
    return Page.read(PAGE.read_text())


def in_a_parent(parent: str, cwd: Path, *words: str) -> None:
    from testing import preloaded  # cannot be found where this file is a script

    done = preloaded.run(parent, cwd, *words)
    assert done.returncode == 0, done.stderr


def measured(root: Path, page: Page) -> Results:
    """Every result, both frameworks beside each other."""
    (root / "source").mkdir()
    for module, text in page.sources.items():
        (root / "source" / f"{module}.py").write_text(text)
    in_a_parent("mlflow", root, "-c", FRESH_STORE)
    benches = [Bench(root, framework, page) for framework in SOURCES]
    for bench in benches:
        for example in page.examples.values():
            if example.framework == bench.framework:
                bench.add_example(example)
    with ThreadPoolExecutor() as both:
        list(both.map(Bench.run, benches))
    return {key: value for bench in benches for key, value in bench.results().items()}


def row(page: Page, results: Results, name: str) -> dict[str, str]:
    """The cells as measured, of the first load block that answers as the saved model."""
    example = page.examples[name]
    if not example.loaded:
        return dict.fromkeys(MEASURED, NOTHING)
    told, other = results[name, "compare"], results[name, "of_another_size"]
    assert told["error"] is None, told["trace"]
    cells, sized = dict(told["found"]), other["error"] is None
    alone = any(("alone", *RIGHT) in block.outcomes for block in example.loads)
    by = "code" if alone else "name"
    cells["Architecture"] = yes(sized)
    cells["Custom layer"] = by if sized else "no"
    cells["Custom loss"] = by if cells["Custom loss"] == "yes" and sized else "no"
    if sized and example.framework == "PyTorch" and not other["found"]["random"]:
        assert other["found"]["as in evaluation"], f"{name}: neither of the two modes"
        cells["Mode"] = "evaluation"
    needs = packages(example.loaded.code, page.loading[example.framework])
    if "mlflow" not in needs:  # it brings cloudpickle
        needs |= {"cloudpickle"} & set(told["loaded"])
    cells["Needs at load"] = ", ".join([*sorted(needs), *([] if alone else ["source"])])
    return cells


def packages(code: str, opening: str) -> set[str]:
    """Those that a block imports, the lines before it included."""
    text = code if "onnxruntime" in code else opening + code
    nodes = list(ast.walk(ast.parse(text)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {part for name in names for part in name.split(".")} & set(PACKAGES)


# ----------------------------------------------------------------------------------- the tests


def faults(page: Page, results: Results) -> list[str]:
    """Where the page says other than what was measured."""
    found = []
    for example in page.examples.values():
        found += ended_otherwise(example, results)
        measured_row = row(page, results, example.name)
        for column in MEASURED:
            said = page.rows[example.name][column]
            if said != measured_row[column]:
                found.append(f"{example.name}, {column}: {said}, measured {measured_row[column]}")
    return found


def ended_otherwise(example: Example, results: Results) -> list[str]:
    found = []
    save = results[example.name, "save", False]
    if not example.save.outcomes and save["error"]:
        found.append(f"{example.name}, save: {save['trace']}")
    ends = [(o, save) for o in example.save.outcomes]
    for number, block in enumerate(example.loads):
        ends += [(o, results[example.name, o[0], number]) for o in block.outcomes]
    for (where, verb, text), result in ends:
        if not as_said(verb, text, result):
            end = result["error"] or result["printed"]
            found.append(f"{example.name}, {where}: {verb} {text}, but {end[:300]}")
    return found


def as_said(verb: str, text: str, result: dict[str, Any]) -> bool:
    if verb == "prints":
        return result["error"] is None and result["printed"].strip() == text
    return (result["error"] or "").startswith(text)


def outcomes(example: Example) -> list[tuple[str, str, str]]:
    return [told for block in (example.save, *example.loads) for told in block.outcomes]


def test_every_row_has_an_example_and_every_example_a_row() -> None:
    page = the_page()
    assert list(page.rows) == list(page.examples)
    assert len(page.rows) >= 20


def test_every_load_says_how_it_ends_without_the_source() -> None:
    for example in the_page().examples.values():
        assert example.loads or example.save.outcomes, example.name
        for block in example.loads:
            assert "alone" in {where for where, _, _ in block.outcomes}, (example.name, block.code)


def test_what_needs_its_source_shows_that_it_works_with_it() -> None:
    page = the_page()
    for name, cells in page.rows.items():
        if cells["Needs at load"].endswith("source"):
            assert ("with its source", *RIGHT) in outcomes(page.examples[name]), name


def test_the_failures_of_a_row_are_those_of_its_example() -> None:
    page = the_page()
    for name, cells in page.rows.items():
        told = {text for *_, text in outcomes(page.examples[name])} - {"True"}
        said = set(re.findall(r"(?:^|; |prints )`(.*?)`(?=; |$)", cells["How it fails"]))
        assert said == told, name
        assert said, name


def test_what_to_do_instead_is_a_way_of_this_page() -> None:
    page = the_page()
    for name, cells in page.rows.items():
        named = set(re.findall(r"`(.*?)`", cells["Instead"]))
        assert named <= {*page.rows, "model.eval()"}, name
        assert named or "this one" in cells["Instead"], name
        assert name not in named


def test_every_column_is_explained() -> None:
    legend = PAGE.read_text().split("| Way |")[0]
    for column in (*MEASURED, "How it fails"):
        assert f"| {column} |" in legend


def test_the_last_part_names_what_is_there() -> None:
    last = PAGE.read_text().split("## What this project does instead")[1]
    assert (ROOT / "pipeline" / "formats").is_dir()
    assert (PAGE.parent / "../README.md").is_file()
    stages = (ROOT / "dvc.yaml").read_text()
    for name in ("export-complete", "verify"):
        assert f"`{name}`" in last
        assert f"\n  {name}:" in stages


def test_every_example_ends_as_it_says_and_every_cell_is_as_measured(tmp_path: Path) -> None:
    page = the_page()
    results = measured(tmp_path, page)
    assert faults(page, results) == []
    number = list(page.examples).index
    for name, kept in {
        "mlflow.pytorch.log_model": "pt2",
        "mlflow.tensorflow.log_model": "keras",
    }.items():
        assert list((tmp_path / "saved" / str(number(name)) / "saved").rglob(f"*.{kept}"))
    for name, lie in spoilt(PAGE.read_text()).items():
        noticed = faults(Page.read(lie), results)
        assert noticed
        assert all(fault.startswith(f"{name}, ") for fault in noticed), noticed


def spoilt(text: str) -> dict[str, str]:
    """Pages with one lie each: in a cell, in what is printed, in an error; and on which way."""
    cell, error = "| `torch.export.save` | yes |", "fails with `ValueError: Unknown layer"
    printed = r"(### `torch.jit.trace`.*?alone: prints `)False`"
    return {
        "torch.export.save": text.replace(cell, cell.replace("yes", "no")),
        "torch.jit.trace": re.sub(printed, r"\1Yes`", text, flags=re.DOTALL),
        'model.save("m.h5")': text.replace(error, error.replace("Value", "Type")),
    }


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
