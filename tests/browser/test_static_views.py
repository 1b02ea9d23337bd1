"""A saved notebook as a web page, with the network off: every explorer shows its static view, and hover works."""

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from lessons.convert import clean
from lessons.widgets import Explorer
from lessons.widgets.examples import kinds, makers, tiny, turned, watch

SAID = "the keeper counted <script>alert(1)</script> the boats"


@pytest.fixture(scope="module")
def explorers() -> dict[str, Explorer]:
    """An explorer of every class, in the order in which the notebook shows them; labs and dashboard after a run or two."""
    of = tiny()
    made = {name: make("One" if name == "TruthExplorer" else SAID) for name, make in makers(of).items()}
    turned(made["BPEStepper"], step=made["BPEStepper"].step.max)
    made["PretrainingLab"].run()
    made["TuningLab"].run()
    made["TuningLab"].run(rank=4)
    watch(made["TrainingDashboard"], of, "a sample")
    return made


@pytest.fixture(scope="module")
def page(chromium, explorers, tmp_path_factory):
    """The notebook, saved as the course saves it, converted and opened offline."""
    outputs = [
        nbformat.v4.new_output("display_data", explorer._repr_mimebundle_())
        for explorer in explorers.values()
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("explorer", outputs=[each]) for each in outputs]
    )
    # The page's own scripts, for formulas and for live widgets, would come from the network.
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jupyter_widgets_base_url="")
    path = tmp_path_factory.mktemp("static") / "notebook.html"
    path.write_text(exporter.from_notebook_node(clean(notebook))[0], encoding="utf-8")
    context = chromium.new_context(offline=True, viewport={"width": 1100, "height": 900})
    tab, requests, errors = context.new_page(), [], []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(path.as_uri(), wait_until="load")
    yield tab
    context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@pytest.fixture
def shown(page, explorers):
    """The part of the page that shows an explorer, by its class."""
    return lambda name: page.locator(".jp-CodeCell").nth(list(explorers).index(name)).locator(".minilm")


@pytest.mark.parametrize("name", kinds())
def test_every_explorer_shows_its_static_view(shown, name):
    view = shown(name)
    expect(view).to_have_count(1)
    box = view.bounding_box()
    assert box["height"] > 100 and 600 < box["width"] <= 1100
    assert view.evaluate("element => element.scrollWidth <= element.clientWidth"), "something is cut off"
    expect(view.locator(".status.error")).to_have_count(0)


@pytest.mark.parametrize("name", ["LensExplorer", "Playground", "ShiftExplorer"])
def test_pointing_at_a_token_shows_its_panel(shown, name):
    token = shown(name).locator(".text > .token:not(.shown)").nth(3)
    expect(token.locator(".panel")).to_be_hidden()
    token.hover()
    expect(token.locator(".panel")).to_be_visible()


def test_pointing_at_a_row_of_attention_fades_the_others(shown):
    rows = shown("AttentionExplorer").locator(".q")
    rows.nth(2).hover()
    told = rows.nth(2).evaluate("row => getComputedStyle(row, '::after').content")
    assert "attends to" in told
    expect(rows.nth(3).locator("svg")).to_have_css("opacity", "0.06")
    expect(rows.nth(2).locator("svg")).to_have_css("opacity", "1")


def test_all_heads_are_in_the_saved_view_and_nothing_pretends_to_be_a_button(shown):
    view = shown("AttentionExplorer")
    expect(view.locator(".thumb")).to_have_count(16)
    expect(view).to_contain_text("All heads of base: in a running notebook, press one to look into it")
    expect(view.locator("button")).to_have_count(0)


def test_a_gate_tells_its_share(shown):
    token = shown("GateExplorer").locator(".text .token").first
    assert "% of the attention" in token.get_attribute("title")


def test_a_token_can_be_reached_by_keyboard(page, shown):
    token = shown("Playground").locator(".text > .token").nth(3)
    token.focus()
    page.mouse.move(0, 0)
    expect(token.locator(".panel")).to_be_visible()


@pytest.mark.parametrize("name", ["PretrainingLab", "SmoothingExplorer", "TrainingDashboard", "TuningLab"])
def test_a_curve_tells_its_values_under_the_pointer(shown, name):
    strip = shown(name).locator(".strips").first.locator("> div").nth(4)
    expect(strip.locator("b")).to_be_hidden()
    strip.hover()
    expect(strip.locator("b")).to_be_visible()
    expect(strip.locator("b")).to_contain_text(
        "query" if name == "SmoothingExplorer" else "step 5 · training"
    )


def test_a_piece_of_a_word_tells_how_it_came_to_be(shown):
    titles = [each.get_attribute("title") for each in shown("BPEStepper").locator(".words .token").all()]
    assert any("merge" in title and "met" in title for title in titles)
