"""Saving several files into one folder as a whole, and reading them as a whole.

A save prepares its files and their manifest in a draft inside the folder. Renaming the draft to `.minilm-commit` is the
moment at which the new version counts; then its files are moved out one by one, the manifest last. A process that dies
before that moment leaves the old version, and one that dies after it leaves a commit, which the next load or save
finishes. A reader that met a save in between sees it by the manifest and reads again, so readers need no lock.

Only files that a manifest of minilm's lists, and that are still what it lists, are ever replaced or removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from minilm.system.atomic import mode_for, save_errors
from minilm.system.commits import COMMIT, finish_commit, put_in_place, wait_for_commit
from minilm.system.digests import flush, sha256_of
from minilm.system.drafts import MARK, Draft, draft_in
from minilm.system.errors import CheckpointError, SaveError
from minilm.system.locks import locked
from minilm.system.manifest import MANIFEST, Manifest, check_unchanged, manifest_of, read_manifest
from minilm.system.places import folder_to_save, is_working_folder

ATTEMPTS = 100
"""How often a load starts again because a save interrupted it."""
T = TypeVar("T")


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str], kind: str, names: Iterable[str], *, keep: bool = False
) -> Iterator[Path]:
    """Yields an empty draft folder, whose files take their places in the target together, on success.

    All other files in the target are left unchanged. Files of an earlier version that the new one lacks are removed.

    Args:
        kind: what the files are together; a folder that holds another kind of minilm's is refused.
        names: of the files that will be written.
        keep: the files of the earlier version that are not written again stay part of it.

    Raises:
        ValueError: the path is not the name of a folder.
        SaveError: the disk is full or not writable, or there is something that minilm did not write.
    """
    target, names = folder_to_save(path), frozenset(names)
    with save_errors(target, "version"), _present(target), locked(target):
        finish_commit(target)
        earlier = _own_files(target, kind, names)
        with draft_in(target) as draft:
            yield draft.folder
            _complete(draft, target, kind, names, earlier if keep else None)
            os.rename(draft.folder, target / COMMIT)
        put_in_place(target)


@contextmanager
def _present(folder: Path) -> Iterator[None]:
    """The folder, made with its parents where they are absent; made for nothing, they go again."""
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for each in absent:
            with suppress(OSError):  # not empty
                each.rmdir()
        raise


def check_target(path: str | os.PathLike[str], kind: str, names: Iterable[str]) -> None:
    """Say now whether a save to this folder would be refused, before the work that is to be saved.

    Raises:
        ValueError, SaveError: as `atomic_folder`.
    """
    target = folder_to_save(path)
    if target.is_dir():
        _own_files(target, kind, names)


def _own_files(folder: Path, kind: str, names: Iterable[str]) -> Manifest | None:
    """The manifest of the version that is there, if all files to be written are minilm's or absent."""
    try:
        manifest = read_manifest(folder)
    except CheckpointError as error:
        raise SaveError(f"nothing was saved: {error}") from error
    if manifest and manifest.kind != kind:
        raise SaveError(
            f"{folder} holds a saved {manifest.kind}, and this would be a saved {kind}: choose another folder"
        )
    for name in sorted(names):
        if os.path.lexists(folder / name) and not (manifest and manifest.owns(folder / name)):
            raise SaveError(
                f"{folder / name} was not written by minilm, or was changed since, so nothing was saved: move it "
                "away, or choose another folder"
            )
    if (folder / MANIFEST).is_symlink():
        raise SaveError(f"{folder / MANIFEST} is a link, so nothing was saved: choose another folder")
    if manifest is None and is_working_folder(folder) and (foreign := _first_entry(folder)):
        raise SaveError(f"the working folder {folder} holds {foreign!r}: name a folder in it to save to")
    return manifest


def _first_entry(folder: Path) -> str | None:
    """The first name in a folder, drafts aside."""
    return min((name for name in os.listdir(folder) if not name.startswith(".minilm-")), default=None)


def _complete(draft: Draft, target: Path, kind: str, names: frozenset[str], earlier: Manifest | None) -> None:
    """Bring a draft's files to the disk, and write their manifest."""
    files = {name: draft.folder / name for name in sorted(os.listdir(draft.folder)) if name != MARK}
    if not files.keys() <= names:
        raise ValueError(f"a file was written that was not announced: {min(files.keys() - names)}")
    with ThreadPoolExecutor(len(files)) as pool:  # the disk works while the digests are computed
        flushed = [
            pool.submit(flush, file, mode_for(target / name, draft.new_file_mode))
            for name, file in files.items()
        ]
        digests = {name: sha256_of(file) for name, file in files.items()}
    for each in flushed:
        each.result()
    manifest = manifest_of(draft.folder, kind, digests)
    together = {**(earlier.files if earlier else {}), **manifest.files}
    (draft.folder / MANIFEST).write_bytes(Manifest(kind, together).to_bytes())
    flush(draft.folder / MANIFEST, draft.new_file_mode)


def read_folder(folder: Path, names: Iterable[str], read: Callable[[Path], T]) -> T:
    """What `read` makes of a folder, all of it from one and the same version.

    Args:
        names: the files that `read` opens; they are first held against the manifest, if there is one.

    Raises:
        FileNotFoundError, CheckpointError: a file is missing or was changed; and what `read` raises.
    """
    names = tuple(names)
    for _ in range(ATTEMPTS):
        wait_for_commit(folder)
        version = _version(folder)
        try:
            check_unchanged(folder, names)
            content = read(folder)
        except (ValueError, OSError):
            if _version(folder) == version:
                raise
            continue
        if _version(folder) == version:
            return content
    raise CheckpointError(f"{folder} was saved again {ATTEMPTS} times while it was read: load it later")


def _version(folder: Path) -> tuple[object, ...]:
    """What changes with every save: which file the manifest is, and whether a commit is under way."""
    try:
        about = os.stat(folder / MANIFEST)
    except OSError:
        return (os.path.lexists(folder / COMMIT),)
    return about.st_ino, about.st_mtime_ns, os.path.lexists(folder / COMMIT)
