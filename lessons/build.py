"""Build the notebooks from the lessons, executed; or check whether they still agree.

python -m lessons.build                     every lesson, executed and saved
python -m lessons.build 03 --profile cpu    one of them, at a chosen size
python -m lessons.build --dry-run           execute, save nothing: does the course run on this machine?
python -m lessons.build --check             execute nothing: does each notebook agree with its lesson, executed and without errors?
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from tqdm import tqdm

from lessons.convert import Lesson, clean, convert, find_lessons
from lessons.faults import faults
from lessons.profiles import PROFILES, VARIABLE, Profile, profile

CELL_TIMEOUT = 600  # seconds; far above any lesson's budget, so that only a stuck cell meets it
BAR = "{desc:<24}{percentage:3.0f}% |{bar:28}| {n_fmt:>3}/{total_fmt:<3} cells  {elapsed}{postfix}"

_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns 0 if no chosen lesson has a problem, 1 if one has, 2 for wrong arguments, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        lessons = find_lessons(options.names)
        size = None if options.check else profile(options.profile)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not size:
        problems = [f"{lesson.name}: {fault}" for lesson in lessons for fault in faults(lesson)]
    else:
        print(size)
        runs = (build(lesson, size, save=not options.dry_run) for lesson in lessons)
        try:
            problems = [problem for problem in runs if problem]
        except KeyboardInterrupt:
            print("stopped; the notebooks built so far are saved", file=sys.stderr)
            return 130
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"lessons: {len(lessons)}, problems: {len(problems)}")
    return 1 if problems else 0


def build(lesson: Lesson, size: Profile, *, save: bool = True) -> str | None:
    """Execute a lesson in a kernel of its own and save its notebook; returns what went wrong, or None.

    A lesson that fails leaves its notebook as it was.
    """
    notebook = convert(lesson)
    problem = execute(notebook, lesson, size)
    if problem is None and save:
        write(clean(notebook), lesson)
    return problem


def execute(notebook: NotebookNode, lesson: Lesson, size: Profile) -> str | None:
    """Run all cells in the notebook's folder, as a reader would, with a progress line; returns what went wrong, or None."""
    lesson.notebook.parent.mkdir(exist_ok=True)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        record_timing=False,
        extra_arguments=["--log-level=CRITICAL"],  # a cell's errors are in its output
        resources={"metadata": {"path": str(lesson.notebook.parent)}},
    )
    at = 0
    with tqdm(total=len(notebook.cells), desc=lesson.name, bar_format=BAR) as bar:

        def advance(cell: NotebookNode, cell_index: int) -> None:
            nonlocal at
            at = cell_index
            bar.update(cell_index - bar.n)

        client.on_cell_start = advance
        try:
            client.execute(env={**os.environ, VARIABLE: size.name})
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            return f"{lesson.name}, {_place(notebook, at)}:\n{_COLORS.sub('', str(error))}"
        except AssertionError:  # on Ctrl-C nbclient ends the kernel, then fails to find it
            raise KeyboardInterrupt from None
        bar.update(bar.total - bar.n)
    return None


def write(notebook: NotebookNode, lesson: Lesson) -> None:
    """Save the notebook in one step, so that a reader never sees half of it."""
    draft = lesson.notebook.with_suffix(".draft")
    nbformat.write(notebook, draft)
    draft.replace(lesson.notebook)


def _place(notebook: NotebookNode, index: int) -> str:
    """A cell in words: its index and the heading above it."""
    above = "\n".join(cell.source for cell in notebook.cells[: index + 1] if cell.cell_type == "markdown")
    headings = [line.lstrip("# ") for line in above.splitlines() if line.startswith("#")]
    return f"cell {index}" + (f" (below “{headings[-1]}”)" if headings else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m lessons.build", description="Build the notebooks from the lessons."
    )
    parser.add_argument(
        "names", nargs="*", help="lessons by number or name, as 03 or pretraining; all when left out"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--check", action="store_true", help="execute nothing; compare notebooks with their lessons"
    )
    mode.add_argument("--dry-run", action="store_true", help="execute, and save nothing")
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        help=f"the size of the runs; by default {VARIABLE}, or what suits the machine",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
