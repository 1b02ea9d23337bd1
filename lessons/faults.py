"""Faults of saved notebooks: one differs from its lesson, was not executed, shows one machine's paths, or lacks exercises."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lessons.convert import CHECKED, EXERCISE, KEY, MAY_RAISE, ROOT, SOLUTION, Lesson, code_cells, convert

EXERCISES = 3
"""Lessons have at least so many exercises, except for the welcome, lesson 00."""

EXPLORER_ERROR = 'class="status error"'
"""HTML of an explorer whose code has raised."""

_CALL = re.compile(r'^(exercise|check|solution)\(\s*"([^"]+)"', re.MULTILINE)
_TAGS = {"exercise": KEY, "check": EXERCISE, "solution": SOLUTION}
_FOLDERS = (
    str(ROOT),
    str(Path.home()),
    tempfile.gettempdir(),
    "/home",
    "/root",
    "/Users",
    "/tmp",
    r"C:\Users",
)
_PATH = re.compile(
    rf"(?<![\w./~<])(?:{'|'.join(re.escape(folder) for folder in _FOLDERS if len(folder) > 1)})(?![\w-])[^\s'\"<]*"
)


def faults(lesson: Lesson) -> list[str]:
    """The faults of a lesson's saved notebook; empty if it is this lesson, executed and fit to be read."""
    if not lesson.notebook.exists():
        return [f"{lesson.notebook.name} is missing: run `make lessons`"]
    fresh, saved = convert(lesson), nbformat.read(lesson.notebook, as_version=4)
    found = [*_source_faults(fresh, saved), *_execution_faults(saved), *_machine_faults(saved)]
    return found if lesson.name.startswith("00") else [*found, *_exercise_faults(fresh)]


def _source_faults(fresh: NotebookNode, saved: NotebookNode) -> Iterator[str]:
    if len(fresh.cells) != len(saved.cells):
        yield f"the lesson has {len(fresh.cells)} cells, its notebook {len(saved.cells)}: run `make lessons`"
        return
    for index, (ours, theirs) in enumerate(zip(fresh.cells, saved.cells, strict=True)):
        if any(ours.get(key) != theirs.get(key) for key in ("id", "cell_type", "source", "metadata")):
            yield f"cell {index} differs from its lesson: run `make lessons`"


def _execution_faults(saved: NotebookNode) -> Iterator[str]:
    for index, cell in code_cells(saved):
        tags = cell.metadata.get("tags", ())
        if cell.execution_count is None:
            yield f"cell {index} was not executed"
        if CHECKED in tags and not cell.outputs:
            yield f"cell {index} is tagged {CHECKED} and has no output to compare"
        if MAY_RAISE not in tags and any(output.output_type == "error" for output in cell.outputs):
            yield f"cell {index} ended in an error"
        if any(EXPLORER_ERROR in _text(output) for output in cell.outputs):
            yield f"cell {index} shows an explorer with an error"


def _machine_faults(saved: NotebookNode) -> Iterator[str]:
    if "widgets" in saved.metadata:
        yield "it holds widget models, for which a static viewer fetches code from the network"
    for index, cell in code_cells(saved):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                yield f"cell {index} writes to stderr: {output.text.strip().splitlines()[0]!r}"
            if path := _PATH.search(_text(output)):
                yield f"cell {index} shows a path of one machine: {path[0]!r}"


def _exercise_faults(fresh: NotebookNode) -> Iterator[str]:
    """Each exercise is defined in a folded cell, checked in the reader's cell and solved in a folded cell, in this order."""
    calls: dict[str, list[str]] = {}
    for index, cell in code_cells(fresh):
        for call, name in _CALL.findall(cell.source):
            calls.setdefault(name, []).append(call)
            if _TAGS[call] not in cell.metadata.get("tags", ()):
                yield f"cell {index} calls {call}({name!r}): tag it {_TAGS[call]}"
    if len(calls) < EXERCISES:
        yield f"it has {len(calls)} exercises and needs {EXERCISES}"
    for name, made in calls.items():
        if made != [*_TAGS]:
            yield f"{name!r} calls {', '.join(made)}; an exercise calls {', '.join(_TAGS)}, once each"


def _text(output: NotebookNode) -> str:
    """The text of an output, in all its formats."""
    shown = [text for kind, text in output.get("data", {}).items() if kind.startswith(("text/", "image/svg"))]
    return "\n".join([output.get("text", ""), *output.get("traceback", ()), *shown])
