"""Building: a lesson runs alone beside its notebook, a failure names its place and leaves the saved notebook be."""

import signal
import subprocess
import sys
import time

import nbformat
import pytest

from lessons import build
from lessons.convert import Lesson
from lessons.faults import faults
from lessons.profiles import PROFILES, VARIABLE

GOOD = f"""\
# %% [markdown]
# # A lesson

# %%
import os
from pathlib import Path

(Path.cwd().name, os.environ["{VARIABLE}"])
"""
BAD = GOOD + "\n# %% [markdown]\n# ## Where it breaks\n\n# %%\nraise ValueError('the learning rate is -1')\n"


@pytest.fixture
def lesson(tmp_path):
    (tmp_path / "notebooks").mkdir()
    return Lesson(tmp_path / "00_lesson.py", tmp_path / "notebooks" / "00_lesson.ipynb")


def test_a_lesson_runs_in_the_notebooks_folder_under_its_profile_and_is_saved(lesson):
    lesson.source.write_text(GOOD, encoding="utf-8")
    assert build.build(lesson, PROFILES["smoke"]) is None
    assert faults(lesson) == []
    cell = nbformat.read(lesson.notebook, as_version=4).cells[1]
    assert cell.outputs[0].data["text/plain"] == "('notebooks', 'smoke')"
    first = lesson.notebook.read_bytes()
    build.build(lesson, PROFILES["smoke"])
    assert lesson.notebook.read_bytes() == first


def test_a_failing_lesson_is_told_with_its_place_and_leaves_the_notebook_as_it_was(lesson):
    lesson.source.write_text(BAD, encoding="utf-8")
    lesson.notebook.write_text("as it was", encoding="utf-8")
    problem = build.build(lesson, PROFILES["smoke"])
    assert "00_lesson, cell 3 (below “Where it breaks”)" in problem
    assert "ValueError: the learning rate is -1" in problem
    assert lesson.notebook.read_text(encoding="utf-8") == "as it was"


def test_a_kernel_that_dies_is_told_with_its_place(lesson):
    lesson.source.write_text(
        "# %% [markdown]\n# # A lesson\n\n# %%\nimport os\n\nos._exit(1)\n", encoding="utf-8"
    )
    assert build.build(lesson, PROFILES["smoke"]) == "00_lesson, cell 1 (below “A lesson”):\nKernel died"


def test_ctrl_c_stops_in_one_line_and_leaves_the_notebook_as_it_was(lesson):
    mark = lesson.notebook.with_suffix(".running")
    lesson.source.write_text(
        f"# %%\nimport time\n\nopen({str(mark)!r}, 'w').close()\ntime.sleep(60)\n", encoding="utf-8"
    )
    lesson.notebook.write_text("as it was", encoding="utf-8")
    code = f"""
from pathlib import Path
from lessons import build
from lessons.convert import Lesson
build.find_lessons = lambda names: [Lesson(Path({str(lesson.source)!r}), Path({str(lesson.notebook)!r}))]
raise SystemExit(build.main(["--profile", "smoke"]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while not mark.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "stopped" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert lesson.notebook.read_text(encoding="utf-8") == "as it was"


def test_a_dry_run_saves_nothing(lesson):
    lesson.source.write_text(GOOD, encoding="utf-8")
    assert build.build(lesson, PROFILES["smoke"], save=False) is None
    assert not lesson.notebook.exists()


def test_the_command_line_names_an_unknown_lesson(capsys):
    assert build.main(["--check", "knitting"]) == 2
    assert "no lesson 'knitting'" in capsys.readouterr().err


def test_the_command_line_fails_when_a_notebook_has_faults(lesson, monkeypatch, capsys):
    lesson.source.write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr(build, "find_lessons", lambda names: [lesson])
    assert build.main(["--check"]) == 1
    assert "00_lesson: 00_lesson.ipynb is missing" in capsys.readouterr().err
