"""JSON from a file that anybody may have written: an object, or one error that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minilm.system.errors import CheckpointError

DEEPEST = 100
"""Lists and objects within each other. Far more could be read, but not printed in a message from a deeper place."""


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is not JSON, not UTF-8, nested too deep, or holds an integer of too many digits.
    """
    text = text.decode("utf-8") if isinstance(text, bytes) else text
    try:
        content = json.loads(text)
        too_deep = text.count("[") + text.count("{") > DEEPEST and _is_too_deep(content)
    except RecursionError:
        too_deep = True
    if too_deep:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    return content


def _is_too_deep(tree: Any) -> bool:
    """Whether more than `DEEPEST` lists and objects are nested in each other."""
    level = [tree]
    for _ in range(DEEPEST):
        nests = [each for each in level if isinstance(each, list | dict)]
        level = [part for each in nests for part in (each.values() if isinstance(each, dict) else each)]
    return any(isinstance(each, list | dict) for each in level)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it holds anything else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        content = parse_json(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); restore or remake it") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a JSON {type(content).__name__}, not an object of settings")
    return content
