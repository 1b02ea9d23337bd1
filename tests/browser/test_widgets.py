"""The explorers in JupyterLab: every one opened and turned; what goes wrong in one is told in its status line."""

import re

import pytest
from jupyterlab_page import PATIENCE
from playwright.sync_api import expect

from lessons.widgets.examples import kinds

CELLS = {
    "setup": """
        from lessons.widgets import *
        from lessons.widgets.examples import makers, tiny, watch
        of = tiny()
        make = makers(of)
        said = "the keeper counted the boats" """,
    **{name: f"make[{name!r}](said)" for name in kinds()},
    "Playground": "playground = make['Playground']('the keeper')\nplayground",
    "PretrainingLab": "lab = make['PretrainingLab'](said)\nlab.sliders['steps'].value = 2000\nlab",
    "TrainingDashboard": "watch(TrainingDashboard(floor=0.5), of, '<script>alert(1)</script>')",
    "TruthExplorer": "make['TruthExplorer']('One')",
    "TuningLab": "tuning_lab = make['TuningLab'](said)\ntuning_lab",
    "run": "",
}
CLASSES = {
    "AttentionExplorer": "attention", "BPEStepper": "bpe", "GateExplorer": "gates", "LensExplorer": "lens",
    "Playground": "generation", "PretrainingLab": "training", "ShiftExplorer": "shift", "SmoothingExplorer": "smoothing",
    "TrainingDashboard": "training", "TruthExplorer": "truth", "TuningLab": "training",
}  # fmt: skip
"""Class of each explorer's view."""
TURNS = [
    ("AttentionExplorer", "layer", "ArrowRight", "layer 1, head 1", "layer 2, head 1"),
    ("AttentionExplorer", "head", "End", "layer 2, head 1", "layer 2, head 4"),
    ("BPEStepper", "step", "Home", "after merge", "before the first merge"),
    ("GateExplorer", "layer", "ArrowRight", "layer 1, mean of all heads", "layer 2, mean of all heads"),
    ("LensExplorer", "position", "Home", "the text ends", "after <|endoftext|> comes the"),
    ("Playground", "seed", "ArrowRight", "seed 0", "seed 1"),
    ("ShiftExplorer", "strength", "Home", "strength 1", "strength 0"),
    ("SmoothingExplorer", "points", "End", "40 points", "400 points"),
    ("TruthExplorer", "tokens", "Home", "What comes next?", "What comes next?"),
    ("TuningLab", "rank", "ArrowRight", "512 parameters trained", "768 parameters trained"),
]
"""Explorer, slider, key, what the view shows before, and after."""


@pytest.fixture(scope="module", autouse=True)
def notebook(lab):
    """One notebook with all explorers, so that there is one kernel to wait for."""
    lab.open(*(re.sub(r"^ {8}", "", cell, flags=re.MULTILINE).strip() for cell in CELLS.values()))
    return lab


@pytest.fixture
def cell(lab):
    """A cell by its name above."""
    return lambda name: lab.cell(list(CELLS).index(name))


def test_no_explorer_is_left_out():
    assert kinds().keys() == CLASSES.keys()


@pytest.mark.parametrize("name, slider, key, before, after", TURNS)
def test_a_slider_changes_what_is_seen(cell, name, slider, key, before, after):
    view = cell(name).view(CLASSES[name]).first
    expect(view).to_contain_text(before, timeout=PATIENCE)
    seen = view.inner_text()
    cell(name).set_slider(slider, key)
    expect(view).to_contain_text(after, timeout=PATIENCE)
    expect(view).not_to_have_text(seen, use_inner_text=True, timeout=PATIENCE)
    cell(name).must_be_well()


def test_pointing_at_a_token_shows_what_it_was_drawn_from(cell):
    token = cell("Playground").view("generation").locator(".text > .token").nth(6)
    panel = token.locator(".panel")
    expect(panel).to_be_hidden(timeout=PATIENCE)
    token.hover()
    expect(panel).to_be_visible()
    expect(panel).to_contain_text("token 7")


def test_a_click_on_the_text_shows_that_positions_shift(lab, cell):
    token = cell("ShiftExplorer").view("shift").locator(".text > .token").nth(2)
    token.click()
    lab.page.mouse.move(0, 0)
    expect(token.locator(".panel")).to_be_visible()


def test_an_impossible_prompt_is_told_in_the_status_line_and_the_view_stays(cell):
    playground = cell("Playground")
    playground.write("prompt", "")
    expect(playground.root.locator(".status.error")).to_contain_text("prompt is empty", timeout=PATIENCE)
    expect(playground.view("generation")).to_be_visible()
    playground.write("prompt", "the")
    expect(playground.root.locator(".status.error")).to_have_count(0, timeout=PATIENCE)


def test_widget_code_that_raises_is_told_in_the_status_line_and_fails_a_test(lab, cell):
    lab.ask("sound = playground.view; playground.view = lambda: 1 / 0")
    cell("Playground").set_slider("seed", "End")
    told = cell("Playground").root.locator(".status.error")
    expect(told).to_contain_text("ZeroDivisionError: division by zero", timeout=PATIENCE)
    with pytest.raises(AssertionError):
        cell("Playground").must_be_well()
    lab.ask("playground.view = sound")
    cell("Playground").set_slider("seed", "Home")
    expect(told).to_have_count(0, timeout=PATIENCE)


