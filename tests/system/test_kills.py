"""A process that is killed while it saves loses nothing: what is loaded next is the old version or the new one, whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_saves.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="killing a fork is a Unix matter")


def run(folder: Path, task: str) -> dict:
    """What the script finds out."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), task],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_killed_before_every_single_step(tmp_path: Path) -> None:
    result = run(tmp_path, "every-step")
    assert min(result["kills"].values()) >= 8
    assert sum(result["kills"].values()) >= 60
    assert result["found"].keys() == {"old", "new"}
    assert sum(result["found"].values()) == sum(result["kills"].values())
    assert result["left"] == []


def test_killed_at_any_moment(tmp_path: Path) -> None:
    result = run(tmp_path, "any-moment")
    assert sum(result["kills"].values()) == 80
    assert result["found"].keys() <= {"old", "new"}
    assert sum(result["found"].values()) == 80
    assert result["left"] == []


def test_two_processes_save_one_folder_while_a_third_reads(tmp_path: Path) -> None:
    result = run(tmp_path, "two-savers")
    assert result["codes"] == [0, 0]
    assert result["found"].keys() <= {"old", "new"}
    assert sum(result["found"].values()) == 60
    assert result["left"] == []
