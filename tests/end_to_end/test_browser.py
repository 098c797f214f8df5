"""What people see of their runs: MLflow's own UI in a real browser, on a real server."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from faults._server import serving
from pipeline.tracking import view
from testing.finished import STAGES
from testing.project import ROOT, TINY, Project, make_project, needs

RATES = {"torch_mlp": "0.01", "keras_mlp": "0.05"}
QUICK = (*TINY, "verify.checks=[integrity,parity]")
LOOPBACK = "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
PATIENCE = 60_000
DIGITS = view.View(data="digits", chosen_by="val/accuracy", judged=("test/accuracy", "test/loss"))


class Site(NamedTuple):
    uri: str
    reports: dict[str, dict]
    """reports/mlflow.json by model."""

    def address(self, model: str, rest: str = "") -> str:
        report = self.reports[model]
        place = f"{self.uri}/#/experiments/{report['experiment_id']}/runs/{report['run_id']}"
        return f"{place}{rest}?{view.KIND}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = needs("chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    arguments.append(f"--host-resolver-rules={LOOPBACK}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A run of each framework, with learning rates of their own."""
    folder = tmp_path_factory.mktemp("browser")
    project = make_project(folder / "project")
    with serving(folder / "server") as server:
        uri, reports = f"http://127.0.0.1:{server.port}", {}
        for model, rate in RATES.items():
            project.params(*QUICK, f"model={model}", f"train.lr={rate}", f"tracking.uri={uri}")
            for stage in (*STAGES, "log-to-mlflow"):
                project.stage(stage)
            reports[model] = json.loads(project.read("reports/mlflow.json"))
        yield Site(uri, reports)


@pytest.fixture(scope="module")
def context(browser: Browser) -> BrowserContext:
    """Its pages read MLflow's scripts once."""
    return browser.new_context(viewport={"width": 1600, "height": 1200})


