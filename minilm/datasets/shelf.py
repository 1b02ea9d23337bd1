"""`load`: every data set, and your own files, by one function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from minilm.datasets import registry
from minilm.datasets.readers import coqa, malformed, tables, text, webnlg
from minilm.datasets.registry import EVERYTHING, Card
from minilm.datasets.store import locate

WIKITEXT = {"train": "train", "dev": "valid", "test": "test"}
"""Our name of a split -> the one in WikiText's archive."""

READERS: dict[str, Callable[[list[Path], str, int | None], Any]] = {
    "tinyshakespeare": lambda paths, split, n: text.running_text(paths[0], split),
    "webnlg": lambda paths, split, n: webnlg.entries(paths),
    "e2e": lambda paths, split, n: tables.meanings(paths[0]),
    "sst2": lambda paths, split, n: tables.labelled_sentences(paths[0]),
    "coqa": lambda paths, split, n: coqa.conversations(paths[0]),
    "tinystories": lambda paths, split, n: text.stories(paths[0], n),
    "wikitext-2": lambda paths, split, n: text.archived_text(
        paths[0], f"wikitext-2-raw/wiki.{WIKITEXT[split]}.raw"
    ),
}
"""How to read the checked files of a split; n is how many records are wanted."""

PLAIN = ("tinystories",)
"""Data sets whose file is one running text, with the end-of-text token between its stories."""

OWN: dict[str, Callable[[Path], Any]] = {
    ".csv": tables.csv_rows,
    ".tsv": tables.csv_rows,
    ".jsonl": tables.json_lines,
    ".ndjson": tables.json_lines,
}
"""Suffix of a reader's own file -> how to read it; any other suffix is plain text."""


def load(
    name: str | Path, split: str | None = None, *, n: int | None = None, **options: Any
) -> str | list[Any]:
    """A split of a data set, or a file of your own.

    >>> load("storyworld-triples", "dev", n=1)[0].prompt.count(" : ") >= 2
    True

    Args:
        name: A name from `names()`, or the path of a text, CSV, TSV or JSON Lines file.
        split: "train", "dev" or "test", as the data set's card lists them. Without a split: "train" where the data
            comes in splits, the whole where it does not (tinyshakespeare, your own files). "all" is the whole; any
            data without splits of its own is cut by position, 90% train, 5% dev, 5% test.
        n: How many records, from the first on; all of them if None. Not for running text.
        options: Options of a task that is made from stories, as its card lists them, e.g. `seed=1`.

    Returns:
        A running text as one `str`; stories as a list of `str`; other data as a list of the record that the card
        names; your own table as a list of dicts.

    Raises:
        ValueError: no such data set, split or option; a malformed record, as `DataError`.
        FileNotFoundError: no such file, or the mirror (`MINILM_DATA`) lacks one.
    """
    if not isinstance(name, str | Path):
        raise ValueError(f"name must be that of a data set, or the path of a file, not {name!r}")
    if n is not None and (not isinstance(n, int) or n < 1):
        raise ValueError(f"n must be 1 or more records, got {n!r}")
    if name in registry.names():
        return load_registered(registry.card(str(name)), split, n, options)
    check_options(str(name), (), options)
    return first(text.part(load_own(name), split or EVERYTHING), n)


def plain_text(name: str | Path) -> Path | None:
    """The file of running text behind a name, for what is too large to `load`; None where it is another kind of data.

    Raises:
        DataError, FileNotFoundError: as for `load`.
    """
    if name in PLAIN:
        return locate(registry.card(str(name)), "train")[0]
    path = None if name in registry.names() else own_file(name)
    return path if path and path.suffix.lower() not in OWN else None


def load_registered(card: Card, split: str | None, n: int | None, options: dict[str, Any]) -> str | list[Any]:
    """A split of a data set of the register."""
    check_options(card.name, tuple(card.dials), options)
    split = card.check_split(split or next(iter(card.splits)))
    if not card.files:
        from minilm.datasets.tasks import TASKS

        return TASKS[card.name](**options).load(split, n)
    return first(READERS[card.name](locate(card, split), split, n), n)


def load_own(name: str | Path) -> str | list[Any]:
    """A file of the reader's own, by its suffix."""
    path = own_file(name)
    if path is None:
        if isinstance(name, str) and not set(name) & set("./\\"):
            registry.card(name)  # no file and no data set: its error lists the names
        raise FileNotFoundError(
            f"no file {name} (looked in {Path.cwd()}); give a file's path, not a folder's"
        )
    read: Callable[[Path], str | list[Any]] = OWN.get(path.suffix.lower(), malformed.read_text)
    return read(path)


def own_file(name: str | Path) -> Path | None:
    """The file of that name; None where there is none, as of names that no file can have."""
    try:
        path = Path(name).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError):  # a name that is too long, a home that is not known
        return None


def check_options(name: str, known: tuple[str, ...], options: dict[str, Any]) -> None:
    """Raise ValueError if an option is given that the data set does not have."""
    strange = sorted(set(options) - set(known))
    if strange:
        there = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ValueError(f"{name} has no option {', '.join(strange)}; {there}")


def first(data: str | list[Any], n: int | None) -> str | list[Any]:
    """The first n records; everything if n is None."""
    if n is not None and isinstance(data, str):
        raise ValueError(f"n={n} counts records, but this is one running text; slice it instead")
    return data[:n]
