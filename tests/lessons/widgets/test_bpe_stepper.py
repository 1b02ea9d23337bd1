"""The BPE stepper shows what the tokenizer does, at every step, for any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets.bpe_stepper import LONGEST, BPEStepper
from lessons.widgets.views.bpe import Learned, Node, bpe_view
from minilm import BPETokenizer

CORPUS = [
    "The lowest of the low lowered the lowest flower.",
    "Lower, slower; the flow is slow: 日本語 日本 🙂🙂\n\n  x",
]
HOSTILE = "<script>\"'&\u202e\u200b\x00\n<|endoftext|> é🙂"


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train(CORPUS, vocab_size=300)


def tokens_now(stepper: BPEStepper, rank: int) -> list[bytes]:
    """The tokens of the text after merges up to a rank, as the nodes have them."""
    return [
        node.data
        for word in stepper.words
        for node in sorted(word, key=lambda node: node.start)
        if node.is_token(rank)
    ]


@given(st.text("Lower thsfi日🙂é\n.<", max_size=30))
@settings(max_examples=80, deadline=None)
def test_after_the_last_step_the_tokens_are_those_of_encode(tokenizer, text):
    stepper = BPEStepper(tokenizer, text)
    last = stepper.ranks[-1] if stepper.ranks else -1
    assert stepper.error is None
    assert tokens_now(stepper, last) == [tokenizer.token_bytes(token) for token in tokenizer.encode(text)]


def test_at_every_step_the_tokens_are_those_of_a_tokenizer_that_learnt_no_more(tokenizer):
    text = "The slowest flower"
    stepper = BPEStepper(tokenizer, text)
    for rank in stepper.ranks:
        younger = BPETokenizer.train(CORPUS, vocab_size=256 + rank + 1, special_tokens=())
        assert tokens_now(stepper, rank) == [younger.token_bytes(token) for token in younger.encode(text)]


@given(st.text("Lower thsfi日🙂", max_size=30), st.integers(-1, 43))
@settings(max_examples=80, deadline=None)
def test_tokens_always_cover_the_bytes_once(tokenizer, text, rank):
    assert b"".join(tokens_now(BPEStepper(tokenizer, text), rank)) == text.encode()


def test_moving_the_slider_draws_another_step(tokenizer):
    stepper = BPEStepper(tokenizer, "lowest", step=0)
    first = stepper.output.value
    assert "before the first merge" in first
    stepper.step.value = 1
    assert f"after merge {stepper.ranks[0] + 1} of {len(tokenizer.merges)}" in stepper.output.value
    assert stepper.output.value != first


def test_another_text_moves_the_slider_to_its_end(tokenizer):
    stepper = BPEStepper(tokenizer, "low")
    stepper.text.value = "lowest of the slow"
    assert stepper.error is None
    assert stepper.step.value == stepper.step.max == len(stepper.ranks)
    assert "“ slow”" in stepper.output.value


def test_a_text_too_long_is_said_in_the_status_line_and_the_view_stays(tokenizer):
    stepper = BPEStepper(tokenizer, "lowest")
    stepper.text.value = "x" * (LONGEST + 1)
    assert isinstance(stepper.error, ValueError)
    assert 'role="alert"' in stepper.output.value and "tokens: “lowe”, “st”" in stepper.output.value
    stepper.text.value = "low"
    assert stepper.error is None


@pytest.mark.parametrize("text", ["", " ", HOSTILE])
def test_odd_texts_are_drawn_and_disarmed(tokenizer, text):
    stepper = BPEStepper(tokenizer, text)
    assert stepper.error is None
    assert "<script" not in stepper.output.value
    assert "\u202e" not in stepper.output.value


def test_what_a_reader_cannot_see_is_there_for_a_screen_reader_and_for_nbval(tokenizer):
    bundle = BPEStepper(tokenizer, "lowest")._repr_mimebundle_()
    assert bundle["text/plain"] == "BPEStepper(300 tokens)"
    label = re.search(r'aria-label="([^"]*)"', bundle["text/html"])[1]
    assert label.endswith("2 tokens: “lowe”, “st”.")


def test_counts_that_are_not_known_are_left_open():
    node = Node(b"ab", 0, 1, rank=0)
    html = bpe_view([[node]], 0, [Learned(0, b"a", b"b", None)], 1)
    assert "–" in html
