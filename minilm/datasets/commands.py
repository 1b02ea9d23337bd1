"""What `minilm data list | show NAME | get NAME` print."""

from __future__ import annotations

from minilm.datasets import registry
from minilm.datasets.store import collect, is_here
from minilm.system.paths import cache_folder, mirror_folder


def list_datasets() -> str:
    """One line a data set: name, size, whether it is on this machine, what it is."""
    lines = [
        f"{card.name:<24} {size(card):>10}  {place(card):<9}  {card.title}"
        for card in registry.cards().values()
    ]
    return "\n".join(
        [f"{'name':<24} {'size':>10}  {'where':<9}  what", *lines, f"Files are kept in {files_folder()}"]
    )


def show_dataset(name: str) -> str:
    """The card of a data set: origin, licence, splits, size, and the SHA-256 of every file.

    Raises:
        ValueError: no such data set.
    """
    return str(registry.card(name))


def get_dataset(name: str) -> str:
    """Download the missing files of a data set, check every file, and say where they are.

    Raises:
        ValueError: no such data set; a file could not be fetched (`DataError`).
        FileNotFoundError: the mirror (`MINILM_DATA`) lacks a file.
    """
    card = registry.card(name)
    if not card.files:
        return f"{name} is generated when it is loaded; there is nothing to fetch"
    paths = collect(card, card.files)
    return f"{name}: {len(paths)} file(s), {card.bytes:,} bytes, checked, in {files_folder()}"


def files_folder() -> str:
    """The mirror if one is set, else the download cache."""
    mirror = mirror_folder()
    return f"{mirror} (MINILM_DATA)" if mirror else str(cache_folder())


def size(card: registry.Card) -> str:
    """Size of a data set in words."""
    return f"{card.bytes / 1e6:,.1f} MB" if card.files else "-"


def place(card: registry.Card) -> str:
    """Where a data set comes from, as far as is known without reading it."""
    if not card.files:
        return "generated"
    here = sum(is_here(file) for file in card.files)
    return "here" if here == len(card.files) else "in part" if here else "absent"
