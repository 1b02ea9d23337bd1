"""A saved notebook as a web page, with the network off: every explorer shows its static view, and hover works."""

import nbformat
import pytest
import torch
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from lessons.convert import clean
from lessons.widgets import AttentionExplorer, BPEStepper, Playground, PretrainingLab, PretrainingSettings
from minilm import BPETokenizer, MiniLM, ModelConfig

TEXT = "the keeper counted the boats because the sea was calm. " * 40


@pytest.fixture(scope="module")
def explorers():
    """Explorers by the class of their view, in the order in which the notebook shows them."""
    torch.manual_seed(0)
    tokenizer = BPETokenizer.train([TEXT], vocab_size=280)
    model = MiniLM(
        ModelConfig(vocab_size=tokenizer.vocab_size, context_length=64, n_layer=2, n_head=4, d_model=32)
    ).eval()
    ids, settings = tokenizer.encode(TEXT), PretrainingSettings(n_layer=1, d_model=32, batch_size=4, steps=10)
    lab = PretrainingLab(tokenizer, ids, ids[:300], settings=settings, context_length=16)
    lab.run()
    return {
        "training": lab,
        "generation": Playground(model, tokenizer, "the keeper", length=20),
        "attention": AttentionExplorer(
            model, tokenizer, "the keeper counted <script>alert(1)</script> the boats"
        ),
        "bpe": BPEStepper(tokenizer, "the boats"),
    }


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


@pytest.mark.parametrize("name", ["training", "generation", "attention", "bpe"])
def test_every_explorer_shows_its_static_view(page, name):
    view = page.locator(f".minilm.{name}")
    expect(view).to_have_count(1)
    box = view.bounding_box()
    assert box["height"] > 100 and 600 < box["width"] <= 1100
    assert view.evaluate("element => element.scrollWidth <= element.clientWidth"), "something is cut off"


def test_pointing_at_a_generated_token_shows_its_candidates(page):
    token = page.locator(".minilm.generation .text > .token").nth(5)
    expect(token.locator(".panel")).to_be_hidden()
    token.hover()
    expect(token.locator(".panel")).to_be_visible()


def test_pointing_at_a_row_of_attention_fades_the_others(page):
    rows = page.locator(".minilm.attention .q")
    rows.nth(2).hover()
    expect(rows.nth(2).locator("b")).to_be_visible()
    expect(rows.nth(3).locator("svg")).to_have_css("opacity", "0.06")
    expect(rows.nth(2).locator("svg")).to_have_css("opacity", "1")


def test_a_token_can_be_reached_by_keyboard(page):
    token = page.locator(".minilm.generation .text > .token").nth(3)
    token.focus()
    page.mouse.move(0, 0)
    expect(token.locator(".panel")).to_be_visible()


def test_a_curve_tells_its_values_under_the_pointer(page):
    strip = page.locator(".minilm.training .strips > div").nth(4)
    strip.hover()
    expect(strip.locator("b")).to_contain_text("step 5 · training")
