"""`check` an exercise: each wrong try earns the next hint, and nothing a reader types makes it raise.

A folded cell says what is right, so that the reader does not meet the answer beside the question:

    exercise("scale", 32**-0.5, hints=("What grows with the width p?", "Divide by the root of p."))

The reader's cell is short:

    scale = ...
    check("scale", scale)

The folded solution below is held to the same test, and does raise, so that running the notebook proves it:

    scale = p**-0.5
    solution("scale", scale)
"""

from __future__ import annotations

import functools
import html
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Test = Callable[[Any], bool]


@dataclass(frozen=True)
class Verdict:
    """What a reader sees below an exercise; shown as HTML where that can be shown, as plain text elsewhere."""

    name: str
    """The exercise."""

    state: str
    """"open" (still the starter), "wrong" or "right"."""

    message: str
    """One sentence on the answer."""

    hints: tuple[str, ...] = ()
    """The hints earned so far, oldest first."""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.state == "right"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.to_html()}

    def __str__(self) -> str:
        return "\n".join(
            (f"{_MARKS[self.state]} {self.name}: {self.message}", *(f"  - {h}" for h in self.hints))
        )

    def to_html(self) -> str:
        """A bordered note. Its colours are tints over the page's own, so it reads in a light theme and in a dark one."""
        tint = _TINTS[self.state]
        items = "".join(f"<li>{_inline(hint)}</li>" for hint in self.hints)
        return (
            f'<div role="status" style="border-left:4px solid rgb({tint});background:rgba({tint},.12);'
            f'padding:.5em .9em;margin:.3em 0;max-width:46em">'
            f"<strong>{_MARKS[self.state]} {html.escape(self.name)}</strong>&ensp;{_inline(self.message)}"
            + (f'<ul style="margin:.4em 0 0">{items}</ul>' if items else "")
            + "</div>"
        )


@dataclass
class _Exercise:
    """What is right, and how often the reader was not."""

    test: Test
    hints: tuple[str, ...]
    because: str
    wrong: int = 0


class _StillOpenError(Exception):
    """The reader's function ran into its own `...`."""


_MARKS = {"open": "○", "wrong": "✗", "right": "✓"}
_TINTS = {"open": "86,130,200", "wrong": "213,120,20", "right": "20,150,110"}
_OPEN = "not answered yet. Replace the `...` above and run the cell again."
_exercises: dict[str, _Exercise] = {}


def exercise(
    name: str,
    expected: Any,
    *,
    hints: Sequence[str] = (),
    because: str = "",
    tolerance: float = 1e-4,
) -> None:
    """Say what the right answer of an exercise is, what helps on the way, and why it matters.

    `expected` is the right value (numbers and tensors within `tolerance` of its largest entry), or a test: a function from
    the answer to True or False, whose AssertionError, if it raises one, is told to the reader. A wrong try earns the next
    of the `hints`; `because` is told with the right answer.
    """
    test = expected if callable(expected) else _equals(expected, tolerance)
    tries = _exercises[name].wrong if name in _exercises else 0
    _exercises[name] = _Exercise(test, tuple(hints), because, tries)


def check(name: str, answer: Any) -> Verdict:
    """Lay a reader's answer beside what is right, and hint one step further after each wrong try.

    `answer` may be a value or a function that the reader filled in; `...` and None, also inside a list or returned by
    the function, count as not answered yet.
    Raises TypeError only where the lesson is at fault: a test that returns neither True nor False.
    """
    if name not in _exercises:
        return Verdict(name, "open", "first run the folded cell above, which knows the answer.")
    task = _exercises[name]
    state, message = _judge(task, answer)
    task.wrong += state == "wrong"
    earned = task.hints[: task.wrong] if state == "wrong" else ()
    if state == "wrong" and task.wrong > len(task.hints):
        message += " The folded cell below holds a solution."
    return Verdict(name, state, message, earned)


def solution(name: str, answer: Any) -> Verdict:
    """Prove the lesson's own answer with the exercise's test. Raises AssertionError when it is not right."""
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
    """The reader's function, raising when it still returns its starter."""

    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if _is_open(result):
            raise _StillOpenError
        return result

    return watched


def _equals(expected: Any, tolerance: float) -> Test:
    """A test for a value, which tells what differs without giving the value away."""

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
            f"a number or a tensor is asked for, and this is a {type(value).__name__}"
        ) from None


def _close(answer: Tensor, expected: Tensor, tolerance: float) -> bool:
    assert answer.shape == expected.shape, (
        f"its shape is {tuple(answer.shape)} and should be {tuple(expected.shape)}"
    )
    scale = expected.abs().max().item() if expected.numel() else 0.0
    return torch.allclose(answer, expected, rtol=0, atol=tolerance * scale)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def _inline(text: str) -> str:
    """Escaped text, with `backticks` set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
