"""What the README shows is there: its links, its lessons, its commands, and its Python runs as it stands."""

import re
import runpy
from pathlib import Path

import pytest

from lessons.convert import find_lessons
from minilm.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page):
    links = LINK.findall(without_code(page.read_text(encoding="utf-8")))
    assert [link for link in links if not (page.parent / link).exists()] == []


def without_code(text: str) -> str:
    """Markdown without its code, in which brackets mean other things."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def test_every_lesson_is_in_the_table_in_order():
    assert re.findall(r"\(notebooks/(\w+)\.ipynb\)", TEXT) == [lesson.name for lesson in find_lessons()]


def test_every_command_is_shown_and_every_shown_command_is_there():
    [shown] = re.findall(r"```\n(minilm .*?)```", TEXT, flags=re.DOTALL)
    assert {line.split()[1] for line in shown.splitlines()} == COMMANDS.keys()


def test_every_make_target_that_is_named_is_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make (\w+)", TEXT, flags=re.MULTILINE))
    assert {"lab", "test"} <= named
    assert [target for target in named if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)] == []


def test_its_python_runs_and_writes_a_story(tmp_path, capsys):
    [code] = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    (tmp_path / "shown.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "shown.py"))
    assert len(capsys.readouterr().out) > 100
