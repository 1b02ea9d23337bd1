"""Checks of exercises: hints step by step, no exception for anything a reader types, solutions held to the same test."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lessons import checks
from lessons.checks import exercise, solution
from lessons.widgets.views.theme import LIGHT


@pytest.fixture
def name(request):
    """An exercise of its own for each test, for hints are counted by name."""
    return request.node.nodeid


def check(name, answer, expected, **said):
    """An exercise told and an answer judged."""
    exercise(name, expected, **said)
    return checks.check(name, answer)


def _returns_its_starter(x): ...


def _computes_with_its_starter(x):
    scores = ...
    return scores.softmax(-1) + x


@pytest.mark.parametrize("starter", [..., None, [1, ...], {"a": None}, (..., ...)])
def test_a_starter_value_is_open_and_costs_no_hint(name, starter):
    assert check(name, starter, 1, hints=("first", "second")).state == "open"
    assert check(name, 2, 1, hints=("first", "second")).hints == ("first",)


@pytest.mark.parametrize("starter", [_returns_its_starter, _computes_with_its_starter])
def test_a_starter_function_is_open(name, starter):
    assert check(name, starter, lambda f: f(2) == 4).state == "open"


def test_each_wrong_try_gives_the_next_hint_and_the_last_points_to_the_solution(name):
    tries = [check(name, 0, 1, hints=("first", "second")) for _ in range(3)]
    assert [verdict.hints for verdict in tries] == [("first",), ("first", "second"), ("first", "second")]
    assert ["solution" in verdict.message for verdict in tries] == [False, False, True]


def test_a_right_answer_says_why_it_matters(name):
    verdict = check(name, 1, 1, hints=("first",), because="it keeps the variance at one")
    assert verdict.passed
    assert verdict.hints == ()
    assert "variance" in str(verdict)


@pytest.mark.parametrize(
    "answer, expected",
    [
        (3, 3),
        (3.0, 3),
        (0.1 + 0.2, 0.3),
        (True, True),
        ("the", "the"),
        ([1, 2], (1, 2)),
        (["a", 2.0], ["a", 2]),
        ({"a": 1}, {"a": 1.0}),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-6])),
        (np.array([1.0]), torch.tensor([1.0])),
        (1e-5, 1e-5),
    ],
)
def test_what_counts_as_right(name, answer, expected):
    assert check(name, answer, expected).passed


@pytest.mark.parametrize(
    "answer, expected",
    [
        (3.1, 3),
        ("3", 3),
        (3, "3"),
        (1, True),
        ([1], [1, 2]),
        (["a"], ["a", "b"]),
        (5, ["a", "b"]),
        ({"a": 1}, {"b": 1}),
        (2e-5, 1e-5),
        (torch.zeros(2), torch.zeros(3)),
        (torch.tensor([math.nan]), torch.tensor([1.0])),
        (object(), 1),
    ],
)
def test_what_counts_as_wrong(name, answer, expected):
    assert check(name, answer, expected).state == "wrong"


def test_a_function_that_raises_is_told_its_error(name):
    verdict = check(name, lambda x: x / 0, lambda f: f(1) == 1)
    assert verdict.state == "wrong"
    assert "ZeroDivisionError" in verdict.message


def test_a_failed_assertion_of_the_test_is_told(name):
    def test(answer):
        assert answer > 0, "a variance is positive"
        return True

    assert "a variance is positive" in check(name, -1, test).message


def test_a_lesson_whose_test_decides_nothing_is_at_fault(name):
    with pytest.raises(TypeError, match="True or False"):
        check(name, 1, lambda answer: None)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists))
def test_no_answer_makes_a_check_raise(answer):
    for expected in (1.5, "a", [1, 2], ["a", 1], {"a": 1}, torch.ones(2, 2), lambda x: x > 0):
        verdict = check("anything", answer, expected, hints=("hint",))
        assert str(verdict)
        assert verdict.to_html()


def test_a_solution_is_held_to_the_test_of_its_exercise(name):
    check(name, ..., 4)
    assert solution(name, 4).passed
    with pytest.raises(AssertionError, match="does not pass its own check"):
        solution(name, 5)
    with pytest.raises(AssertionError, match="not answered"):
        solution(name, ...)


def test_an_answer_before_its_exercise_is_open_and_says_what_to_run(name):
    verdict = checks.check(name, 1)
    assert (verdict.state, "folded cell above" in verdict.message) == ("open", True)


def test_a_solution_needs_its_exercise():
    with pytest.raises(ValueError, match="'nowhere'"):
        solution("nowhere", 1)


def test_what_is_shown_is_escaped_and_has_a_plain_text(name):
    bundle = check(name, "<b>", "x", hints=("use `a < b` & smile",))._repr_mimebundle_()
    assert "<code>a &lt; b</code> &amp; smile" in bundle["text/html"]
    assert "use `a < b` & smile" in bundle["text/plain"]


def test_what_is_shown_is_disarmed(name):
    evil = "\u202eevil\u2066\x00\x1b[31m"

    def raises(x):
        raise ValueError(evil)

    for answer, expected in ((1, 2), (raises, lambda f: f(1)), (2, 2), (..., 1)):
        verdict = check(evil + name, answer, expected, hints=(evil,), because=evil)
        for shown in verdict._repr_mimebundle_().values():
            assert "U+202E" in shown and not any(sign in shown for sign in "\u202e\u2066\x00\x1b")


def test_a_note_has_the_colors_of_the_theme_and_looks_the_same_in_light_and_dark(name):
    for answer, color in ((..., LIGHT.series[0]), (2, LIGHT.series[1]), (1, LIGHT.series[2])):
        note = check(name, answer, 1).to_html()
        assert f"border-left:4px solid {color};background:{color}1f" in note
        assert "var(" not in note