@pytest.fixture
def page(context: BrowserContext, tmp_path: Path) -> Iterator[Page]:
    """Nothing is asked for elsewhere; what was seen last lies in tmp_path."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script("localStorage['mlflow.assistant.fab.autoOpenedOnFirstLoad_v1'] = 'true'")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    page.screenshot(path=tmp_path / "seen.png")
    page.evaluate("localStorage.clear()")
    page.close()
    own = ("http://127.0.0.1:", "data:", "blob:", "about:")
    assert [url for url in asked if not url.startswith(own)] == []


expect.set_options(timeout=PATIENCE)


def runs(page: Page, site: Site) -> None:
    experiment = site.reports["torch_mlp"]["experiment_id"]
    page.goto(DIGITS.address(site.uri, experiment))
    expect(page.get_by_text("2 matching runs")).to_be_visible()


def test_the_table_of_runs_opens_with_the_columns_to_compare_by(page: Page, site: Site) -> None:
    runs(page, site)
    expect(page.get_by_text("are of the complete model. To begin with:")).to_be_visible()
    for column in ("model.name", "train.lr", "test/accuracy", "val/accuracy", "verify/size_mb"):
        expect(page.get_by_role("columnheader", name=column).first).to_be_visible()
    for model, rate in RATES.items():
        name = site.reports[model]["run_name"]
        assert re.fullmatch(rf"{model}-digits-[0-9a-f]{{8}}", name)
        link = page.get_by_role("link", name=name)
        expect(link).to_be_visible()
        assert link.evaluate("each => each.scrollWidth <= each.clientWidth"), "the name is cut"
        expect(page.get_by_role("gridcell", name=rate, exact=True)).to_be_visible()
    expect(page.get_by_role("button", name=DIGITS.name, exact=True)).to_be_visible()
    assert site.reports["torch_mlp"]["links"]["runs"] == page.url.partition("&searchFilter")[
        0
    ].replace("+", "%20")


def test_two_runs_are_chosen_and_their_difference_is_the_changed_param(
    page: Page, site: Site
) -> None:
    runs(page, site)
    page.get_by_role("columnheader").get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    expect(page.locator("canvas.gl-canvas-context")).to_be_visible()
    for axis in ("model.framework", "test/accuracy"):
        expect(page.locator("svg .axis-title", has_text=axis)).to_be_visible()

    changed, same = (page.get_by_role("row", name=name) for name in ("train.lr ", "train.epochs "))
    for rate in RATES.values():
        expect(changed.get_by_text(rate, exact=True)).to_be_visible()
    expect(changed).to_have_class("diff-row")
    expect(same).to_be_visible()
    page.get_by_role("switch", name="Parameters - Show diff only").click()
    expect(same).to_be_hidden()
    expect(changed).to_be_visible()


def test_every_curve_has_a_line_for_each_run(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 1600, "height": 3000})  # a chart out of sight is not drawn
    experiment = site.reports["torch_mlp"]["experiment_id"]
    address = DIGITS.address(site.uri, experiment)
    page.goto(f"{address}&compareRunsMode=CHART")
    chart = page.get_by_test_id("experiment-view-compare-runs-card").first
    expect(chart.get_by_text("Parallel Coordinates")).to_be_visible()
    for axis in ("model.name", "train.lr", "test/accuracy"):
        expect(chart.get_by_text(axis, exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="train.lr vs. test/accuracy")).to_be_visible()
    for metric in ("train/loss", "val/loss", "val/accuracy"):
        title = page.get_by_role("heading", name=metric, exact=True)
        card = page.get_by_test_id("experiment-view-compare-runs-card").filter(has=title)
        lines = card.locator("svg .scatterlayer path.js-line")
        expect(lines).to_have_count(2 * len(RATES))  # each as it is, and smoothed
        assert len(set(lines.evaluate_all("all => all.map(each => each.style.stroke)"))) == 2
        for report in site.reports.values():
            expect(card.get_by_text(report["run_name"])).to_be_visible()
    title = page.get_by_role("heading", name="test/accuracy", exact=True)
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(has=title)
    expect(card.locator("svg .barlayer .point path")).to_have_count(len(RATES))


def test_pictures_and_the_page_of_verify_are_displayed_among_the_artifacts(
    page: Page, site: Site
) -> None:
    page.goto(site.address("keras_mlp", "/artifacts/verify/verify.html"))
    verified = page.frame_locator("iframe")
    expect(verified.get_by_role("heading", name="keras_mlp, as a complete model")).to_be_visible()
    expect(verified.get_by_text("no fault found")).to_be_visible()
    expect(verified.get_by_role("row", name="parity")).to_contain_text("passed")
    expect(verified.get_by_role("img", name="confusion matrix")).to_be_visible()
    page.get_by_text("plots", exact=True).click()
    for name in ("learning_curves", "confusion_matrix"):
        page.get_by_text(f"{name}.png", exact=True).click()
        expect(page.get_by_text(f"plots/{name}.png", exact=True)).to_be_visible()
        picture = page.get_by_role("img", name=f"plots/{name}.png")
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") >= 600


def test_a_run_says_what_it_is_and_which_data_went_in(page: Page, site: Site) -> None:
    page.goto(site.address("torch_mlp"))
    digest = site.reports["torch_mlp"]["complete_model"][:12]
    expect(page.get_by_text(f"python -m pipeline.reproduce {digest}")).to_be_visible()
    page.get_by_role("button", name=re.compile(r"^digits \([0-9a-f]{12}\)")).click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("Digest")).to_be_visible()
    expect(drawer.get_by_text("train: 1078")).to_be_visible()


def test_a_logged_model_has_its_metrics_params_and_files(page: Page, site: Site) -> None:
    runs(page, site)
    page.get_by_role("link", name="Models", exact=True).click()
    page.get_by_role("link", name="torch_mlp", exact=True).click()
    expect(page.get_by_role("heading", name="torch_mlp", exact=True)).to_be_visible()
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    expect(page.get_by_text("Datasets used")).to_be_visible()
    expect(page.get_by_role("button", name="digits (").first).to_be_visible()
    digest = site.reports["torch_mlp"]["complete_model"][:12]
    expect(page.get_by_text(f"python -m pipeline.reproduce {digest}")).to_be_visible()
    expect(page.get_by_role("row", name="test/accuracy")).to_be_visible()
    expect(page.get_by_role("row", name="train.lr 0.01")).to_be_visible()
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("README.md", exact=True).click()
    expect(page.get_by_text("A complete model: architecture, weights")).to_be_visible()


def test_dvc_s_plots_are_drawn_without_a_network(browser: Browser, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project.root / "artifacts/train").mkdir(parents=True)
    history = "epoch,train/loss,val/loss,val/accuracy\n1,3,2,0.5\n2,2,1,0.75\n"
    (project.root / "artifacts/train/history.csv").write_text(history)
    (project.root / "artifacts/checkpoint").mkdir()
    predictions = project.root / "artifacts/checkpoint/predictions.csv"
    predictions.write_text("actual,predicted\n0,0\n1,0\n")
    (project.root / ".venv").mkdir()
    project.run(sys.executable, str(ROOT / "scripts/vega.py"), ".venv/vega.js")
    assert shown(project, browser) == ([], 3)


def test_without_make_dvc_s_plots_are_as_dvc_makes_them(browser: Browser, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project.root / "artifacts/train").mkdir(parents=True)
    (project.root / "artifacts/train/history.csv").write_text("epoch,val/accuracy\n1,0.5\n")
    asked, drawn = shown(project, browser)
    assert (
        drawn == 0 and asked and all(url.startswith("https://cdn.jsdelivr.net/") for url in asked)
    )


def shown(project: Project, browser: Browser) -> tuple[list[str], int]:
    """What `dvc plots show` makes: the addresses that the page asks for, and its drawings."""
    said = project.run("dvc", "plots", "show").stdout
    assert "ERROR" not in said
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((project.root / "dvc_plots/index.html").as_uri())
    drawn = page.locator(".vega-embed canvas, .vega-embed svg.marks").count()
    page.close()
    return [url for url in asked if not url.startswith("file:")], drawn
