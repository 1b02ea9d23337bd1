"""Byte-pair encoding as one looks at it: bytes below, each merge a box over the two that it joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, join, number, tag, view
from lessons.widgets.views.tokens import spoken, visible

DARKEST = 9
"""Bytes in a token from which on it is no darker."""


@dataclass(frozen=True)
class Node:
    """A byte of a word, or what a merge made over some of its bytes."""

    data: bytes
    start: int
    """First of its bytes in the word."""
    level: int
    """0 for a byte or a special token, else one more than the higher of its two parts."""
    rank: int | None = None
    """The merge that made it; None where none did."""
    until: int | None = None
    """The merge that takes it as a part; None if it stays."""
    note: str = ""
    """What is said of it on hover."""

    @property
    def end(self) -> int:
        """The byte after its last."""
        return self.start + len(self.data)

    @property
    def is_special(self) -> bool:
        """Whether it is a special token: several bytes that no merge joined."""
        return self.rank is None and len(self.data) > 1

    def exists(self, rank: int) -> bool:
        """Whether it was made by merges up to this one; before the first merge the rank is -1."""
        return self.rank is None or self.rank <= rank

    def is_token(self, rank: int) -> bool:
        """Whether it is a token of the text after merges up to this one."""
        return self.exists(rank) and (self.until is None or self.until > rank)


@dataclass(frozen=True)
class Learnt:
    """A line in the list of merges."""

    rank: int
    left: bytes
    right: bytes
    count: int | None
    """How often the pair stood in the corpus when it was merged, if that is known."""


def bpe_view(words: Sequence[Sequence[Node]], rank: int, around: Sequence[Learnt], n_merge: int) -> Markup:
    """A text after merges up to `rank`, which is -1 before the first.

    Args:
        words: the nodes of each word; all that will ever be, whether made yet or not.
        around: the merges of the text to list; that of this rank is marked.
        n_merge: merges in all.
    """
    tokens = [node for word in words for node in word if node.is_token(rank)]
    n_byte = sum(node.level == 0 and len(node.data) for word in words for node in word)
    title = f"after merge {rank + 1:,} of {n_merge:,}" if rank >= 0 else "before the first merge"
    figures = {
        "bytes": f"{n_byte}",
        "tokens": f"{len(tokens)}",
        "bytes a token": number(n_byte / max(len(tokens), 1)),
        "tokens to choose from": f"{257 + rank:,}",
    }
    parts = [
        tag("div", tag("h3", "From bytes to tokens"), tag("span", title, class_="quiet"), class_="head"),
        tag("div", *(_figure(name, value) for name, value in figures.items()), class_="figures"),
        tag("div", *(_word(word, rank) for word in words), class_="words", dir="ltr"),
        _list(around, rank),
    ]
    return view("bpe", describe(tokens, title), *parts, sheets=("bpe",))


def describe(tokens: Sequence[Node], title: str) -> str:
    """The text alternative."""
    texts = ", ".join(spoken(node.data) for node in tokens)
    return f"Byte-pair encoding {title}. {len(tokens)} tokens: {texts}."


def _figure(name: str, value: str) -> Markup:
    return tag("div", tag("b", value), tag("span", name))


def _word(nodes: Sequence[Node], rank: int) -> Markup:
    top = max(node.level for node in nodes)
    boxes = (_box(node, top - node.level + 1, rank) for node in nodes)
    return tag("div", *boxes, class_="word", style=f"--rows:{top + 1}")


def _box(node: Node, row: int, rank: int) -> Markup:
    place = f"grid-area:{row}/{node.start + 1}/auto/{node.end + 1}"
    if not node.exists(rank):
        return tag("span", class_="later", style=place)
    if not node.is_token(rank):
        return tag("span", visible(node.data), class_="part", style=place, title=node.note)
    kind = "token special" if node.is_special else "token made" if node.rank == rank else "token"
    shade = 0 if node.is_special else 100 * min(len(node.data) - 1, DARKEST) // DARKEST
    return tag("span", visible(node.data), class_=kind, style=f"{place};--v:{shade}", title=node.note)


def _list(around: Sequence[Learnt], rank: int) -> Markup | None:
    """The merges of the text before and after this one, with how often their pair was met."""
    if not around:
        return None
    most = max((each.count or 0 for each in around), default=0) or 1
    head = tag(
        "tr", *(tag("th", name, scope="col") for name in ("merge", "pair", "makes", "met in the corpus"))
    )
    rows = (_row(each, most, each.rank - rank) for each in around)
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows), class_="plain"), class_="wide")


def _row(learnt: Learnt, most: int, distance: int) -> Markup:
    pair = join(_piece(learnt.left), " + ", _piece(learnt.right))
    count = "–" if learnt.count is None else f"{learnt.count:,}"
    bar = tag("i", style=f"width:{100 * (learnt.count or 0) / most:.1f}%")
    cells = (
        tag("td", f"{learnt.rank + 1:,}"),
        tag("td", pair),
        tag("td", _piece(learnt.left + learnt.right)),
        tag("td", tag("span", tag("b", count), bar, class_="met")),
    )
    return tag("tr", *cells, class_="now" if distance == 0 else "later" if distance > 0 else None)


def _piece(data: bytes) -> Markup:
    return tag("span", visible(data), class_="token")
