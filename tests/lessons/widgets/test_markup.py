"""HTML as text: escaped, deterministic, readable numbers; and tokens that can do no harm."""

import html
import math
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets.views.markup import (
    Markup,
    duration,
    escape,
    fixed,
    identifier,
    join,
    number,
    percent,
    tag,
)
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


@given(st.text())
@settings(deadline=None)
def test_text_comes_back_from_an_element_and_from_an_attribute(read_text):
    element = tag("p", read_text, title=read_text)
    body = element.removesuffix("</p>").split(">", 1)
    assert html.unescape(body[1]) == read_text
    assert html.unescape(body[0].removeprefix('<p title="').removesuffix('"')) == read_text


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
