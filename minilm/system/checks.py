"""Checks of settings, one line each: a wrong type, a number out of range, an unknown choice.

All of them raise ValueError with one form of message: "NAME must be ..., not VALUE". A bool does not count as a number, NaN and
infinity are outside every range, and a string is never taken for the number that it spells.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TypeGuard


def whole(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """The value, if it is an int from `least` to `most`, both included.

    >>> whole("rank", 8, least=1)
    8
    """
    if not isinstance(value, int) or isinstance(value, bool) or not _within(value, least, most):
        raise ValueError(f"{name} must be a whole number{_range(least, most)}, not {value!r}")
    return value


def number(name: str, value: object, least: float | None = None, most: float | None = None) -> float:
    """The value, if it is a finite int or float from `least` to `most`, both included."""
    if not (_is_finite(value) and _within(value, least, most)):
        raise ValueError(f"{name} must be a number{_range(least, most)}, not {value!r}")
    return value


def positive(name: str, value: object) -> float:
    """The value, if it is a finite number above 0."""
    if not (_is_finite(value) and value > 0):
        raise ValueError(f"{name} must be a positive number, not {value!r}")
    return value


def share(name: str, value: object) -> float:
    """The value, if it is a number in [0, 1): of a dropout, of a label smoothing."""
    if not (_is_finite(value) and 0 <= value < 1):
        raise ValueError(f"{name} must lie in [0, 1), not {value!r}")
    return value


def flag(name: str, value: object) -> bool:
    """The value, if it is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {value!r}")
    return value


def one_of(name: str, value: object, choices: Collection[str]) -> str:
    """The value, if it is one of some names."""
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def names(name: str, value: object, choices: Collection[str]) -> tuple[str, ...]:
    """The value as a tuple, if it is a list or tuple of some of the choices. A string would be a list of its letters."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a tuple of names out of {', '.join(choices)}, not {value!r}")
    for each in value:
        one_of(f"each of {name}", each, choices)
    return tuple(value)


def _is_finite(value: object) -> TypeGuard[float]:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _within(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _range(least: float | None, most: float | None) -> str:
    """The range in words."""
    if least is not None and most is not None:
        return f" from {least:g} to {most:g}"
    if least is not None:
        return f" of at least {least:g}"
    return "" if most is None else f" of at most {most:g}"
