"""Downloads that one may interrupt: announced, resumed, checked, and in place only when whole.

pooch does the checking and the moving: it hands a temporary file to a downloader, compares the SHA-256, and only then
moves the file to its name, so a reader never sees half a file. What pooch lacks is resuming. The downloader here
writes to `NAME.part`, asks the server for the rest only (an HTTP Range request) if that file exists, and gives it to
pooch when its size is right. A file that comes corrupt or short is named and fetched once more, then given up.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from minilm.datasets.integrity import DataError, intact
from minilm.datasets.registry import Card, DataFile
from minilm.system.disk import check_room

if TYPE_CHECKING:
    import requests
    from tqdm import tqdm

CHUNK = 1 << 16
"""Bytes written, and counted by the progress bar, at a time."""
SILENCE = 30.0
"""Seconds without a byte after which a server is given up."""


def fetch(card: Card, files: Sequence[DataFile], folder: Path) -> None:
    """Bring files into the cache, after saying what is fetched, from where, how much and under which licence.

    Raises:
        DataError: a file could not be fetched, twice; those before it are in place, its sound part is kept.
        SaveError: the disk has no room for them.
    """
    from filelock import FileLock
    from tqdm.auto import tqdm

    total = sum(file.bytes for file in files)
    check_room(folder, total, f"fetching {card.name}")
    print(f"Fetching {card.name} ({card.title}): {len(files)} file(s), {total:,} bytes")
    print(f"  from {os.path.commonprefix([file.url for file in files])}\n  to {folder}")
    print(f"  licence: {card.licence}; published at {card.origin}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    # Processes that want the same data set (one a GPU, say) take turns; those that waited find the files in place.
    with (
        FileLock(folder / f"{card.name}.lock"),
        tqdm(total=total, desc=card.name, unit="B", unit_scale=True) as bar,
    ):
        for file in files:
            if intact(folder / file.path, file):
                bar.update(file.bytes)
            else:
                fetch_one(file, folder, bar)


def fetch_one(file: DataFile, folder: Path, bar: tqdm) -> None:
    """Bring one file into the cache, in at most two attempts."""
    if (folder / file.path).exists():
        bar.write(f"{file.path} in the cache is corrupt and will be replaced")
    before = bar.n
    try:
        attempt(file, folder, bar)
    except (ValueError, OSError) as error:
        bar.write(f"{file.path} did not arrive whole ({error}); fetching it again")
        bar.n = before
        try:
            attempt(file, folder, bar)
        except (ValueError, OSError) as again:
            raise DataError(
                f"{file.path} could not be fetched from {file.url}, tried twice: {again}. Nothing of it is used. "
                f"Try later, or put the file into a folder and name that folder in MINILM_DATA"
            ) from again


def attempt(file: DataFile, folder: Path, bar: tqdm) -> None:
    """Fetch, check and move one file; ValueError or OSError if that fails."""
    import pooch

    part = folder / f"{file.path}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    keeper = pooch.create(
        path=folder, base_url="", registry={file.path: f"sha256:{file.sha256}"}, urls={file.path: file.url}
    )
    log = pooch.get_logger()
    level = log.level
    log.setLevel("WARNING")  # one line a file from pooch would drown the bar: WebNLG has a hundred files
    try:
        keeper.fetch(file.path, downloader=partial(resume, file=file, part=part, bar=bar))
    finally:
        log.setLevel(level)


def resume(url: str, output: str, _pooch: Any, *, file: DataFile, part: Path, bar: tqdm) -> None:
    """The downloader: complete `part` and hand it over as `output`.

    A part that is too short is kept, and the next attempt continues it. A part that is too long is deleted.
    """
    have = part.stat().st_size if part.exists() else 0
    if have < file.bytes:
        have = append(url, part, have, file.bytes, bar)
    if have < file.bytes:
        raise ValueError(f"the connection ended after {have:,} of {file.bytes:,} bytes")
    if have > file.bytes:
        part.unlink()
        raise ValueError(f"it has more than the {file.bytes:,} bytes of the register")
    os.replace(part, output)


def append(url: str, part: Path, have: int, most: int, bar: tqdm) -> int:
    """Fetch what follows the first `have` bytes into `part`, or all if the server cannot; the size reached.

    Of a body without end it takes little more than the `most` bytes that the register has, which tells.
    """
    import requests

    # Without "identity" a server may compress, and then neither Range nor the length counts the file's own bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    hooks = {"response": stay_on_https}
    with requests.get(url, headers=headers, stream=True, timeout=SILENCE, hooks=hooks) as response:
        response.raise_for_status()
        if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise ValueError(f"the server sends it compressed ({coding}), which it was asked not to do")
        going_on = response.status_code == requests.codes.partial_content
        bar.update(have if going_on else 0)
        with part.open("ab" if going_on else "wb") as stream:
            for chunk in response.iter_content(CHUNK):
                stream.write(chunk)
                bar.update(len(chunk))
                if stream.tell() > most:
                    break
    return part.stat().st_size


def stay_on_https(response: requests.Response, *_: Any, **__: Any) -> None:
    """Refuse to follow a redirect to an address that is not encrypted, or not one of the web at all."""
    target = urljoin(response.url, response.headers.get("location", ""))
    if response.is_redirect and not target.startswith("https://"):
        raise ValueError(f"it redirects to {target}, and only https addresses are followed")
