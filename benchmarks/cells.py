"""Results in cells: what is measured is written at once, and a cell that is there is not measured again.

A file holds a JSON object, `{"about": ..., "cells": {key: row}}`. A benchmark of many short runs can so be cut off and
started again, in parts, by anybody.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minilm.system.atomic import atomic_file

RESULTS = Path(__file__).with_name("results")
Row = dict[str, Any]


class Cells:
    """The rows of one results file, by key.

    Args:
        path: where they are kept.
        about: what the rows share (the base's fingerprint, the task); rows of other values are dropped.
    """

    def __init__(self, path: Path, about: Row):
        self.path, self.about = path, json.loads(json.dumps(about))
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.rows: dict[str, Row] = found["cells"] if found.get("about") == self.about else {}

    def get(self, key: str, measure: Callable[[], Row]) -> Row:
        """The row under a key, measured now if it is not there yet."""
        if key not in self.rows:
            self.rows[key] = {name: rounded(value) for name, value in measure().items()}
            self.write()
            print(key, self.rows[key], flush=True)
        return self.rows[key]

    def write(self, **more: Any) -> None:
        """Write all rows, with what was concluded from them."""
        content = {"about": self.about, **more, "cells": self.rows}
        with atomic_file(self.path) as draft:
            draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def rounded(value: Any) -> Any:
    """A number to five significant digits; lists and mappings likewise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return value


def spread(values: Sequence[float | None], goal: float = 0.0) -> str:
    """Mean, lowest and highest; a star where the mean falls short of the goal."""
    if None in values:
        return "-"
    mean = statistics.mean(values)
    return f"{mean:.3f} ({min(values):.3f}-{max(values):.3f}){'*' if mean < goal else ' '}"
