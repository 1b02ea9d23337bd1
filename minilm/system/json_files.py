"""JSON from a file that anybody may have written: an object, or one error that names the file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from minilm.system.errors import CheckpointError


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is not JSON, not UTF-8, nested too deep, or holds an integer of too many digits.
    """
    try:
        return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except RecursionError:
        raise ValueError(f"it is nested more than about {sys.getrecursionlimit()} deep") from None


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
