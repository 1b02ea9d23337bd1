"""The playground's view: every drawn token with its candidates, escaped, and a text alternative."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets.views.generation import Candidate, Drawn, generation_view

probabilities = st.floats(0, 1)
candidates = st.builds(Candidate, st.binary(max_size=6) | st.text(max_size=6), probabilities, probabilities)
drawn_tokens = st.builds(
    Drawn, candidates, st.lists(candidates, max_size=4).map(tuple), st.none() | st.floats(0, 10)
)


def test_tokens_are_shaded_by_the_probability_they_were_drawn_with(read):
    drawn = [Drawn(Candidate(" sea", 0.2, 0.4)), Drawn(Candidate(" calm", 0.9, 1.0))]
    page = read(generation_view("the", drawn))
    shades = [value for name, value in page.attributes if name == "style" and value in ("--v:40", "--v:100")]
    assert shades[:2] == ["--v:40", "--v:100"]
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert any("“ sea”, drawn with probability 40" in label for label in labels)


def test_candidates_show_both_probabilities_and_what_was_ruled_out(read):
    others = (Candidate(" sea", 0.5, 0.75), Candidate(" lamp", 0.3, 0.0))
    text = read(generation_view("the", [Drawn(others[0], others, 1.5)])).text
    assert "75\u202f%50\u202f%" in text
    assert "–30\u202f%" in text
    assert "entropy 1.5 bits" in text


def test_an_unlikely_drawn_token_is_listed_below_the_likeliest(read):
    others = (Candidate(" sea", 0.5, 0.5),)
    page = read(generation_view("the", [Drawn(Candidate(" rare", 0.001, 0.001), others)]))
    assert page.text.count("rare") == 2
    assert page.tags.count("b") == 3  # the heads, the likeliest and the drawn one


def test_nothing_drawn_and_nothing_given(read):
    assert "Nothing is written yet" in read(generation_view("", [])).text


@given(st.text(max_size=20), st.lists(drawn_tokens, max_size=4))
@settings(deadline=None, max_examples=60)
def test_any_text_gives_a_view_that_is_whole_and_always_the_same(read, prompt, drawn):
    view = generation_view(prompt, drawn)
    view.encode()
    read(view)
    assert view == generation_view(prompt, drawn)


def test_a_hundred_tokens_stay_small(read):
    others = tuple(Candidate(b"\xe2\x9a", 0.123, 0.234) for _ in range(7))
    read(generation_view("the", [Drawn(Candidate("\u200b\u200b", 0.01, 0.02), others, 3.0)] * 100))
