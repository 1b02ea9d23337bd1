"""Shapes that are checked: every call of an annotated function in a test is compared with its jaxtyping annotations.

`install` wraps the functions of a room as its modules are loaded, so no module of the library needs beartype. A call is
checked once it has returned, arguments and result together: equal names of dimensions must have equal sizes. A call that
raises is not checked, so a test of bad input sees the library's own error.
"""

from __future__ import annotations

import functools
import importlib.abc
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from beartype.door import die_if_unbearable
from jaxtyping import jaxtyped

ROOMS = ("minilm.generation", "minilm.evaluation", "minilm.steering", "minilm.adaptation")
"""The packages whose functions are checked."""
_HAS_SHAPE = re.compile(r"\b(Float|Float64|Int|Bool)\[")


def install() -> None:
    """Check all modules of the rooms that are loaded from now on."""
    sys.meta_path.insert(0, _Finder())


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its shapes checked after every call."""
    shapes = {name: hint for name, hint in function.__annotations__.items() if _HAS_SHAPE.search(str(hint))}
    if not shapes:
        return function
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        values = signature.bind(*args, **kwargs).arguments | {"return": result}
        with jaxtyped("context"):
            for name, hint in shapes.items():
                if name in values:
                    check(function, name, values[name], hint)
        return result

    return call


def check(function: Callable[..., Any], name: str, value: Any, hint: Any) -> None:
    """Raise an AssertionError unless a value has the shape of its annotation."""
    names = inspect.unwrap(
        function
    ).__globals__  # a decorator, such as no_grad, has the names of its own module
    hint = eval(hint, names) if isinstance(hint, str) else hint
    try:
        die_if_unbearable(value, hint)
    except Exception as error:
        shape = f"{value.dtype} {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
        raise AssertionError(f"{function.__qualname__}: {name} is {shape}, not {hint}") from error


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(ROOMS):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module
            spec.loader.exec_module = functools.partial(_load, load)  # type: ignore[method-assign]
        return spec


def _load(load: Callable[[ModuleType], None], module: ModuleType) -> None:
    load(module)
    for owner in (module, *(each for each in vars(module).values() if inspect.isclass(each))):
        if owner is not module and owner.__module__ != module.__name__:
            continue
        for name, value in list(vars(owner).items()):
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                setattr(owner, name, checked(value))
