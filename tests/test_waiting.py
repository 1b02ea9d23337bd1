"""Torch's threads wait briefly, wherever minilm is imported first, and as the reader says where the reader says so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minilm.system.waiting import SETTINGS, SPIN, describe_waiting, wait_briefly


def run(code: str, **settings: str) -> str:
    """What a fresh Python prints."""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | settings
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


SHOW = "import minilm; from minilm.system.waiting import describe_waiting; print(describe_waiting())"


@pytest.mark.parametrize(
    "code, settings, expected",
    [
        (SHOW, {}, f"GOMP_SPINCOUNT={SPIN}"),
        (SHOW, {"OMP_WAIT_POLICY": "PASSIVE"}, "OMP_WAIT_POLICY=PASSIVE"),
        (SHOW, {"GOMP_SPINCOUNT": "7"}, "GOMP_SPINCOUNT=7"),
        (f"import torch; {SHOW}", {}, "spinning"),
    ],
)
def test_how_a_fresh_process_waits(code, settings, expected):
    assert run(code, **settings) == expected


def test_what_is_set_stays(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert wait_briefly()
    assert describe_waiting() == "OMP_WAIT_POLICY=ACTIVE"
