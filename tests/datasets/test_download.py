"""Downloads against a server on loopback: corrupt, cut short, resumed, and never half in place."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from minilm.datasets import DataError
from minilm.datasets.store import collect, locate
from minilm.system import disk
from minilm.system.atomic import SaveError

LETTERS = bytes(itertools.islice(itertools.cycle(range(97, 123)), 300_000))


def files_in(folder: Path) -> set[str]:
    """Files below the folder, save the lock that keeps processes apart."""
    return {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_a_file_is_fetched_once_and_announced(server, cache, capsys):
    card = server.card(letters=LETTERS)
    [path] = locate(card, "all")
    assert path == cache / "sub" / "letters.txt"
    assert path.read_bytes() == LETTERS
    said = capsys.readouterr().out
    assert all(word in said for word in ("toy", server.url("letters"), "300,000 bytes", "CC0", str(cache)))
    assert locate(card, "all") == [path]
    assert capsys.readouterr().out == ""
    assert len(server.ranges) == 1
    assert files_in(cache) == {"letters.txt"}


@pytest.mark.parametrize("fault", ["corrupt", "truncate", "error"])
def test_a_faulty_download_is_named_and_fetched_again(server, cache, capsys, fault):
    card = server.card(letters=LETTERS)
    server.faults = [fault]
    [path] = locate(card, "all")
    assert path.read_bytes() == LETTERS
    assert "sub/letters.txt did not arrive whole" in capsys.readouterr().out
    assert len(server.ranges) == 2


@pytest.mark.parametrize("fault", ["corrupt", "truncate", "error"])
def test_a_download_that_fails_twice_is_given_up_and_never_used(server, cache, fault):
    card = server.card(letters=LETTERS)
    server.faults = [fault, fault]
    with pytest.raises(DataError, match=r"sub/letters\.txt could not be fetched from .*twice.*MINILM_DATA"):
        locate(card, "all")
    assert len(server.ranges) == 2
    assert "letters.txt" not in files_in(cache)
    [path] = locate(card, "all")
    assert path.read_bytes() == LETTERS


def test_a_short_download_is_resumed_where_it_ended(server, cache):
    card = server.card(letters=LETTERS)
    server.faults = ["truncate"]
    locate(card, "all")
    first, second = server.ranges
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 150_000


def test_a_part_left_by_a_killed_process_is_resumed(server, cache):
    card = server.card(letters=LETTERS)
    (cache / "sub").mkdir(parents=True)
    (cache / "sub" / "letters.txt.part").write_bytes(LETTERS[:1234])
    [path] = locate(card, "all")
    assert path.read_bytes() == LETTERS
    assert server.ranges == ["bytes=1234-"]


@pytest.mark.parametrize("left", [b"wrong start", LETTERS[:-1] + b"!", LETTERS + b"too long"])
def test_a_worthless_part_is_thrown_away(server, cache, left):
    card = server.card(letters=LETTERS)
    (cache / "sub").mkdir(parents=True)
    (cache / "sub" / "letters.txt.part").write_bytes(left)
    [path] = locate(card, "all")
    assert path.read_bytes() == LETTERS
    assert files_in(cache) == {"letters.txt"}


def test_a_server_that_cannot_resume_sends_everything_again(server, cache):
    card = server.card(letters=LETTERS)
    server.understands_ranges = False
    server.faults = ["truncate"]
    [path] = locate(card, "all")
    assert path.read_bytes() == LETTERS


def test_a_cached_file_that_has_changed_is_named_and_replaced(server, cache, capsys):
    card = server.card(letters=LETTERS, digits=b"0123456789")
    letters, _ = locate(card, "all")
    letters.write_bytes(LETTERS[::-1])
    assert [path.read_bytes() for path in locate(card, "all")] == [LETTERS, b"0123456789"]
    assert "sub/letters.txt in the cache is corrupt" in capsys.readouterr().out
    assert len(server.ranges) == 3


def test_a_changed_cached_file_is_not_used_when_the_server_is_gone(server, cache):
    card = server.card(letters=LETTERS)
    [path] = locate(card, "all")
    path.write_bytes(b"tampered")
    server.faults = ["error", "error"]
    with pytest.raises(DataError, match=r"sub/letters\.txt"):
        locate(card, "all")


def test_a_body_without_end_is_left_at_the_registered_size(server, cache):
    card = server.card(letters=LETTERS)
    server.faults = ["endless", "endless"]
    with pytest.raises(DataError, match=r"twice: it has more than the 300,000 bytes of the register"):
        locate(card, "all")
    assert server.sent < 50_000_000  # what the system's buffers took before the connection was closed
    assert files_in(cache) == set()
    assert locate(card, "all")[0].read_bytes() == LETTERS


def test_a_compressed_body_is_not_inflated(server, cache):
    card = server.card(letters=LETTERS)
    server.faults = ["gzip", "gzip"]
    with pytest.raises(DataError, match=r"the server sends it compressed \(gzip\)"):
        locate(card, "all")
    assert files_in(cache) == set()


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "//x/y", "/elsewhere"]
)
def test_a_redirect_that_leaves_https_is_not_followed(server, address):
    card = server.card(letters=LETTERS)
    server.faults = [f"redirect {address}"] * 2
    with pytest.raises(DataError, match="it redirects to .*, and only https addresses are followed"):
        locate(card, "all")
    assert len(server.ranges) == 2


def test_a_disk_without_room_is_told_before_anything_is_fetched(server, cache, monkeypatch):
    monkeypatch.setattr(disk, "free_space", lambda folder: 1000)
    with pytest.raises(SaveError, match=r"fetching toy needs 0\.00 GB on disk"):
        locate(server.card(letters=LETTERS), "all")
    assert server.ranges == [] and not cache.exists()


def test_two_that_want_the_same_file_fetch_it_once(server, cache, capsys):
    card = server.card(letters=LETTERS)
    cache.mkdir()
    with FileLock(cache / "toy.lock"):
        waiting = threading.Thread(target=locate, args=(card, "all"))
        waiting.start()
        while "Fetching" not in capsys.readouterr().out:
            assert waiting.is_alive()
            waiting.join(0.01)
        (cache / "sub").mkdir()
        (cache / "sub" / "letters.txt").write_bytes(LETTERS)
    waiting.join()
    assert server.ranges == []
    assert "corrupt" not in capsys.readouterr().out


def test_the_mirror_is_read_without_a_network(server, cache, tmp_path, monkeypatch):
    card = server.card(letters=LETTERS)
    monkeypatch.setenv("MINILM_DATA", str(tmp_path))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "letters.txt").write_bytes(LETTERS)
    assert collect(card, card.files) == [tmp_path / "sub" / "letters.txt"]
    assert server.ranges == []


def test_a_mirror_that_lacks_a_file_says_which_and_what_to_do(server, tmp_path, monkeypatch):
    card = server.card(letters=LETTERS)
    monkeypatch.setenv("MINILM_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        locate(card, "all")
    for word in (str(tmp_path), "sub/letters.txt", "toy", server.url("letters"), "unset MINILM_DATA"):
        assert word in str(caught.value)
    assert server.ranges == []


def test_a_mirror_that_is_not_a_folder_is_named(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MINILM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere, which is not a folder"):
        locate(server.card(letters=LETTERS), "all")


def test_a_corrupt_file_in_the_mirror_is_refused_and_left_alone(server, tmp_path, monkeypatch):
    card = server.card(letters=LETTERS)
    monkeypatch.setenv("MINILM_DATA", str(tmp_path))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "letters.txt").write_bytes(LETTERS[:-1])
    with pytest.raises(DataError, match=r"letters\.txt in the mirror .* is corrupt: it has 299,999 bytes"):
        locate(card, "all")
    assert (tmp_path / "sub" / "letters.txt").read_bytes() == LETTERS[:-1]


def test_importing_the_shelf_is_light():
    code = "import sys, minilm.datasets; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"matplotlib", "pandas", "peft", "pooch", "requests", "transformers", "yaml"}
    assert not heavy & set(done.stdout.split())
