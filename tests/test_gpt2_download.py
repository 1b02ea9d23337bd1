"""GPT-2's files are used only with the bytes that were published."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import huggingface_hub
import pytest

from minilm.checkpoints import gpt2_download
from minilm.checkpoints.gpt2_download import PUBLISHED, Published, fetch_gpt2
from minilm.system.errors import CheckpointError


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache with small files, registered as those that were published."""
    for name in PUBLISHED:
        (tmp_path / name).write_bytes(name.encode())
    made = {name: Published(len(name), hashlib.sha256(name.encode()).hexdigest()) for name in PUBLISHED}
    monkeypatch.setattr(gpt2_download, "PUBLISHED", made)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    return tmp_path


def test_files_with_the_published_bytes_are_used(hub):
    assert fetch_gpt2() == hub


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("damage", ["change", "cut", "remove"])
def test_any_other_byte_is_refused_by_name(hub, name, damage):
    path = hub / name
    data = path.read_bytes()
    path.unlink()
    if damage != "remove":
        path.write_bytes(data[:-1] + (b"!" if damage == "change" else b""))
    with pytest.raises(CheckpointError, match=re.escape(str(path)) + ".* is not the file that was published"):
        fetch_gpt2()


def test_the_register_is_of_sha256_digits():
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) and file.n_byte > 0 for file in PUBLISHED.values())
