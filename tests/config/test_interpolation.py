"""An interpolation leads to another value of the configuration, in bounds, and nowhere else."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.interpolation import demand_no_resolvers
from pipeline.config.yaml_text import load_yaml
from pipeline.errors import ParamsError
from testing.project import ROOT

SECRET = "hf_4fE2kQz0nLr7TtXw9sYbVvCc"
VALUES = {"x": "oc.env", "y": "env", "name": "SECRET", "d": "$", "a": {"b": 1, "l": [2, 3]}}
VALUES |= {"none": None, "follows": "${a.l}"}
FOLLOWED = {
    "${a.b}": 1,
    "${ a.b }": 1,
    "${.x}": "oc.env",
    "${a.l[1]}": 3,
    "${a.l.0}": 2,
    "${a[b]}": 1,
    "is ${a.b}${x}": "is 1oc.env",
    "${oc.select:a.b}": 1,
    "${oc.select:a.c,7}": 7,
    "${oc.dict.keys:a}": ["b", "l"],
    "${count:a.l}": 2,
    "${count:a}": 2,
    "${count:a.b}": 1,
    "${count:none}": None,
    "${count:follows}": 2,
}
LEADING_OUT = (
    *("${oc.env:SECRET}", "${ oc.env:SECRET}", "${oc.env: SECRET,none}", "${oc.env:${name}}"),
    *("${${x}:SECRET}", "${oc.${y}:SECRET}", "${x}${oc.env:SECRET}", "$${oc.env:SECRET}"),
    *("${oc.decode:'${oc.env:SECRET}'}", "${oc.decode:'\\${oc.env:SECRET}'}"),
    *("${oc.select:none,${oc.env:SECRET}}", '${oc.select:none,"\\${oc.env:SECRET}"}'),
    *("${oc.create:{a:1}}", "${oc.deprecated:x}", "${hydra:job.name}", "${now:%Y}", "${own:1}"),
    *("${count:${oc.env:SECRET}}", "${count:'\\${oc.env:SECRET}'}", "${countx:a}"),
    *("\\${oc.env:SECRET}", "\\\\${oc.env:SECRET}", "${oc.\nenv:SECRET}", "${d}{oc.env:SECRET}"),
)
"""The last of them becomes one only when it has been followed."""


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", SECRET)


@pytest.mark.parametrize("text", FOLLOWED)
def test_one_to_a_value_is_followed(text: str) -> None:
    assert interpolated({**VALUES, "value": text})["value"] == FOLLOWED[text]


@pytest.mark.parametrize("text", LEADING_OUT)
@pytest.mark.parametrize("place", [lambda v: v, lambda v: {"in": v}, lambda v: [{"in": [v]}]])
def test_one_that_leads_out_is_refused_in_one_line_that_names_the_key(
    text: str, place: Any
) -> None:
    with pytest.raises(ParamsError) as raised:
        interpolated({**VALUES, "value": place(text)})
    said = str(raised.value)
    assert said.startswith("value") and SECRET not in said and "\n" not in said
    with pytest.raises(ParamsError, match="value"):
        interpolated(VALUES, {"value": place(text)})


@pytest.mark.parametrize("text", [*LEADING_OUT[:-1], "${oc.select:a.b}"])
def test_params_of_the_user_s_or_a_stranger_s_hold_no_resolver_at_all(text: str) -> None:
    with pytest.raises(ParamsError, match=r"params.yaml: train.lr: found"):
        demand_no_resolvers({"train": {"lr": text}}, "params.yaml: ")


def doubling(times: int, levels: int, first: Any = "x" * 1000) -> dict[str, Any]:
    names = {"a0": first}
    return names | {f"a{n + 1}": f"${{net.a{n}}}" * times for n in range(levels)}


ENDLESS: dict[str, dict[str, Any]] = {
    "laughs": doubling(2, 25),
    "ten times": doubling(10, 9),
    "lists": {"a0": [1], **{f"a{n + 1}": [f"${{net.a{n}}}"] * 9 for n in range(9)}},
    "mappings": {
        "a0": {"x": 1},
        **{f"a{n + 1}": dict.fromkeys("abcdefghi", f"${{net.a{n}}}") for n in range(9)},
    },
    "through others": {
        "a0": {"x": "x" * 1000},
        **{f"a{n + 1}": {"x": f"${{net.a{n}.x}}" * 4} for n in range(9)},
    },
    "itself": {"a": "${net.a}"},
    "a circle": {"a": "${net.b}", "b": "x${net.a}"},
    "what it stands in": {"a": {"b": "${net}"}},
    "a long line": {**{f"a{n}": f"${{net.a{n + 1}}}" for n in range(3000)}, "a3000": 1},
    "keys": {"a": ["${oc.dict.values:net.a}"]},
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_would_take_for_ever_is_refused_before_it_is_followed(kind: str) -> None:
    before = time.process_time()
    with pytest.raises(ParamsError, match=r"^net"):
        interpolated({"net": ENDLESS[kind]})
    assert time.process_time() - before < 5


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize("text", [LAUGHS, "a: &a [*a]\n", "a: &a {b: *a}\n", "[" * 5000])
def test_a_file_whose_aliases_have_no_end_is_refused(text: str) -> None:
    before = time.process_time()
    with pytest.raises(ParamsError, match=r"^params.yaml: "):
        load_yaml(text, "params.yaml")
    assert time.process_time() - before < 10


def test_aliases_of_the_user_s_own_are_read() -> None:
    assert load_yaml("a: &x {b: 1}\nc: *x\nd: [*x, *x]\n", "params.yaml")["d"] == [{"b": 1}] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${count:a.c}", "a.c"),
        ("${count:name}", "name: found 'SECRET', expected a list, a whole number or null"),
        ("${count:}", "count"),
        ("${count:value}", "value"),
    ],
)
def test_what_cannot_be_counted_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ParamsError) as raised:
        interpolated({**VALUES, "value": text})
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_dvc_and_hydra_count_as_compose_does(tmp_path: Path) -> None:
    """`dvc exp run -S` composes within DVC, which is told where the resolver is in .dvc/config."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/config.yaml").write_text("names: [a, b, c]\nclasses: ${count:names}\n")
    plugins = re.search(r"plugins_path = (\S+)", (ROOT / ".dvc/config").read_text())
    assert plugins
    code = f"""
from dvc.utils.hydra import compose_and_dump
for each in ([], ["names=[d]"]):
    compose_and_dump("params.yaml", "{tmp_path}/conf", None, "config", "{ROOT / plugins[1]}", each)
    print(open("params.yaml").read())
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "classes: 3" in done.stdout and "classes: 1" in done.stdout
    assert interpolated(compose_conf(tmp_path / "conf", []))["classes"] == 3
