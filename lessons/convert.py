"""From a lesson's source to its notebook.

A lesson is written as a Python file in percent format, which works with diff, grep and linters; it is read as a notebook.
What is saved depends on the lesson alone: no random cell ids, no machine's paths, no widget models that a viewer would
have to fetch code for.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "lessons"
NOTEBOOKS = ROOT / "notebooks"

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CHECKED, MAY_RAISE = "nbval-check-output", "raises-exception"
KEY, EXERCISE, SOLUTION = "key", "exercise", "solution"
FOLDED = {KEY: "# The right answer, and hints.", SOLUTION: "# A solution. Click to open."}
"""Tag of a cell that holds an answer -> the only line of it that a reader sees before unfolding it."""

_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_PROGRESS_BAR = re.compile(r"\d+%\|")


@dataclass(frozen=True)
class Lesson:
    """One lesson, by its source file."""

    source: Path
    """Where it is written: `lessons/NN_name.py`."""

    notebook: Path
    """Where it is read: `notebooks/NN_name.ipynb`. A lesson runs in this file's folder, as it does in Jupyter."""

    @property
    def name(self) -> str:
        """The file name without its suffix, `NN_name`."""
        return self.source.stem


def find_lessons(names: Iterable[str] = ()) -> list[Lesson]:
    """The lessons in order: all of them, or those whose name contains one of `names`.

    Raises:
        ValueError: a name that no lesson contains.
    """
    sources = sorted(SOURCES.glob("[0-9][0-9]_*.py"))
    wanted = list(names)
    for name in wanted:
        if not any(name in path.stem for path in sources):
            raise ValueError(
                f"no lesson {name!r}; there are {', '.join(path.stem for path in sources) or 'none'}"
            )
    chosen = [path for path in sources if not wanted or any(name in path.stem for name in wanted)]
    return [Lesson(path, NOTEBOOKS / f"{path.stem}.ipynb") for path in chosen]


def convert(lesson: Lesson) -> NotebookNode:
    """The lesson as a notebook, not yet executed."""
    cells = jupytext.reads(lesson.source.read_text(encoding="utf-8"), fmt="py:percent").cells
    notebook: NotebookNode = nbformat.v4.new_notebook(cells=cells, metadata=_notebook_metadata())
    seen: Counter[str] = Counter()
    for cell in cells:
        cell.id = _cell_id(cell, seen)
        for tag in FOLDED.keys() & set(cell.metadata.get("tags", ())):
            cell.metadata["jupyter"] = {"source_hidden": True}
            cell.source = f"{FOLDED[tag]}\n{cell.source}"
    return notebook


def clean(notebook: NotebookNode) -> NotebookNode:
    """The executed notebook without what differs from run to run or from machine to machine; changed in place."""
    notebook.metadata = _notebook_metadata()
    for _, cell in code_cells(notebook):
        cell.metadata.pop("execution", None)
        cell.outputs = [output for output in map(_clean_output, _joined(cell.outputs)) if output is not None]
    return notebook


def code_cells(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    """The code cells, each with its index among all cells."""
    return ((index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code")


def _notebook_metadata() -> NotebookNode:
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    language = {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "pygments_lexer": "ipython3",
    }
    return NotebookNode(kernelspec=NotebookNode(kernel), language_info=NotebookNode(language))


def _cell_id(cell: NotebookNode, seen: Counter[str]) -> str:
    """An id made from the cell's text, so that it moves with its cell and a diff shows only what changed."""
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _joined(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Outputs in which neighboring pieces of one stream are joined, since where a stream is cut depends on time."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _clean_output(output: NotebookNode) -> NotebookNode | None:
    """The output as it is saved; None for a progress bar, which is of no use afterwards."""
    if output.output_type == "stream":
        lines = (line.rpartition("\r")[2] for line in output.text.splitlines(keepends=True))
        output.text = _scrub("".join(line for line in lines if not _PROGRESS_BAR.search(line)))
        return output if output.text.strip() else None
    data = output.get("data", {})
    if WIDGET_VIEW in data and _PROGRESS_BAR.search(data.get("text/plain", "")):
        return None
    output.get("metadata", {}).pop(
        "needs_background", None
    )  # the course's figures can be read on any background
    data.pop(WIDGET_VIEW, None)  # its model is not saved; viewers show the other formats instead
    for kind, content in data.items():
        if kind.startswith("text/"):
            data[kind] = _scrub(content)
    return output


def _scrub(text: str) -> str:
    """The text without this machine's paths and this process's addresses."""
    for path, name in ((ROOT, "."), (Path.home(), "~"), (Path(tempfile.gettempdir()), "TMP")):
        if path != Path(path.root):
            text = re.sub(rf"(?<![\w./]){re.escape(str(path))}(?![\w-])", name, text)
    return _ADDRESS.sub("0x0", text)
