"""Settings of a method, read from a file: each value is held against the type of its field before it is used."""

from __future__ import annotations

import sys
from dataclasses import fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from minilm.tuning.method import Method
from minilm.tuning.registry import METHODS

LARGEST = 2**31
"""No whole number among the settings is larger."""


def method_from(entry: Any) -> Method:
    """The method that an entry `{"method": name, "settings": {...}}` describes.

    Raises:
        ValueError: there is no such method, or a setting is unknown, of another type, or out of range.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("method"), str):
        raise ValueError(f"a method must be an object with a name under 'method', not {brief(entry)}")
    if entry["method"] not in METHODS:
        raise ValueError(f"it uses {brief(entry['method'])}, but the methods are {', '.join(METHODS)}")
    kind = METHODS[entry["method"]]
    settings = checked_settings(kind, entry.get("settings"))
    try:
        return kind(**settings)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the settings of {kind.name} do not fit: {error}") from None


def checked_settings(kind: type[Method], settings: Any) -> dict[str, Any]:
    """The settings, lists made tuples, if every one is a field of the method and of its type.

    Raises:
        ValueError: one is not; it is named.
    """
    if not isinstance(settings, dict):
        raise ValueError(f"the settings of {kind.name} must be an object, not {brief(settings)}")
    known = _types(kind)
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"{kind.name} has no setting {brief(name)}: the file may be of a newer minilm")
        if not fits_type(value, known[name]):
            raise ValueError(
                f"{kind.name}'s setting {name} must be {_words(known[name])}, not {brief(value)}"
            )
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


@cache
def _types(kind: type[Method]) -> dict[str, Any]:
    """The type of each field."""
    types = get_type_hints(kind)
    return {field.name: types[field.name] for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass


def fits_type(value: Any, kind: Any) -> bool:
    """Whether a value from JSON is of a field's type: a finite number, a whole one, a text, a list of such, or None."""
    if get_origin(kind) in (Union, UnionType):
        return any(fits_type(value, each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        return _fits_tuple(value, get_args(kind))
    if kind is float:
        return type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max
    if kind is int:
        return type(value) is int and -LARGEST <= value <= LARGEST
    return type(value) is kind


def _fits_tuple(value: Any, kinds: tuple[Any, ...]) -> bool:
    """A list of as many values as the tuple has, or of any number; of texts, each may occur once."""
    if not isinstance(value, list | tuple):
        return False
    if kinds[-1] is Ellipsis:
        once = kinds[0] is not str or len({str(each) for each in value}) == len(value)
        return once and all(fits_type(each, kinds[0]) for each in value)
    return len(value) == len(kinds) and all(map(fits_type, value, kinds))


def _words(kind: Any) -> str:
    """A type, as an error message says it."""
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_words(each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        return "a list"
    known = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}
    return {**known, NoneType: "null"}[kind]


def brief(value: Any) -> str:
    """A value for an error message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
