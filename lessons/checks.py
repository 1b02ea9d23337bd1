"""`check` an exercise: each wrong answer earns the next hint, and nothing a reader types makes it raise.

A folded cell defines the right answer, so that the reader does not see it beside the question:

    exercise("scale", 32**-0.5, hints=("What grows with the width p?", "Divide by the root of p."))

The reader's cell is short:

    scale = ...
    check("scale", scale)

The folded solution below must pass the same test, or it raises, so that running the notebook proves it:

    scale = p**-0.5
    solution("scale", scale)
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lessons.widgets.views.markup import Markup, disarm, plain, tag
from lessons.widgets.views.theme import LIGHT

Test = Callable[[Any], bool]


@dataclass(frozen=True)
class Verdict:
    """What a reader sees below an exercise: HTML where that can be shown, plain text elsewhere."""

    name: str
    """Name of the exercise."""

    state: str
    """"open" (still the starter), "wrong" or "right"."""

    message: str
    """One sentence about the answer."""

    hints: tuple[str, ...] = ()
    """The hints earned so far, oldest first."""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.state == "right"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.to_html()}

    def __str__(self) -> str:
        lines = (f"{_MARKS[self.state]} {self.name}: {self.message}", *(f"  - {h}" for h in self.hints))
        return plain("\n".join(lines))

    def to_html(self) -> str:
        """A bordered note. Its color is mixed with the page's own, so it can be read in a light theme and in a dark one."""
        color = _COLORS[self.state]
        style = f"border-left:4px solid {color};background:{color}1f;padding:.5em .9em;margin:.3em 0;max-width:46em"
        name = tag("strong", f"{_MARKS[self.state]} {self.name}")
        items = [tag("li", _inline(hint)) for hint in self.hints]
        hints = tag("ul", *items, style="margin:.4em 0 0") if items else None
        return tag("div", name, "\u2002", _inline(self.message), hints, role="status", style=style)


@dataclass
class _Exercise:
    """The test of an exercise, and how many wrong answers the reader has given."""

    test: Test
    hints: tuple[str, ...]
    because: str
    wrong: int = 0


class _StillOpenError(Exception):
    """The reader's function returned its own `...`."""


_MARKS = {"open": "○", "wrong": "✗", "right": "✓"}
_COLORS = dict(zip(("open", "wrong", "right"), LIGHT.series, strict=False))  # blue, orange, green
_OPEN = "not answered yet. Replace the `...` above and run the cell again."
_exercises: dict[str, _Exercise] = {}


def exercise(
    name: str, expected: Any, *, hints: Sequence[str] = (), because: str = "", tolerance: float = 1e-4
) -> None:
    """Define an exercise: its right answer, hints, and why the answer matters.

    Args:
        name: name of the exercise, which `check` and `solution` use.
        expected: the right value, or a test: a function from the answer to True or False. If the test raises an
            AssertionError, the reader sees its message.
        hints: each wrong answer earns the next of them.
        because: shown with the right answer.
        tolerance: numbers and tensors may differ from the right value by this much, times its largest entry.
    """
    test = expected if callable(expected) else _equals(expected, tolerance)
    tries = _exercises[name].wrong if name in _exercises else 0
    _exercises[name] = _Exercise(test, tuple(hints), because, tries)


def check(name: str, answer: Any) -> Verdict:
    """Compare a reader's answer with the right one; each wrong answer earns one more hint.

    Args:
        answer: a value or a function that the reader filled in; `...` and None, also inside a list or returned by the
            function, count as not answered yet.

    Raises:
        TypeError: the test of the exercise returns None, which is a mistake of the lesson.
    """
    if name not in _exercises:
        return Verdict(name, "open", "first run the folded cell above, which defines the answer.")
    task = _exercises[name]
    state, message = _judge(task, answer)
    task.wrong += state == "wrong"
    earned = task.hints[: task.wrong] if state == "wrong" else ()
    if state == "wrong" and task.wrong > len(task.hints):
        message += " The folded cell below holds a solution."
    return Verdict(name, state, message, earned)


def solution(name: str, answer: Any) -> Verdict:
    """Test the lesson's own answer like a reader's. Raises AssertionError when it is not right."""
    if name not in _exercises:
        raise ValueError(f"no exercise is called {name!r}; there are {sorted(_exercises)}")
    state, message = _judge(_exercises[name], answer)
    if state != "right":
        raise AssertionError(f"the solution of {name!r} does not pass its own check: {message}")
    return Verdict(name, "right", "one solution is folded above; run it to go on with its values.")


def _judge(exercise: _Exercise, answer: Any) -> tuple[str, str]:
    if _is_open(answer):
        return "open", _OPEN
    try:
        passed = exercise.test(_watch(answer) if inspect.isfunction(answer) else answer)
    except _StillOpenError:
        return "open", _OPEN
    except AssertionError as complaint:
        return "wrong", _sentence(str(complaint) or "not yet")
    except Exception as error:  # noqa: BLE001 - whatever a reader's code may raise is an answer, not a crash
        if "ellipsis" in str(error).lower():
            return "open", _OPEN
        return "wrong", _sentence(f"it raised {type(error).__name__}: {error}")
    if passed is None:
        raise TypeError("the test of an exercise must return True or False, and this one returned None")
    return ("right", _sentence(exercise.because or "right")) if passed else ("wrong", "not yet.")


def _is_open(answer: Any) -> bool:
    if isinstance(answer, Mapping):
        return any(_is_open(value) for value in answer.values())
    if isinstance(answer, list | tuple):
        return any(_is_open(value) for value in answer)
    return answer is None or answer is Ellipsis


def _watch(function: Callable[..., Any]) -> Callable[..., Any]:
    """The reader's function, which raises if it still returns its starter."""

    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if _is_open(result):
            raise _StillOpenError
        return result

    return watched


def _equals(expected: Any, tolerance: float) -> Test:
    """A test for a value, which says what differs without giving the value away."""

    def test(answer: Any) -> bool:
        if isinstance(expected, bool | str):
            return type(answer) is type(expected) and answer == expected
        if isinstance(expected, Mapping):
            assert isinstance(answer, Mapping) and answer.keys() == expected.keys(), (
                f"its keys are {list(expected)}"
            )
            return all(_equals(expected[key], tolerance)(answer[key]) for key in expected)
        if isinstance(expected, list | tuple) and not _numeric(expected):
            assert len(answer) == len(expected), f"it has {len(answer)} parts and should have {len(expected)}"
            return all(_equals(e, tolerance)(a) for e, a in zip(expected, answer, strict=True))
        return _close(_tensor(answer), _tensor(expected), tolerance)

    return test


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _tensor(value: Any) -> Tensor:
    try:
        return torch.as_tensor(value).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(
            f"the answer must be a number or a tensor, and this is a {type(value).__name__}"
        ) from None


def _close(answer: Tensor, expected: Tensor, tolerance: float) -> bool:
    assert answer.shape == expected.shape, (
        f"its shape is {tuple(answer.shape)} and should be {tuple(expected.shape)}"
    )
    scale = expected.abs().max().item() if expected.numel() else 0.0
    return torch.allclose(answer, expected, rtol=0, atol=tolerance * scale)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def _inline(text: str) -> Markup:
    """Escaped text, with `backticks` set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(disarm(text))))
