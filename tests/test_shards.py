"""Token shards: the encoding of the whole text whatever way they came about, and told where they are not."""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
from collections import namedtuple
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.system import disk
from minilm.system.atomic import SaveError
from minilm.text import pieces, sharding
from minilm.text.excerpts import sample_file, sample_tokens, spread
from minilm.text.pieces import TextError, cut_near
from minilm.text.shard_manifest import MANIFEST, ShardError
from minilm.text.sharding import disk_needed, write_shards
from minilm.text.shards import TokenShards
from minilm.text.tokenizer import END_OF_TEXT, BPETokenizer

WORDS = [
    "The",
    " lowest",
    " of",
    " the",
    " low",
    ",",
    " 12",
    " naïve",
    " 日本",
    "\n\n",
    END_OF_TEXT,
    " flower's",
]
TEXT = "".join(random.Random(0).choices(WORDS, k=2500))


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train([TEXT], 300)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose shards are of 3,000 bytes, read 500 at a time."""
    monkeypatch.setattr(pieces, "PIECE", 500)
    monkeypatch.setattr(sharding, "SHARD", 3000)
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_are_the_encoding_of_the_whole_text(text, tokenizer):
    shards = write_shards(text, text.parent / "s", tokenizer, progress=False)
    assert len(shards.manifest.shards) == 5
    assert shards[:].tolist() == tokenizer.encode(TEXT)
    assert {path.name for path in (text.parent / "s").iterdir()} == {
        MANIFEST,
        *(f"{n:05}.bin" for n in range(5)),
    }


def test_a_part_of_a_file_is_its_encoding(text, tokenizer):
    cut = cut_near(text, 7000)
    shards = [
        write_shards(text, text.parent / name, tokenizer, *ends, progress=False)
        for name, ends in {"a": (0, cut), "b": (cut, None)}.items()
    ]
    assert [*shards[0][:], *shards[1][:]] == tokenizer.encode(TEXT)
    assert shards[0].digest != shards[1].digest


def test_two_processes_make_the_same_files_as_one(text, tokenizer, monkeypatch):
    fork = multiprocessing.get_context("fork")  # spawned, each process would import torch again, for seconds
    monkeypatch.setattr(sharding, "get_context", lambda name: fork)
    for name, workers in {"one": 1, "two": 2}.items():
        write_shards(text, text.parent / name, tokenizer, workers=workers, progress=False)
    assert files(text.parent / "one") == files(text.parent / "two")


def test_sound_shards_are_kept_and_damaged_ones_told_and_made_again(text, tokenizer, capsys):
    folder = text.parent / "s"
    write_shards(text, folder, tokenizer, progress=False)
    whole = files(folder)
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "00001.bin").unlink()
    (folder / "00002.bin").write_bytes(whole["00002.bin"][:-2])
    (folder / "00003.bin").write_bytes(b"!!" + whole["00003.bin"][2:])
    with pytest.raises(ShardError, match=r"00001\.bin is not there: call write_shards again"):
        TokenShards(folder)
    capsys.readouterr()
    write_shards(text, folder, tokenizer, progress=False)
    said = capsys.readouterr().out
    assert "00001.bin is not there: this shard is made again" in said
    assert f"00002.bin has {len(whole['00002.bin']) - 2:,} bytes, not {len(whole['00002.bin']):,}" in said
    assert "the bytes of" in said and "00003.bin have changed" in said
    assert files(folder) == whole
    assert [(folder / f"0000{n}.bin").stat().st_mtime_ns == times[f"0000{n}.bin"] for n in range(5)] == [
        True,
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("after", range(5))
def test_an_interrupted_run_goes_on(text, tokenizer, monkeypatch, after):
    folder = text.parent / "s"
    encode, made = sharding.encode_shard, []

    def interrupted(job, tokenizer):
        if len(made) == after:
            raise KeyboardInterrupt
        made.append(job)
        return encode(job, tokenizer)

    monkeypatch.setattr(sharding, "encode_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_shards(text, folder, tokenizer, progress=False)
    with pytest.raises((ShardError, FileNotFoundError), match=f"holds {after} of 5|{MANIFEST}"):
        TokenShards(folder)
    monkeypatch.setattr(sharding, "encode_shard", encode)
    assert write_shards(text, folder, tokenizer, progress=False)[:].tolist() == tokenizer.encode(TEXT)


def test_shards_of_another_text_or_tokenizer_are_refused_and_left_alone(text, tokenizer):
    folder = text.parent / "s"
    write_shards(text, folder, tokenizer, progress=False)
    before = files(folder)
    with pytest.raises(ShardError, match="shards of another text, or made with another tokenizer"):
        write_shards(text, folder, BPETokenizer.train([TEXT], 299), progress=False)
    text.write_text(TEXT.replace("low", "LOW", 1), encoding="utf-8")
    with pytest.raises(ShardError, match="shards of another text"):
        write_shards(text, folder, tokenizer, progress=False)
    assert files(folder) == before


def test_a_disk_without_room_is_told_before_anything_is_written(text, tokenizer, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(
        SaveError, match=r"encoding text\.txt needs 0\.00 GB on disk, 0\.00 GB are free: make room"
    ):
        write_shards(text, text.parent / "s", tokenizer, progress=False)
    assert not (text.parent / "s").exists()


def test_the_estimate_of_the_disk_is_near(text, tokenizer):
    shards = write_shards(text, text.parent / "s", tokenizer, progress=False)
    written = sum((text.parent / "s" / shard.file).stat().st_size for shard in shards.manifest.shards)
    assert abs(disk_needed(text, tokenizer) / written - 1) < 0.1


def test_large_vocabularies_take_wider_integers(tokenizer):
    Like = namedtuple("Like", "vocab_size")
    assert [sharding._dtype(Like(n)) for n in (300, 1 << 16, (1 << 16) + 1)] == ["<u2", "<u2", "<u4"]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path, tokenizer, content):
    path = tmp_path / "empty.txt"
    path.write_bytes(content)
    with pytest.raises(TextError, match=r"empty\.txt: it is empty"):
        write_shards(path, tmp_path / "s", tokenizer, progress=False)
    with pytest.raises(FileNotFoundError, match=r"absent\.txt is not a file"):
        write_shards(tmp_path / "absent.txt", tmp_path / "s", tokenizer)


# Reading


def test_shards_are_indexed_like_an_array(text, tokenizer):
    shards = write_shards(text, text.parent / "s", tokenizer, progress=False)
    array = np.array(tokenizer.encode(TEXT))
    generator = np.random.default_rng(0)
    assert len(shards) == len(array) and shards.ndim == 1
    for shape in ((), (7,), (3, 400)):
        places = generator.integers(-len(array), len(array), shape)
        taken = shards[places]
        assert np.array_equal(taken, array[places])
        assert np.asarray(taken).dtype == np.int64
    for part in (slice(None), slice(1000, 3000), slice(-5, None), slice(10, 2, -3), slice(5, 5)):
        assert np.array_equal(shards[part], array[part])
    assert list(shards) == array.tolist()
    for outside in (len(array), -len(array) - 1, [0, len(array)]):
        with pytest.raises(IndexError, match="outside the"):
            shards[outside]


def test_a_damaged_manifest_is_one_clear_error(text, tokenizer):
    folder = text.parent / "s"
    shards = write_shards(text, folder, tokenizer, progress=False)
    good, tokens = (folder / MANIFEST).read_bytes(), shards[:].tolist()
    deep = b"[" * 100_000
    chosen = [b"", b"{", b"[]", b"null", b"\xff", b'{"shards": 3}', deep, b'{"shards": ' + deep, b"9" * 5000]
    for number in range(200):
        generator = random.Random(number)
        data = bytearray(good)
        for _ in range(generator.randint(1, 3)):
            data[generator.randrange(len(data))] = generator.choice(b'09az{}[]",:. \xff')
        chosen.append(bytes(data[: generator.randint(len(data) // 2, len(data) + 500)]))
    for data in chosen:
        (folder / MANIFEST).write_bytes(data)
        try:
            assert TokenShards(folder)[:].tolist() == tokens
        except ShardError as error:
            assert str(folder) in str(error)


def test_a_manifest_cannot_name_files_elsewhere(text, tokenizer):
    folder = text.parent / "s"
    write_shards(text, folder, tokenizer, progress=False)
    shutil.copy(folder / "00000.bin", text.parent / "elsewhere.bin")
    content = json.loads((folder / MANIFEST).read_text())
    content["shards"][0]["file"] = "../elsewhere.bin"
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ShardError, match="remove the folder"):
        TokenShards(folder)


# Samples


@given(st.integers(0, 5000), st.integers(1, 6000))
@settings(deadline=None)
def test_a_sample_is_spread_over_the_whole(length, most):
    runs = spread(length, most)
    numbers = [number for run in runs for number in run]
    assert numbers == sorted(set(numbers))
    assert all(0 <= number < length for number in numbers)
    if length <= most:
        assert numbers == list(range(length))
    else:
        assert most - len(runs) < len(numbers) <= most
        assert numbers[0] == 0 and (len(runs) == 1 or numbers[-1] == length - 1)
        gaps = [later.start - run.stop for run, later in pairwise(runs)]
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_sample_of_no_size_is_refused():
    with pytest.raises(ValueError, match="most must be 1 or more, not 0"):
        spread(10, 0)


def test_samples_of_tokens_and_of_files(text, tokenizer):
    shards = write_shards(text, text.parent / "s", tokenizer, progress=False)
    array = shards[:]
    assert np.array_equal(
        sample_tokens(shards, 640), np.concatenate([array[r] for r in spread(len(array), 640)])
    )
    assert np.array_equal(sample_tokens(array.tolist(), 10**6), array)
    assert "".join(sample_file(text, 10**6)) == TEXT
    some = "".join(sample_file(text, 3200))
    assert 1600 < len(some.encode()) < 6400
    assert some[:20] == TEXT[:20]
