"""A folder: saved as a whole, read as a whole, and nothing in it touched that minilm did not write."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from random import Random

import pytest
from foreign_things import fill, record

from minilm.system import atomic_folder as module
from minilm.system import manifest as manifest_module
from minilm.system.atomic_folder import atomic_folder, check_target, read_folder
from minilm.system.commits import COMMIT
from minilm.system.digests import sha256_of
from minilm.system.errors import CheckpointError, SaveError
from minilm.system.locks import locked
from minilm.system.manifest import MANIFEST, read_manifest

NAMES = ("one", "two", "card")


def save(folder: Path | str, text: str = "new", names: tuple[str, ...] = ("one", "two"), **options) -> None:
    with atomic_folder(folder, options.pop("kind", "test"), names, **options) as draft:
        for name in names:
            (draft / name).write_text(f"{name}: {text}")


def read(folder: Path) -> dict[str, str]:
    return read_folder(folder, ("one", "two"), lambda f: {n: (f / n).read_text() for n in ("one", "two")})


def texts(text: str) -> dict[str, str]:
    return {name: f"{name}: {text}" for name in ("one", "two")}


def test_two_hundred_folders_with_random_contents_keep_every_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the slow part, and not the point here
    for number in range(200):
        folder, random = tmp_path / str(number), Random(number)
        fill(folder, random)
        before = record(folder)
        save(folder, "first")
        assert read(folder) == texts("first")
        if random.random() < 0.5:
            save(folder, "second", names=random.choice([("one", "two"), NAMES]))
            assert read(folder) == texts("second")
        after = record(folder)
        assert {name: after.get(name) for name in before} == before, number
        assert after.keys() - before.keys() <= {*NAMES, MANIFEST}, number


def test_a_name_that_is_taken_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    makers = {
        "file": lambda path: path.write_text("years"),
        "folder": lambda path: (path / "inner").mkdir(parents=True),
        "link": lambda path: path.symlink_to("elsewhere"),
        "fifo": os.mkfifo,
    }
    for taken in ("one", MANIFEST):
        for kind, make in makers.items():
            folder = tmp_path / taken / kind
            folder.mkdir(parents=True)
            make(folder / taken)
            before = record(folder)
            with pytest.raises(SaveError, match=f"{taken}.*(move it away|delete it|another folder)"):
                save(folder)
            with pytest.raises(SaveError):
                check_target(folder, "test", ("one", "two"))
            assert record(folder) == before


def test_a_file_that_was_changed_since_is_the_readers(tmp_path: Path) -> None:
    save(tmp_path / "m", names=NAMES)
    (tmp_path / "m" / "card").write_text("improved by the reader")
    before = record(tmp_path)
    with pytest.raises(SaveError, match="card was not written by minilm, or was changed since"):
        save(tmp_path / "m", "second", names=NAMES)
    assert record(tmp_path) == before
    save(tmp_path / "m", "second")
    assert (tmp_path / "m" / "card").read_text() == "improved by the reader"
    assert read_manifest(tmp_path / "m").files.keys() == {"one", "two"}


def test_files_that_kept_their_time_are_known_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, reads = tmp_path / "m", []
    monkeypatch.setattr(manifest_module, "CLOCK_TICK", -1)
    monkeypatch.setattr(manifest_module, "sha256_of", lambda path: reads.append(path.name) or sha256_of(path))
    save(folder)
    save(folder, "2nd")
    assert reads == []
    about = (folder / "one").stat()
    (folder / "one").write_text("one: 2nd")  # the same bytes at another time
    os.utime(folder / "one", ns=(0, about.st_mtime_ns + 1))
    save(folder, "3rd")
    assert reads == ["one"] and read(folder) == texts("3rd")
    about = (folder / "two").stat()
    (folder / "two").write_text("two: MY!")  # of the same length, just afterwards
    os.utime(folder / "two", ns=(0, about.st_mtime_ns + 1))
    before = record(tmp_path)
    with pytest.raises(SaveError, match="two was not written by minilm, or was changed since"):
        save(folder, "4th")
    assert record(tmp_path) == before


def test_a_time_that_a_change_right_afterwards_could_bear_is_not_relied_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of files ticks some hundred times a second, and some disks keep whole seconds."""
    monkeypatch.setattr(manifest_module, "CLOCK_TICK", 3_600_000_000_000)
    save(tmp_path / "new")
    monkeypatch.setattr(manifest_module, "CLOCK_TICK", -1)
    with atomic_folder(tmp_path / "coarse", "test", ["one"]) as draft:
        (draft / "one").write_text("one: new")
        os.utime(draft / "one", (1_600_000_000, 1_600_000_000))
    for folder in ("new", "coarse"):
        assert {each.modified for each in read_manifest(tmp_path / folder).files.values()} == {None}
        about = (tmp_path / folder / "one").stat()
        (tmp_path / folder / "one").write_text("one: MY!")
        os.utime(tmp_path / folder / "one", ns=(about.st_atime_ns, about.st_mtime_ns))
        with pytest.raises(SaveError, match="one was not written by minilm"):
            save(tmp_path / folder)


