"""Folders full of what a reader may have in them, and a record of it all down to the byte."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from random import Random

NAMES = (
    "thesis.txt",
    ".hidden",
    "notes",
    "run.json",
    "pytorch_model.bin",
    "généré ☃.md",
    ".minilm-notours1.part",
    ".m.old",
    "checkpoint.safetensors",
    "a b",
    "-rf",
)


def fill(folder: Path, random: Random, depth: int = 0) -> None:
    """Put some files, folders, links and sockets with random content into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in random.sample(NAMES, random.randint(1, 5)):
        place = folder / name
        kind = random.choice(["file", "file", "folder", "link", "dangling", "fifo", "socket", "empty"])
        if kind == "folder" and depth < 2:
            fill(place, random, depth + 1)
        elif kind == "link":
            place.symlink_to(random.choice(["..", "/", "thesis.txt"]))
        elif kind == "dangling":
            place.symlink_to("nowhere")
        elif kind == "fifo":
            os.mkfifo(place)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                make_socket(listening, place)
        else:
            place.write_bytes(random.randbytes(0 if kind == "empty" else random.randint(1, 3000)))
            place.chmod(random.choice([0o600, 0o644, 0o444]))


def make_socket(listening: socket.socket, place: Path) -> None:
    """Names of sockets must be short, so it is made from within the folder."""
    here = os.getcwd()
    os.chdir(place.parent)
    try:
        listening.bind(place.name)
    finally:
        os.chdir(here)


def record(folder: Path) -> dict[str, tuple[object, ...]]:
    """Kind, rights, identity and content of everything below a folder, links not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_ino, content)
    return found