@pytest.mark.parametrize(
    "head, press", [("layer 2, head 3", "click"), ("layer 1, head 2", "Enter"), ("layer 2, head 1", "Space")]
)
def test_a_small_head_leads_into_it_by_mouse_and_by_keyboard(cell, head, press):
    attention = cell("AttentionExplorer")
    button = attention.root.get_by_role("button", name=head, exact=True).last
    expect(button).to_be_visible(timeout=PATIENCE)
    assert min(button.bounding_box()[side] for side in ("width", "height")) > 40
    if press == "click":
        button.click()
    else:
        button.focus()
        button.press(press)
    expect(attention.view("attention").first).to_contain_text(head, timeout=PATIENCE)
    expect(attention.root.locator(".thumb.chosen")).to_have_count(2)
    attention.must_be_well()


def test_the_dashboard_shows_itself_once_and_leaves_its_last_state(cell):
    view = cell("TrainingDashboard").view("training")
    expect(view).to_contain_text("step 12 of 12", timeout=PATIENCE)
    expect(view).to_contain_text("<script>alert(1)</script>")
    expect(cell("TrainingDashboard").root.locator(".minilm.training")).to_have_count(1)


def test_gates_of_all_heads_or_of_one(cell):
    gates = cell("GateExplorer")
    expect(gates.root.locator("select option:checked")).to_have_text("mean of all", timeout=PATIENCE)
    gates.choose("head", "3")
    expect(gates.view("gates")).to_contain_text("head 3", timeout=PATIENCE)


def test_the_tuning_lab_shows_a_methods_own_controls(cell):
    lab = cell("TuningLab")
    width = lab.root.locator(".widget-slider", has_text="value width")
    expect(width).to_be_hidden(timeout=PATIENCE)
    lab.choose("method", "inducer")
    expect(width).to_be_visible(timeout=PATIENCE)
    expect(lab.root.locator(".widget-slider", has_text="rank")).to_be_hidden()
    expect(lab.view("training")).to_contain_text("width inside f_k", timeout=PATIENCE)


def test_the_tuning_lab_runs_compares_saves_and_loads(lab, cell):
    tuning, view = cell("TuningLab"), cell("TuningLab").view("training")
    for number, method in enumerate(("bitfit", "lora"), start=1):
        tuning.choose("method", method)
        expect(view).to_contain_text(f"Next run: {method}", timeout=PATIENCE)
        tuning.press("Run")
        expect(view).to_contain_text(f"run {number} · {method}", timeout=PATIENCE)
        expect(view.locator(".state")).to_contain_text("finished", timeout=PATIENCE)
        expect(tuning.button("Run")).to_be_enabled(timeout=PATIENCE)
    expect(view).to_contain_text("Lowest held-out loss over stored parameters", timeout=PATIENCE)
    tuning.write("folder", "kept-run")
    tuning.press("Save")
    expect(tuning.root.locator(".status")).to_contain_text("run 2 is saved in kept-run", timeout=PATIENCE)
    tuning.press("Load")
    expect(tuning.root.locator(".status")).to_contain_text("run 3 comes from kept-run", timeout=PATIENCE)
    assert lab.ask("print(len(tuning_lab.kept), tuning_lab.last.settings.method)").split() == ["3", "lora"]
    tuning.must_be_well()


def test_the_lab_trains_with_what_the_sliders_say(lab, cell):
    cell("PretrainingLab").set_slider("steps", "Home")
    cell("PretrainingLab").set_slider("layers", "ArrowRight")
    cell("PretrainingLab").press("Run")
    view = cell("PretrainingLab").view("training")
    expect(view).to_contain_text("finished", timeout=PATIENCE)
    expect(view).to_contain_text("2 layers")
    assert lab.ask("print(lab.kept[-1].result.steps, len(lab.model.blocks))").split() == ["10", "2"]


def test_stop_ends_a_run_that_the_button_started_and_keeps_its_model(lab, cell):
    cell("PretrainingLab").set_slider("steps", "End")
    cell("PretrainingLab").press("Run")
    view = cell("PretrainingLab").view("training")
    expect(view.locator(".advance")).to_contain_text(re.compile(r"step [1-9]\d* of 2,000"), timeout=PATIENCE)
    cell("PretrainingLab").press("Stop")
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
    view = cell("PretrainingLab").view("training")
    expect(view.locator(".advance")).to_contain_text(re.compile(r"step [1-9].* left"), timeout=PATIENCE)
    stop = cell("PretrainingLab").button("Stop")
    expect(stop).to_be_disabled()
    expect(stop).to_have_attribute("title", re.compile("interrupt"))
    lab.command("notebook:interrupt-kernel")
    expect(view.locator(".state")).to_contain_text("what was learnt is kept", timeout=PATIENCE)
    assert 0 < int(lab.ask("print(lab.kept[-1].result.steps)")) < 2000
    expect(cell("run").root.locator(".jp-OutputArea-output")).to_have_count(0)


@pytest.mark.parametrize("theme, paper", [("dark", "rgb(17, 17, 17)"), ("light", "rgb(255, 255, 255)")])
def test_views_follow_the_theme(lab, cell, theme, paper):
    lab.use_theme(theme)
    for name, view in CLASSES.items():
        expect(cell(name).view(view).first).to_have_css("background-color", paper)


def test_at_the_end_no_explorer_tells_of_an_error(cell):
    for name in CLASSES:
        cell(name).must_be_well()
