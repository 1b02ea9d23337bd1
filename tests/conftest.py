"""Fixtures that every test may ask for: the offline mirror of public data, a real corpus, reproducible torch.

Nothing here reaches for a network or an accelerator. A test that needs public data asks for `mirror` and is
skipped, with the reason, on a machine that has no copy of it.
"""

from __future__ import annotations

import os
from pathlib import Path

import checked_shapes
import pytest
import torch

checked_shapes.install()

REPOSITORY = Path(__file__).resolve().parent.parent
"""Root of the checkout."""


@pytest.fixture(autouse=True)
def gradual_underflow():
    """What a lesson or a command under test says of tiny numbers ends with it; hypothesis refuses to work without them."""
    yield
    torch.set_flush_denormal(False)


def find_mirror() -> Path | None:
    """The folder of public data files: `MINILM_DATA` if set, else `shared/data` in or beside the checkout."""
    named = os.environ.get("MINILM_DATA")
    folders = (
        [Path(named)] if named else [REPOSITORY.parent / "shared" / "data", REPOSITORY / "shared" / "data"]
    )
    return next((folder for folder in folders if (folder / "tinyshakespeare.txt").is_file()), None)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Path of the offline mirror of public data sets; the test is skipped where there is none."""
    folder = find_mirror()
    if folder is None:
        pytest.skip(
            "no offline mirror: set MINILM_DATA to a folder that holds tinyshakespeare.txt and the like"
        )
    return folder


@pytest.fixture(scope="session")
def tinyshakespeare(mirror: Path) -> str:
    """All 1,115,394 bytes (and as many characters) of tinyshakespeare."""
    return (mirror / "tinyshakespeare.txt").read_text(encoding="utf-8")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """The models are small and the test workers share the cores: more threads would only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Every test starts from the same state of torch's generator, in whatever order the tests run."""
    torch.manual_seed(0)
