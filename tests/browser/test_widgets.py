"""The explorers in JupyterLab: shown, turned, run and stopped in a browser."""

import re

import pytest
from jupyterlab_page import PATIENCE
from playwright.sync_api import expect

CELLS = {
    "model": """
        import torch
        from minilm import BPETokenizer, MiniLM, ModelConfig, TrainingConfig, train
        from minilm.objectives import NextToken
        from lessons.widgets import AttentionExplorer, LensExplorer, Playground, PretrainingLab, PretrainingSettings
        from lessons.widgets import ShiftExplorer, TrainingDashboard
        from minilm import tuning
        torch.manual_seed(0)
        text = "the keeper counted the boats because the sea was calm. the keeper lit the lamp. " * 40
        tok = BPETokenizer.train([text], vocab_size=290)
        ids = tok.encode(text)
        model = MiniLM(ModelConfig(vocab_size=tok.vocab_size, context_length=64, n_layer=2, d_model=32)).eval()
        settings = PretrainingSettings(n_layer=1, d_model=32, batch_size=4, steps=2000)""",
    "playground": "Playground(model, tok, prompt='the keeper', length=20)",
    "attention": "AttentionExplorer(model, tok, 'the keeper counted the boats')",
    "lens": "LensExplorer(model, tok, 'the keeper counted the boats')",
    "shift": "ShiftExplorer(tuning.attach(MiniLM(model.config).eval(), tuning.Prefix(length=2)), tok, 'the keeper counted the boats')",
    "dashboard": """
        config = TrainingConfig(steps=12, evaluate_every=4, warmup_steps=2)
        _ = train(model, NextToken(ids, 32, 4), config, evaluate=lambda m: 5.0,
                  sample=lambda m: "<script>alert(1)</script>", callbacks=[TrainingDashboard(floor=0.5)], progress=False)""",
    "lab": "lab = PretrainingLab(tok, ids, ids[:400], settings=settings, floor=0.5, context_length=32)\nlab",
    "run": "",
}


@pytest.fixture(scope="module", autouse=True)
def notebook(lab):
    """One notebook with all explorers, so that there is one kernel to wait for."""
    lab.open(*(re.sub(r"^ {8}", "", cell, flags=re.MULTILINE).strip() for cell in CELLS.values()))
    return lab


@pytest.fixture
def cell(lab):
    """A cell by its name above."""
    return lambda name: lab.cell(list(CELLS).index(name))


def test_the_playground_writes_anew_when_a_slider_moves(cell):
    view = cell("playground").view("generation")
    expect(view).to_contain_text("seed 0", timeout=PATIENCE)
    before = view.locator(".text").inner_text()
    cell("playground").set_slider("seed", "ArrowRight")
    expect(view).to_contain_text("seed 1", timeout=PATIENCE)
    assert view.locator(".text").inner_text() != before


def test_pointing_at_a_token_shows_what_it_was_drawn_from(cell):
    token = cell("playground").view("generation").locator(".text > .token").nth(6)
    panel = token.locator(".panel")
    expect(panel).to_be_hidden(timeout=PATIENCE)
    token.hover()
    expect(panel).to_be_visible()
    expect(panel).to_contain_text("token 7")


def test_an_impossible_prompt_is_told_in_the_status_line_and_the_view_stays(cell):
    playground = cell("playground")
    prompt = playground.root.locator(".widget-text input")
    prompt.fill("")
    prompt.press("Enter")
    expect(playground.root.locator(".status.error")).to_contain_text("prompt is empty", timeout=PATIENCE)
    expect(playground.view("generation")).to_be_visible()


@pytest.mark.parametrize(
    "name, slider, key, before, after",
    [
        ("attention", "layer", "ArrowRight", "layer 1, head 1", "layer 2, head 1"),
        ("attention", "head", "End", "layer 2, head 1", "layer 2, head 4"),
        ("shift", "strength", "Home", "strength 1", "strength -1"),
    ],
)
def test_a_slider_changes_what_is_seen(cell, name, slider, key, before, after):
    view = cell(name).view(name)
    expect(view).to_contain_text(before, timeout=PATIENCE)
    cell(name).set_slider(slider, key)
    expect(view).to_contain_text(after, timeout=PATIENCE)


def test_the_lens_shows_another_position_when_its_slider_moves(cell):
    shown = cell("lens").view("lens").locator(".token.shown .panel")
    expect(shown).to_contain_text("the text ends", timeout=PATIENCE)
    cell("lens").set_slider("position", "Home")
    expect(shown).to_contain_text("after <|endoftext|> comes the", timeout=PATIENCE)


def test_the_dashboard_shows_itself_once_and_leaves_its_last_state(lab, cell):
    view = cell("dashboard").view("training")
    expect(view).to_contain_text("step 12 of 12", timeout=PATIENCE)
    expect(view).to_contain_text("<script>alert(1)</script>")
    expect(cell("dashboard").root.locator(".minilm.training")).to_have_count(1)


def test_the_lab_trains_with_what_the_sliders_say(lab, cell):
    cell("lab").set_slider("steps", "Home")
    cell("lab").set_slider("layers", "ArrowRight")
    cell("lab").press("Run")
    view = cell("lab").view("training")
    expect(view).to_contain_text("finished", timeout=PATIENCE)
    expect(view).to_contain_text("2 layers")
    assert lab.ask("print(lab.kept[-1].result.steps, len(lab.model.blocks))").split() == ["10", "2"]


def test_stop_ends_a_run_that_the_button_started_and_keeps_its_model(lab, cell):
    cell("lab").set_slider("steps", "End")
    cell("lab").press("Run")
    view = cell("lab").view("training")
    expect(view.locator(".advance")).to_contain_text(re.compile(r"step [1-9]\d* of 2,000"), timeout=PATIENCE)
    cell("lab").press("Stop")
    expect(view).to_contain_text("what was learnt is kept", timeout=PATIENCE)
    steps, stopped, same = lab.ask(
        "run = lab.kept[-1]; print(run.result.steps, run.result.stopped, run.model is lab.model)"
    ).split()
    assert 0 < int(steps) < 2000
    assert stopped == same == "True"


def test_an_interrupt_ends_a_run_in_a_cell_in_good_order(lab, cell):
    number = list(CELLS).index("run")
    lab.type_into(number, "_ = lab.run()")
    lab.run_cell(number)
    view = cell("lab").view("training")
    expect(view.locator(".advance")).to_contain_text(re.compile(r"step [1-9].* left"), timeout=PATIENCE)
    expect(cell("lab").button("Stop")).to_be_disabled()
    lab.command("notebook:interrupt-kernel")
    expect(view.locator(".state")).to_contain_text("what was learnt is kept", timeout=PATIENCE)
    assert 0 < int(lab.ask("print(lab.kept[-1].result.steps)")) < 2000
    expect(cell("run").root.locator(".jp-OutputArea-output")).to_have_count(0)


@pytest.mark.parametrize("theme, paper", [("dark", "rgb(17, 17, 17)"), ("light", "rgb(255, 255, 255)")])
def test_views_follow_the_theme(lab, cell, theme, paper):
    lab.use_theme(theme)
    for name, view in (("playground", "generation"), ("lab", "training")):
        expect(cell(name).view(view)).to_have_css("background-color", paper)