def test_what_the_new_version_lacks_goes_or_is_kept_when_asked(tmp_path: Path) -> None:
    save(tmp_path / "m", names=NAMES)
    save(tmp_path / "m", "second", names=("card",), keep=True)
    assert read(tmp_path / "m") == texts("new")
    assert (tmp_path / "m" / "card").read_text() == "card: second"
    save(tmp_path / "m", "third")
    assert sorted(os.listdir(tmp_path / "m")) == [MANIFEST, "one", "two"]


def test_another_kind_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "m", kind="model")
    with pytest.raises(SaveError, match="holds a saved model, and this would be a saved adapter"):
        save(tmp_path / "m", kind="adapter", names=("three",))
    assert read(tmp_path / "m") == texts("new")


def test_no_place_for_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root, the home folder and what is above it, a file, and the working folder unless it is empty."""
    home = tmp_path / "users" / "me"
    (home / "work").mkdir(parents=True)
    (home / "work" / "thesis.txt").write_text("years")
    (home / "file").write_text("mine")
    (home / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work")
    before = record(tmp_path)
    for place in ("/", home, home.parent, str(home) + "/", home / "work" / "..", home / "link"):
        with pytest.raises(SaveError, match="not a folder for a model"):
            save(place)
    with pytest.raises(SaveError, match="file: it is a file"):
        save(home / "file")
    for place in (".", home / "work", "../work"):
        with pytest.raises(SaveError, match=r"working folder .* holds 'thesis\.txt'"):
            save(place)
    for place in ("", None, 3, b"m", "a\0b"):
        with pytest.raises(ValueError, match="folder must be"):
            save(place)
    assert record(tmp_path) == before
    (home / "work" / "thesis.txt").unlink()
    save(".")
    assert read(home / "work") == texts("new")


def test_a_link_to_a_folder_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for name, target in {"link": "real", "dangling": "made"}.items():
        (tmp_path / name).symlink_to(target)
        for text in ("first", "second"):
            save(tmp_path / name, text)
            assert read(tmp_path / name) == read(tmp_path / target) == texts(text)
        assert os.readlink(tmp_path / name) == target


def test_an_old_folder_of_the_readers_beside_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / ".m.old").mkdir()
    (tmp_path / ".m.old" / "thesis").write_text("years")
    save(tmp_path / "m", "first")
    save(tmp_path / "m", "second")
    assert (tmp_path / ".m.old" / "thesis").read_text() == "years"


def test_an_undeclared_file_is_a_mistake_of_the_program(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="not announced: three"),
        atomic_folder(tmp_path / "m", "test", ["one"]) as d,
    ):
        (d / "three").write_text("")
    assert not list(tmp_path.iterdir())


class StopError(Exception):
    """As if the process had died, but for its locks."""


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> list[str]:
    """Let the operating system's renames and removals work until the given one."""
    done: list[str] = []

    def stopping(name: str):
        real = getattr(os, name)

        def call(*arguments, **options):
            if len(done) == step:
                raise StopError
            done.append(name)
            return real(*arguments, **options)

        return call

    for name in ("rename", "replace", "rmdir", "unlink"):
        monkeypatch.setattr(os, name, stopping(name))
    return done


