"""Every committed notebook is its lesson, executed, fit to be read; nbval's rules are all in force.

nbval itself executes the notebooks (`make test`); it has nothing to say of a notebook that was never executed, or
that its lesson has left behind. That is held here.
"""

import re
from pathlib import Path

import pytest
from nbval.plugin import get_sanitize_patterns

from lessons.convert import NOTEBOOKS, convert, find_lessons
from lessons.faults import faults

LESSONS = find_lessons()
SANITIZER = Path(__file__).with_name("nbval.cfg")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_notebook_is_its_lesson_executed(lesson):
    assert faults(lesson) == []


def test_no_notebook_is_without_its_lesson():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} <= {lesson.name for lesson in LESSONS}


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_lesson_has_one_title_numbered_as_its_file(lesson):
    assert convert(lesson).cells[0].source.startswith(f"# {int(lesson.name[:2])}. ")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_what_a_lesson_links_to_is_there(lesson):
    text = "".join(cell.source for cell in convert(lesson).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    assert [link for link in links if not (NOTEBOOKS / link).exists()] == []


def test_nbval_takes_every_rule_of_its_sanitizer():
    text = SANITIZER.read_text(encoding="utf-8")
    sections = [line for line in text.splitlines() if line.startswith("[")]
    assert len(get_sanitize_patterns(text)) == len(sections) > 0


@pytest.mark.parametrize(
    "shown, sanitized",
    [
        ("<object at 0x7f21c0a8>", "<object at ADDRESS>"),
        ("in 3.2 s and 2 minutes", "in DURATION and DURATION"),
        ("12,345.6 tokens/s", "RATE"),
        ("loss 3.2 after 200 steps", "loss 3.2 after 200 steps"),
    ],
)
def test_the_rules_replace_what_differs_between_machines_and_nothing_else(shown, sanitized):
    for pattern, replacement in get_sanitize_patterns(SANITIZER.read_text(encoding="utf-8")):
        shown = re.sub(pattern, replacement, shown)
    assert shown == sanitized
