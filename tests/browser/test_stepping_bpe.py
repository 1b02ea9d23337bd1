"""The BPE stepper in JupyterLab: stepped, played, given another text."""

import pytest
from jupyterlab_page import PATIENCE
from playwright.sync_api import expect

CELL = """
from lessons.widgets.bpe_stepper import BPEStepper
from minilm import BPETokenizer
tok = BPETokenizer.train(["the lowest of the low lowered the lowest flower"], vocab_size=275)
BPEStepper(tok, "the lowest")
"""


@pytest.fixture(scope="module")
def stepper(lab):
    """The cell that shows a stepper."""
    lab.open(CELL.strip())
    expect(lab.cell(0).view("bpe")).to_be_visible(timeout=PATIENCE)
    return lab.cell(0)


def test_the_slider_steps_from_bytes_to_tokens(stepper):
    view = stepper.view("bpe")
    stepper.set_slider("step", "Home")
    expect(view).to_contain_text("before the first merge", timeout=PATIENCE)
    expect(view.locator(".words .token")).to_have_count(10)
    stepper.set_slider("step", "ArrowRight")
    expect(view.locator(".words .made").first).to_be_visible(timeout=PATIENCE)
    assert view.locator(".words .token").count() < 10


def test_play_steps_by_itself(stepper):
    stepper.set_slider("step", "Home")
    view = stepper.view("bpe")
    expect(view).to_contain_text("before the first merge", timeout=PATIENCE)
    stepper.root.locator(".widget-play button").first.click()
    expect(view).to_contain_text("after merge", timeout=PATIENCE)


def test_another_text_is_cut_anew(stepper):
    box = stepper.root.locator(".widget-text input")
    box.fill("lower 🙂")
    box.press("Enter")
    expect(stepper.view("bpe").locator(".words .word")).to_have_count(2, timeout=PATIENCE)
    expect(stepper.view("bpe").locator(".words .code")).to_have_count(4)


def test_a_text_too_long_is_told_in_the_status_line(stepper):
    box = stepper.root.locator(".widget-text input")
    box.fill("low " * 100)
    box.press("Enter")
    expect(stepper.root.locator(".status.error")).to_contain_text("longer than 160 bytes", timeout=PATIENCE)
    expect(stepper.view("bpe")).to_be_visible()