def test_a_commit_that_was_cut_off_anywhere_is_finished_by_the_next_load_or_save(tmp_path: Path) -> None:
    cut = 0
    for step in range(8):
        for finish in ("load", "save"):
            folder = tmp_path / f"{step}-{finish}"
            save(folder, "old", names=NAMES)
            (folder / "notes").write_text("of the reader")
            with pytest.MonkeyPatch.context() as monkeypatch:
                stop_at(monkeypatch, step)
                try:
                    save(folder, "new")
                except StopError:
                    cut += 1
            if finish == "save":
                save(folder, "newest")
                assert read(folder) == texts("newest")
            else:
                assert read(folder) in (texts("old"), texts("new"))
            assert not (folder / COMMIT).exists()
            assert (folder / "notes").read_text() == "of the reader"
    assert (
        cut == 14
    )  # rename, replace, replace, unlink the card, replace the manifest, unlink the mark, rmdir


def test_after_a_cut_commit_a_file_of_the_readers_is_not_overwritten(tmp_path: Path) -> None:
    save(tmp_path / "m", "old")
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_at(monkeypatch, 1)  # after the rename that commits
        with pytest.raises(StopError):
            save(tmp_path / "m", "new")
    assert (tmp_path / "m" / COMMIT).is_dir()
    (tmp_path / "m" / "two").write_text("restored by the reader")
    with pytest.raises(CheckpointError, match="two stands in the way of a save that was interrupted"):
        read(tmp_path / "m")
    with pytest.raises(SaveError, match="two stands in the way"):
        save(tmp_path / "m", "newest")
    (tmp_path / "m" / "two").unlink()
    assert read(tmp_path / "m") == texts("new")


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_only_bears_the_name_of_a_commit_is_told_and_stays(tmp_path: Path, kind: str) -> None:
    save(tmp_path / "m")
    commit = tmp_path / "m" / COMMIT
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "one").write_text("of the reader")
    if kind == "file":
        commit.write_text("of the reader")
    elif kind == "folder":
        (tmp_path / "elsewhere").rename(commit)
    else:
        commit.symlink_to(tmp_path / "elsewhere")
    before = record(tmp_path)
    with pytest.raises(SaveError):
        save(tmp_path / "m", "second")
    with pytest.raises(CheckpointError):
        read(tmp_path / "m")
    assert record(tmp_path) == before


def test_a_reader_that_meets_a_save_reads_again(tmp_path: Path) -> None:
    """Between the two files that it reads, another version comes: it must not see one file of each."""
    save(tmp_path / "m", "first")
    rounds = []

    def reading(folder: Path) -> dict[str, str]:
        one = (folder / "one").read_text()
        rounds.append(one)
        if len(rounds) < 4:
            save(folder, f"version {len(rounds)}")
        return {"one": one, "two": (folder / "two").read_text()}

    assert read_folder(tmp_path / "m", ("one", "two"), reading) == texts("version 3")
    assert len(rounds) == 4


def test_a_folder_that_never_rests_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    save(tmp_path / "m")
    with pytest.raises(CheckpointError, match="saved again 3 times while it was read"):
        read_folder(tmp_path / "m", ("one",), lambda folder: save(folder, os.urandom(4).hex()))


def test_two_threads_save_one_folder_and_each_version_is_whole(tmp_path: Path) -> None:
    wrong: list[BaseException] = []

    def work(text: str) -> None:
        try:
            for _ in range(25):
                save(tmp_path / "m", text)
                assert read(tmp_path / "m") in (texts("a"), texts("b"))
        except BaseException as error:  # noqa: BLE001 - of a thread, to be reported
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(text,)) for text in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(os.listdir(tmp_path / "m")) == [MANIFEST, "one", "two"]


def test_a_save_waits_for_another_one_and_then_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "m")
    monkeypatch.setattr("minilm.system.locks.PATIENCE", 0.01)
    with locked(tmp_path / "m"), pytest.raises(SaveError, match="another program has been saving into"):
        save(tmp_path / "m", "second")
    assert read(tmp_path / "m") == texts("new")


def test_a_folder_that_vanishes_is_told(tmp_path: Path) -> None:
    save(tmp_path / "m")
    with pytest.raises(SaveError), atomic_folder(tmp_path / "m", "test", ["one"]) as draft:
        (draft / "one").write_text("new")
        (tmp_path / "m").rename(tmp_path / "moved")
    assert read(tmp_path / "moved") == texts("new")
