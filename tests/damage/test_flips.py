"""A thousand flipped bits in what minilm wrote: all are told, in one kind of error that names the file."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from saved_things import Saved, base_model, put, save_all

from minilm.system.digests import SEAL
from minilm.system.errors import CheckpointError
from minilm.system.manifest import MANIFEST

FLIPS = 1000


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Saved]:
    return save_all(tmp_path_factory.mktemp("saved"), base_model())


def flipped(path: Path, bit: int) -> bytes:
    """The file's content with one bit turned."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def what_happens(thing: Saved, path: Path, content: bytes) -> str:
    """What loading says to another content of a file; the file is as before afterwards."""
    good = path.read_bytes()
    put(path, content)
    try:
        thing.load()
    except CheckpointError as error:
        return "told" if str(path) in str(error) else f"without the file's name: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        return f"raw {type(error).__name__}: {error}"
    finally:
        put(path, good)
    return "silent"


def test_every_flip_is_told(saved: dict[str, Saved]) -> None:
    """The same number in each kind of thing, at random places of its files, small files as often as large ones."""
    random, found = Random(13), {}
    for number in range(FLIPS):
        name = sorted(saved)[number % len(saved)]
        path = random.choice(saved[name].files)
        bit = random.randrange(8 * path.stat().st_size)
        found[f"{name}/{path.name}, bit {bit}"] = what_happens(saved[name], path, flipped(path, bit))
    assert {place: what for place, what in found.items() if what != "told"} == {}
    assert len({place.partition(",")[0] for place in found}) == sum(
        len(each.files) for each in saved.values()
    )


@pytest.mark.parametrize(
    ("name", "file"), [("lora", MANIFEST), ("run.safetensors", ""), ("tokenizer.json", "")]
)
def test_a_seal_that_is_damaged_does_not_pass_for_a_file_without_one(
    saved: dict[str, Saved], name: str, file: str
) -> None:
    """Bits in and around the entry that says that there is a digest, its name above all."""
    path = saved[name].place / file
    start = path.read_bytes().index(SEAL.encode()) - 30
    name_of_entry = range(8 * (start + 29), 8 * (start + 45))
    end = min(start + 120, path.stat().st_size)
    around = Random(1).sample(range(8 * start, 8 * end), 150)
    for bit in [*name_of_entry, *around]:
        assert what_happens(saved[name], path, flipped(path, bit)) == "told", bit


def test_every_truncation_and_every_longer_file_is_told(saved: dict[str, Saved]) -> None:
    random = Random(2)
    for thing in saved.values():
        for path in thing.files:
            content = path.read_bytes()
            for length in (0, 1, 8, random.randrange(len(content)), len(content) - 1):
                assert what_happens(thing, path, content[:length]) == "told", (path, length)
            assert what_happens(thing, path, content + b" ") == "told", path


def test_files_of_two_versions_are_not_mixed(saved: dict[str, Saved], tmp_path: Path) -> None:
    """Each file is whole and fits the other; only together they are wrong."""
    other = base_model()
    other.final_norm.weight.data += 1
    theirs = save_all(tmp_path, other)
    for name in ("model", "lora", "peft-lora"):
        for path in saved[name].files:
            replacement = (theirs[name].place / path.name).read_bytes()
            if path.name != MANIFEST and replacement != path.read_bytes():
                assert what_happens(saved[name], path, replacement) == "told", path


def test_what_was_not_touched_loads(saved: dict[str, Saved]) -> None:
    for thing in saved.values():
        thing.load()
