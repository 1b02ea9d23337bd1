"""Byte-pair encoding as a picture: bytes at the bottom, each merge a box over the two parts that it joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, join, tag, view
from lessons.widgets.views.numbers import number
from lessons.widgets.views.parts import figures, heading, row, table
from lessons.widgets.views.tokens import spoken, visible

DARKEST = 9
"""Tokens of more bytes than this are no darker."""


@dataclass(frozen=True)
class Node:
    """A byte of a word, or what a merge made over some of its bytes."""

    data: bytes
    start: int
    """Index of its first byte in the word."""
    level: int
    """0 for a byte or a special token, else one more than the higher of its two parts."""
    rank: int | None = None
    """Rank of the merge that made it; None for a byte or a special token."""
    until: int | None = None
    """Rank of the merge that takes it as a part; None if no merge does."""
    note: str = ""
    """Shown while the pointer is on it."""

    @property
    def end(self) -> int:
        """Index of the byte after its last."""
        return self.start + len(self.data)

    @property
    def is_special(self) -> bool:
        """Whether it is a special token: several bytes that no merge joined."""
        return self.rank is None and len(self.data) > 1

    def exists(self, rank: int) -> bool:
        """Whether merges up to this rank make it; before the first merge the rank is -1."""
        return self.rank is None or self.rank <= rank

    def is_token(self, rank: int) -> bool:
        """Whether it is a token of the text after merges up to this rank."""
        return self.exists(rank) and (self.until is None or self.until > rank)


@dataclass(frozen=True)
class Learned:
    """A line in the list of merges."""

    rank: int
    left: bytes
    right: bytes
    count: int | None
    """How often the pair occurred in the corpus when it was merged, if that is known."""


def bpe_view(words: Sequence[Sequence[Node]], rank: int, around: Sequence[Learned], n_merge: int) -> Markup:
    """A text after merges up to `rank`, which is -1 before the first.

    Args:
        words: all nodes of each word, also those that only later merges make.
        around: the merges of the text to list; the one of this rank is marked.
        n_merge: number of merges that the tokenizer has.
    """
    tokens = [node for word in words for node in word if node.is_token(rank)]
    n_byte = sum(node.level == 0 and len(node.data) for word in words for node in word)
    title = f"after merge {rank + 1:,} of {n_merge:,}" if rank >= 0 else "before the first merge"
    counts = [
        (f"{n_byte}", "bytes", None),
        (f"{len(tokens)}", "tokens", None),
        (number(n_byte / max(len(tokens), 1)), "bytes a token", None),
        (f"{257 + rank:,}", "tokens to choose from", None),
    ]
    boxes = tag("div", *(_word(word, rank) for word in words), class_="words", dir="ltr")
    body = (heading("From bytes to tokens", title), figures(counts), boxes, _merges(around, rank))
    return view("bpe", describe(tokens, title), *body, sheets=("bpe",))


def describe(tokens: Sequence[Node], title: str) -> str:
    """The text alternative."""
    texts = ", ".join(spoken(node.data) for node in tokens)
    return f"Byte-pair encoding {title}. {len(tokens)} tokens: {texts}."


def _word(nodes: Sequence[Node], rank: int) -> Markup:
    top = max(node.level for node in nodes)
    boxes = (_box(node, top - node.level + 1, rank) for node in nodes)
    return tag("div", *boxes, class_="word", style=f"--rows:{top + 1}")


def _box(node: Node, row: int, rank: int) -> Markup:
    area = f"grid-area:{row}/{node.start + 1}/auto/{node.end + 1}"
    if not node.exists(rank):
        return tag("span", class_="later", style=area)
    if not node.is_token(rank):
        return tag("span", visible(node.data), class_="part", style=area, title=node.note)
    kind = "token special" if node.is_special else "token made" if node.rank == rank else "token"
    shade = 0 if node.is_special else 100 * min(len(node.data) - 1, DARKEST) // DARKEST
    return tag("span", visible(node.data), class_=kind, style=f"{area};--v:{shade}", title=node.note)


def _merges(around: Sequence[Learned], rank: int) -> Markup | None:
    """The merges of the text before and after this one, with how often their pair occurred."""
    if not around:
        return None
    most = max((each.count or 0 for each in around), default=0) or 1
    rows = (_merge(each, most, each.rank - rank) for each in around)
    return table(("merge", "pair", "makes", "met in the corpus"), rows)


def _merge(merge: Learned, most: int, distance: int) -> Markup:
    pair = join(_piece(merge.left), " + ", _piece(merge.right))
    count = "–" if merge.count is None else f"{merge.count:,}"
    bar = tag("i", style=f"width:{100 * (merge.count or 0) / most:.1f}%")
    met = tag("span", tag("b", count), bar, class_="met")
    kind = "now" if distance == 0 else "later" if distance > 0 else None
    return row((f"{merge.rank + 1:,}", pair, _piece(merge.left + merge.right), met), kind)


def _piece(data: bytes) -> Markup:
    return tag("span", visible(data), class_="token")
