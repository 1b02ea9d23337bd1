"""One file: old or new, never half; drafts that nobody can guess, plant a link in, or mistake for another's."""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest

from minilm import BPETokenizer
from minilm.system import drafts
from minilm.system.atomic import SaveError, atomic_file
from minilm.system.drafts import MARK, draft_in
from minilm.system.locks import try_lock
from minilm.system.places import folder_to_save


def save(path: Path | str, text: str = "new") -> None:
    with atomic_file(path) as draft:
        draft.write_text(text)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_draft_lies_in_a_locked_folder_that_is_only_ours(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "t.json") as draft:
        draft.write_text("new")
        assert draft.parent.parent == tmp_path
        assert mode(draft.parent) == 0o700
        assert try_lock(draft.parent) is None
        assert not (tmp_path / "t.json").exists()
    assert [each.name for each in tmp_path.iterdir()] == ["t.json"]


def test_no_two_drafts_have_one_name(tmp_path: Path) -> None:
    with draft_in(tmp_path) as one, draft_in(tmp_path) as other:
        assert one.folder != other.folder
        assert one.folder.is_dir()  # the second did not take the first for a dead one


def test_a_link_planted_under_the_old_guessable_name_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("secret")
    victim.chmod(0o600)
    (tmp_path / f".t.json.{os.getpid()}.part").symlink_to(victim)
    save(tmp_path / "t.json")
    assert (victim.read_text(), mode(victim)) == ("secret", 0o600)
    assert not (tmp_path / "t.json").is_symlink()


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "real").write_text("old")
    for name in ("link", "to-link", "dangling"):
        target = {"link": "elsewhere/real", "to-link": "link", "dangling": "elsewhere/made"}[name]
        (tmp_path / name).symlink_to(target)
        save(tmp_path / name, name)
        assert os.readlink(tmp_path / name) == target
        assert (tmp_path / name).read_text() == name
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["made", "real"]


def test_a_new_file_has_the_rights_of_any_new_file_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "any").touch()
    save(tmp_path / "new")
    assert mode(tmp_path / "new") == mode(tmp_path / "any")
    (tmp_path / "new").chmod(0o600)
    save(tmp_path / "new", "private")
    assert mode(tmp_path / "new") == 0o600


def test_the_process_keeps_its_umask_all_the_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to all threads: one that makes a file at that instant would make it for everybody."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was touched"))
    save(tmp_path / "new")


@pytest.mark.parametrize("kind", ["folder", "link to a folder", "fifo", "socket"])
def test_what_is_not_a_file_is_refused_and_left_as_it_is(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    if kind == "folder":
        target.mkdir()
    elif kind == "link to a folder":
        target.symlink_to(tmp_path)
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(os.path.relpath(target))
    before = target.lstat().st_ino
    with pytest.raises(SaveError, match="target: it is (a folder|not a regular file)"):
        save(target)
    assert target.lstat().st_ino == before


@pytest.mark.parametrize("path", ["", " ", "a\0b", None, 3, b"bytes", ["a"]])
def test_what_is_not_a_name_is_refused_with_its_value(path: object) -> None:
    with pytest.raises(ValueError, match="path must be .*, not ") as error:
        save(path)
    assert repr(path) in str(error.value)


def test_the_home_folder_may_be_written_as_in_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never does a folder with the name "~" come to be, which is dangerous to remove."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    save("~/file")
    assert (tmp_path / "home" / "file").is_file()
    with pytest.raises(SaveError, match="home: it is not a folder for a model"):
        folder_to_save("~")
    with pytest.raises(ValueError, match="path must be in a home that exists, not '~nobody-has-this/x'"):
        save("~nobody-has-this/x")
    assert os.listdir(tmp_path / "work") == []


def dead_draft(parent: Path, name: str = ".minilm-abcd1234.part") -> Path:
    """What a process leaves that is killed in the middle of a save."""
    left = parent / name
    left.mkdir(mode=0o700)
    for file in (MARK, "t.json", ".tmpXYZ"):
        (left / file).write_text("half")
    return left


def test_the_draft_of_a_killed_process_goes_with_the_next_save(tmp_path: Path) -> None:
    dead_draft(tmp_path)
    (tmp_path / ".minilm-empty123.part").mkdir()
    save(tmp_path / "t.json")
    assert [each.name for each in tmp_path.iterdir()] == ["t.json"]


def test_the_draft_of_a_living_process_stays(tmp_path: Path) -> None:
    left = dead_draft(tmp_path)
    lock = try_lock(left)
    save(tmp_path / "t.json")
    assert sorted(os.listdir(left)) == [MARK, ".tmpXYZ", "t.json"]
    lock.close()


def test_what_only_looks_like_a_draft_stays(tmp_path: Path) -> None:
    """Without the mark, with a folder inside, a link, a file, another name: none of them is one."""
    unmarked, nested = tmp_path / ".minilm-unmarked.part", tmp_path / ".minilm-nested12.part"
    for folder in (unmarked, nested / "inner"):
        folder.mkdir(parents=True)
        (folder / "thesis").write_text("years")
    (nested / MARK).touch()
    (tmp_path / ".minilm-afile123.part").write_text("of the reader")
    (tmp_path / ".minilm-alink123.part").symlink_to(unmarked)
    (tmp_path / ".t.json.4711.part").write_text("of an older minilm")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    save(tmp_path / "t.json")
    assert sorted(str(path) for path in tmp_path.rglob("*")) == sorted([*before, str(tmp_path / "t.json")])


def test_a_draft_that_is_taken_for_dead_at_its_birth_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making the folder and locking it, another save may remove it."""
    made, make = [], drafts.tempfile.mkdtemp

    def and_lose_the_first(*arguments: object) -> str:
        made.append(make(*arguments))
        if len(made) == 1:
            os.rmdir(made[0])
        return made[-1]

    monkeypatch.setattr(drafts.tempfile, "mkdtemp", and_lose_the_first)
    save(tmp_path / "t.json")
    assert len(made) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["t.json"]


def test_threads_that_save_one_file_never_show_half_of_it(tmp_path: Path) -> None:
    """120 saves, each followed by a load, two threads at a time, switching as often as Python can."""
    tokenizer = BPETokenizer.train(["low lower lowest newer wider"] * 3, vocab_size=270)
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(60):
                tokenizer.save(tmp_path / "t.json")
                assert BPETokenizer.load(tmp_path / "t.json").merges[-1].token == tokenizer.merges[-1].token
        except BaseException as error:  # noqa: BLE001 - of a thread, to be reported
            wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert wrong == []
    assert [each.name for each in tmp_path.iterdir()] == ["t.json"]
