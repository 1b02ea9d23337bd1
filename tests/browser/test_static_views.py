"""A saved notebook as a web page, with the network off: every explorer shows its static view, and hover works."""

import nbformat
import pytest
import torch
from nbconvert import HTMLExporter
from playwright.sync_api import expect

import lessons.widgets
from lessons.convert import clean
from lessons.widgets import (
    AttentionExplorer,
    BPEStepper,
    Explorer,
    GateExplorer,
    Lab,
    LensExplorer,
    Playground,
    PretrainingLab,
    PretrainingSettings,
    ShiftExplorer,
    SmoothingExplorer,
    TrainingDashboard,
    TruthExplorer,
    TuningLab,
    TuningSettings,
)
from minilm import BPETokenizer, MiniLM, ModelConfig, TrainingConfig, train, tuning
from minilm.objectives import NextToken
from minilm.storyworld import Oracle, StoryWorld

TEXT = "the keeper counted the boats because the sea was calm. " * 40
SAID = "the keeper counted <script>alert(1)</script> the boats"


@pytest.fixture(scope="module")
def explorers():
    """An explorer of every class, in the order in which the notebook shows them."""
    torch.manual_seed(0)
    tok = BPETokenizer.train([TEXT], vocab_size=280)
    model = MiniLM(
        ModelConfig(vocab_size=tok.vocab_size, context_length=64, n_layer=2, n_head=4, d_model=32)
    ).eval()
    prefix, lora = (
        tuning.attach(model, each).eval() for each in (tuning.Prefix(2, False), tuning.LoRA(rank=2))
    )
    for weight in [*prefix.parameters_to_train(), *lora.parameters_to_train()]:
        torch.nn.init.normal_(weight, std=0.5)
    ids = tok.encode(TEXT)
    made = [
        AttentionExplorer(model, tok, SAID),
        BPEStepper(tok, "the boats"),
        GateExplorer({"prefix": prefix}, tok, SAID),
        LensExplorer({"base": model, "tuned": lora}, tok, SAID),
        Playground(model, tok, "the keeper", length=20),
        ShiftExplorer(lora, tok, SAID),
        SmoothingExplorer("fixed"),
        truth_explorer(),
        *trained(tok, model, ids),
    ]
    return {type(each).__name__: each for each in made}


def truth_explorer() -> TruthExplorer:
    world = StoryWorld().only("story")
    words = BPETokenizer.train([story.text for story in world.sample(200, seed=0)], vocab_size=500)
    shape = ModelConfig(vocab_size=words.vocab_size, context_length=64, n_layer=1, n_head=2, d_model=16)
    return TruthExplorer(MiniLM(shape).eval(), words, Oracle(world, words), "One")


def trained(tok, model, ids) -> list[TrainingDashboard]:
    """Labs and dashboard, after a run or two."""
    settings = PretrainingSettings(n_layer=1, d_model=32, batch_size=4, steps=10)
    pretraining = PretrainingLab(tok, ids, ids[:300], settings=settings, context_length=16)
    pretraining.run()
    examples = [(ids[:4], ids[4:8]), (ids[:3], ids[3:9])]
    lab = TuningLab(
        model, examples, examples, sample=lambda m: "a sample", settings=TuningSettings(rank=2, steps=10)
    )
    lab.run()
    lab.run(rank=4)
    dashboard = TrainingDashboard(floor=1.0)
    config = TrainingConfig(steps=10, evaluate_every=5, warmup_steps=2)
    train(
        MiniLM(model.config),
        NextToken(ids, 16, 4),
        config,
        evaluate=lambda m: 2.0,
        callbacks=[dashboard],
        progress=False,
    )
    return [pretraining, lab, dashboard]


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


def names() -> list[str]:
    """Every explorer that the package offers."""
    offered = ((name, getattr(lessons.widgets, name)) for name in lessons.widgets.__all__)
    kinds = {name: each for name, each in offered if isinstance(each, type) and issubclass(each, Explorer)}
    return [name for name, each in kinds.items() if each not in (Explorer, Lab)]


@pytest.fixture
def shown(page, explorers):
    """The part of the page that shows an explorer, by its class."""
    return lambda name: page.locator(".jp-CodeCell").nth(list(explorers).index(name)).locator(".minilm")


@pytest.mark.parametrize("name", names())
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
    expect(view.locator(".thumb")).to_have_count(8)
    expect(view).to_contain_text("in a running notebook, press one to look into it")
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
