"""verify.json as one page for people; it fetches nothing from elsewhere and runs no script."""

from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from pipeline.html.pieces import Rows, fact, matrix, number, signature, size
from pipeline.verification.report import WHOLE

STYLE = Path(__file__).with_suffix(".css")
Report = Mapping[str, Any]

PROMISED = {
    "code_free": "Loads without the source",
    "safe_to_load": "Runs no code from the file",
    "trainable": "Can be trained on",
    "same_bytes": "Same model, same bytes",
}


def as_page(report: Report) -> str:
    """HTML of what `verify_report.summarise` gives."""
    name = escape(report["model"]["name"])
    parts = (head, faults, checks, differences, training, promises, weight_and_time, again)
    body = "\n".join(part(report) for part in parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{verdict(report)}: {name}</title>\n<style>\n{STYLE.read_text()}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def verdict(report: Report) -> str:
    return "Passed" if report["passed"] else "Do not ship"


def head(report: Report) -> str:
    model, count = report["model"], len(report["faults"])
    kind = "good" if report["passed"] else "bad"
    told = (
        "no fault found" if report["passed"] else f"{count} {'fault' if count == 1 else 'faults'}"
    )
    facts = {
        "Epoch": model["epoch"],
        **{name: number(value) for name, value in model["metrics"].items()},
        "Test rows": f"{model['test_rows']:,}",
        "Directory": size(report["sizes"]["directory"]),
    }
    return (
        f'<span class="verdict {kind}">{verdict(report)}</span> <span class="soft">{told}</span>\n'
        f"<h1>{escape(model['name'])}, as a complete model</h1>\n"
        f"<p>It takes {signature(model['inputs'])} and gives {signature(model['outputs'])}. "
        f"{how(report)}</p>\n"
        f"<dl>{''.join(fact(*each) for each in facts.items())}</dl>\n"
        f'<p class="soft">Complete model <code>{escape(str(report["complete_model"]))}</code><br>'
        f"made from checkpoint <code>{escape(str(report['checkpoint']))}</code><br>"
        f"{signed(report)}"
        "(sha256 of their statements, <code>provenance.json</code>)</p>"
    )


def how(report: Report) -> str:
    if not answered(report):
        return "No format was loaded, or none answered."
    sources = ", ".join(f"<code>{escape(each)}</code>" for each in report["model"]["sources"])
    text = (
        "Each format was loaded in a fresh process in an empty directory, where importing "
        f"{sources} is refused, and its answers were held against the trained model's."
    )
    needy = [n for n, f in report["formats"].items() if not f["promises"]["code_free"]]
    known = f" Only {', '.join(needy)} answered with the source at hand, which it needs."
    held = "; ".join(f"{what}: {escape(how)}" for what, how in report["confined"].items())
    return f"{text}{escape(known) if needy else ''} The processes were confined: {held}."


def signed(report: Report) -> str:
    key = report["signed_by"]
    return f"signed by the key <code>{escape(key)}</code><br>" if key else ""


def columns(report: Report) -> list[str]:
    """A format each."""
    return list(report["formats"]) or ["complete model"]


def answered(report: Report) -> bool:
    return any(found["answered"] for found in report["formats"].values())


def faults(report: Report) -> str:
    if report["passed"]:
        return ""
    items = (
        f"<li><strong>{escape(' · '.join(filter(None, (each['check'], each['format']))))}</strong>"
        f"<br>{escape(each['fault'])}</li>"
        for each in report["faults"]
    )
    return f'<h2>Faults</h2>\n<ul class="faults">{"".join(items)}</ul>'


def checks(report: Report) -> str:
    rows: Rows = {
        (name, found["about"]): partial(outcome, report, name)
        for name, found in report["checks"].items()
    }
    return f"<h2>What was checked</h2>\n{matrix(columns(report), rows)}"


def outcome(report: Report, check: str, name: str) -> str:
    found = [f for f in report["faults"] if f["check"] == check and f["format"] in (None, name)]
    given = report["formats"].get(name, {})
    if found:
        count = f"<small>{len(found)} {'fault' if len(found) == 1 else 'faults'}</small>"
        return f'<span class="bad">✗ failed</span>{count}'
    if check == "continuation" and given and not given["promises"]["trainable"]:
        return '<span class="none">– not promised</span>'
    if check == "self_contained" and given and not given["promises"]["code_free"]:
        reason = report["checks"][check]["measured"][name]["without_source"]
        return f'<span class="none">– not promised</span><small>{escape(reason)}</small>'
    if given and not given["answered"] and check not in WHOLE:
        return '<span class="none">– not examined</span>'
    return '<span class="good">✓ passed</span>'


def differences(report: Report) -> str:
    if not answered(report):
        return ""
    rows: dict[tuple[str, str], Callable[[Mapping[str, Any]], str]] = {
        ("Largest difference", "from the trained model's answers"): largest,
        ("Allowed", "params.verify.tolerance"): allowed,
        ("Between batches", "the same row in a batch of 1, 7 and many"): between,
        ("One weight changed by 1 %", "moves the answers by"): moved,
    }
    scored = report["checks"].get("metrics", {"measured": {}})["measured"].values()
    known = {name for found in scored for name in found["metrics"]}
    for name, value in report["model"]["metrics"].items():
        if name not in known:
            continue
        rows[name, f"trained model {number(value)}"] = partial(metric, name)
    shown: Rows = {heading: partial(of_format, give, report) for heading, give in rows.items()}
    return (
        "<h2>What was measured</h2>\n<p>Over all batches of the reference (1, 7 and many rows, and "
        f"edge values) and the test split.</p>\n{matrix(columns(report), shown)}"
    )


def of_format(give: Callable[[Mapping[str, Any]], str], report: Report, name: str) -> str:
    return give(measured(report, name))


def measured(report: Report, name: str) -> dict[str, Any]:
    """Check -> what it measured of the format."""
    return {check: each["measured"].get(name, {}) for check, each in report["checks"].items()}


def largest(found: Mapping[str, Any]) -> str:
    parity = found.get("parity", {})
    if not parity.get("at"):
        return number(parity.get("max_abs_diff"))
    relative, at = number(parity["max_rel_diff"]), escape(parity["at"])
    return f"{number(parity['max_abs_diff'])}<small>at {at}; relative {relative}</small>"


def allowed(found: Mapping[str, Any]) -> str:
    parity = found.get("parity", {})
    if not parity:
        return "–"
    return bound(parity)


def bound(found: Mapping[str, Any]) -> str:
    if found["atol"] == found["rtol"] == 0:
        return "none<small>every bit must agree</small>"
    return f"{number(found['atol'])}<small>+ {number(found['rtol'])} of the value</small>"


def between(found: Mapping[str, Any]) -> str:
    spread = found.get("deterministic", {})
    own = number(spread.get("batch_diff_of_trained"))
    return f"{number(spread.get('batch_diff'))}<small>trained model {own}</small>"


def moved(found: Mapping[str, Any]) -> str:
    spread = found.get("sensitivity", {})
    text = "refused" if spread.get("perturbed_refused") else number(spread.get("perturbed_moved"))
    return f"{text}<small>{escape(str(spread.get('perturbed') or ''))}</small>"


def metric(name: str, found: Mapping[str, Any]) -> str:
    return number(found.get("metrics", {}).get("metrics", {}).get(name))


def training(report: Report) -> str:
    """The steps that were taken without the source, beside the source's own."""
    found = report["checks"].get("continuation", {"measured": {}})["measured"]
    if not any(each["losses"] for each in found.values()):
        return ""
    rows: dict[tuple[str, str], Callable[[Mapping[str, Any]], str]] = {
        ("Steps", "rows in each"): steps,
        ("Loss", "in the first and the last step"): losses,
        ("Largest difference of losses", ""): partial(apart, "losses"),
        ("of weights and optimizer's state", "after the last step"): partial(apart, "state"),
        ("of answers to seven rows", "after the last step"): partial(apart, "answers"),
        ("Allowed", "params.verify.continuation"): bound,
        ("The steps move the answers by", ""): lambda each: number(each["moved"]),
    }
    shown: Rows = {
        heading: partial(lambda give, name: give(found[name]), give)
        for heading, give in rows.items()
    }
    return (
        "<h2>Trained on without the source</h2>\n<p>The checkpoint recorded some more steps, taken "
        "with the source code. Each format that promises to be trainable took them as well, in a "
        f"fresh process where the source is refused.</p>\n{matrix(found, shown)}"
    )


def steps(found: Mapping[str, Any]) -> str:
    ends = ", ".join(str(step + 1) for step in found["ends_epoch"])
    rows = ", ".join(map(str, found["rows"]))
    return f"{found['steps']}<small>{rows}; an epoch ends after {ends}</small>"


def losses(found: Mapping[str, Any]) -> str:
    def ends(of: list[float]) -> str:
        return f"{number(of[0])} → {number(of[-1])}" if of else "–"

    return f"{ends(found['losses'])}<small>source {ends(found['losses_of_source'])}</small>"


def apart(kind: str, found: Mapping[str, Any]) -> str:
    tensors = f"<small>{found['tensors']} tensors</small>" if kind == "state" else ""
    return f"{number(found['max_abs_diff'][kind])}{tensors}"


def promises(report: Report) -> str:
    given = {name: found["promises"] for name, found in report["formats"].items()}
    rows: Rows = {(text, ""): partial(yes_or_no, report, key) for key, text in PROMISED.items()}
    rows["Runtimes", ""] = lambda name: escape(", ".join(given[name]["runtimes"]))
    rows["Where it falls short", ""] = lambda name: f"<small>{escape(given[name]['note'])}</small>"
    table = f"<h2>What each format promises</h2>\n{matrix(columns(report), rows)}" if given else ""
    refused = (
        f"<li><strong>{escape(name)}</strong><br>{escape(why)}</li>"
        for name, why in report["refused"].items()
    )
    listed = "".join(refused)
    return table + (f"<h2>Cannot hold this model</h2>\n<ul>{listed}</ul>" if listed else "")


def weight_and_time(report: Report) -> str:
    given, sizes = report["formats"], report["sizes"]
    if not answered(report):
        return ""
    rows: Rows = {
        ("Files of its own", ""): lambda name: size(given[name]["bytes"]),
        ("Weights it uses", ""): lambda name: size(given[name]["weights_bytes"]),
        ("Optimizer's state", ""): lambda name: size(given[name]["optimizer_bytes"]),
        ("First load", "with its framework's import"): partial(seconds, report, "first_load"),
        ("Second load", ""): partial(seconds, report, "load"),
        ("First call", "one row"): partial(seconds, report, "first_call"),
        ("Peak memory", "framework, model and test split"): lambda name: (
            f"{given[name]['timing'].get('peak_mib', 0):.0f} MiB"
        ),
    }
    told = ""
    if sizes["ratio"]:
        bare = "weights and the optimizer's state" if sizes["optimizer"] else "weights"
        files = " + ".join(f"<code>{escape(each)}</code>" for each in sizes["files"])
        told = (
            f"<p>{files} weigh {size(sum(sizes['files'].values()))}, the {bare} alone "
            f"{size(sizes['weights'] + sizes['optimizer'])}: "
            f"<strong>{sizes['ratio']:.3f}</strong> times.</p>\n"
        )
    return f"<h2>Size and time</h2>\n{told}{matrix(columns(report), rows)}"


def again(_: Report) -> str:
    return (
        "<h2>Once more</h2>\n<p>All of this is also in <code>verify.json</code>, beside this page. "
        "To check the same files again:</p>\n"
        "<pre>dvc repro --single-item --force verify</pre>"
    )


def yes_or_no(report: Report, key: str, name: str) -> str:
    value = report["formats"][name]["promises"][key]
    return '<span class="good">yes</span>' if value else '<span class="bad">no</span>'


def seconds(report: Report, key: str, name: str) -> str:
    value = report["formats"][name]["timing"].get(f"{key}_seconds")
    if value is None:
        return "–"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"
