"""HTML as text: escaped, deterministic, readable numbers; and tokens that can do no harm."""

import html
import math
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets.views.markup import Markup, code, disarm, escape, identifier, join, plain, tag
from lessons.widgets.views.numbers import duration, fixed, number, percent
from lessons.widgets.views.tokens import spoken, token, visible

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'>&",
    "\n\r\t\x00\x1b",
    "שלום עולם",
    "\u200b\u202e\ufeff",
    "🎉👩‍💻",
    "\u0301",
    " ",
    "",
]


def has_shape(character: str) -> bool:
    """Whether a character leaves a mark, or is a line end or a tab."""
    shapeless = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
    return character in "\n\t" or unicodedata.category(character) not in shapeless


@given(st.text(st.characters(), max_size=30))
@settings(deadline=None)
def test_text_comes_back_from_an_element_and_from_an_attribute_with_codes_for_what_has_no_shape(text):
    element = str(tag("p", text, title=text))
    head, body = element.removesuffix("</p>").split(">", 1)
    shown = re.sub(r"</?bdi>|</?i( class=\"code\")?>", "", body)
    assert html.unescape(shown) == "".join(c if has_shape(c) else code(c) for c in text)
    title = html.unescape(head.removeprefix('<p title="').removesuffix('"'))
    assert title == plain(text) == "".join(c if has_shape(c) else f"[{code(c)}]" for c in text)
    assert all(map(has_shape, title)) and all(map(has_shape, shown))


def test_right_to_left_text_is_isolated_and_markup_is_left_alone():
    assert tag("p", "a שלום b") == "<p><bdi>a שלום b</bdi></p>"
    assert disarm(Markup("<b>\u202e</b>")) == "<b>\u202e</b>"


def test_what_is_markup_is_not_escaped_twice():
    assert tag("b", tag("i", "<")) == "<b><i>&lt;</i></b>"
    assert join("a<", Markup("<br/>"), None) == "a&lt;<br/>"
    assert escape(Markup("<br/>")) == "<br/>"


def test_attributes_are_named_as_html_names_them():
    assert tag("p", class_="a", aria_label="b", hidden=True, title=None, id=False) == (
        '<p class="a" aria-label="b" hidden></p>'
    )


def test_ids_depend_on_the_data_alone():
    assert identifier("a", 1) == identifier("a", 1) != identifier("a", 2)
    assert identifier("a", 1)[0].isalpha()


@pytest.mark.parametrize(
    "value, text",
    [(0.003, "0.00300"), (1.2345, "1.23"), (12.5, "12.5"), (41234.4, "41,234"), (0, "0"), (-2.5, "-2.50"), (1e-9, "1.00e-09"),
     (None, "–"), (math.nan, "–"), (math.inf, "–")],
)  # fmt: skip
def test_numbers_for_people(value, text):
    assert number(value) == text


@given(st.floats(allow_nan=True, allow_infinity=True))
@settings(deadline=None)
def test_every_number_can_be_shown_in_a_few_characters(value):
    assert len(number(value)) <= 13
    assert len(duration(abs(value))) < 330
    assert percent(value).endswith(("%", "–"))


@given(st.floats(-1e4, 1e4))
def test_coordinates_keep_two_decimals(value):
    assert float(fixed(value)) == pytest.approx(value, abs=0.00501)
    assert "e" not in fixed(value)


@pytest.mark.parametrize(
    "seconds, text",
    [(0.42, "0.4 s"), (9.96, "10 s"), (59.4, "59 s"), (60, "1 min 00 s"), (125, "2 min 05 s"), (4200, "1 h 10 min"), (None, "–")],
)  # fmt: skip
def test_durations_for_people(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_tokens_are_disarmed(text):
    shown = visible(text)
    assert "<script" not in shown
    assert not any(unicodedata.category(c) in ("Cc", "Cf") for c in html.unescape(shown))
    assert not any(unicodedata.category(c) in ("Cc", "Cf") for c in spoken(text))


@given(st.text() | st.binary())
@settings(deadline=None)
def test_every_token_leaves_a_mark_and_encodes(text):
    shown = visible(text)
    shown.encode()
    spoken(text).encode()
    assert bool(text) == bool(html.unescape(shown).replace("<bdi>", "").replace("</bdi>", "").strip())


def test_signs_codes_and_bytes():
    assert "␣" in visible(" the")
    assert "↵" in visible("\n")
    assert "U+200B" in visible("a\u200bb")
    assert visible(b"\xe2\x9a") == '<bdi><i class="code">E2</i><i class="code">9A</i></bdi>'
    assert visible("é".encode()) == visible("é") == "<bdi>é</bdi>"


@given(st.floats(-1, 2))
def test_a_shade_stays_on_the_scale(shade):
    style = token("a", shade).split('style="--v:')[1].split('"')[0]
    assert 0 <= float(style) <= 100
