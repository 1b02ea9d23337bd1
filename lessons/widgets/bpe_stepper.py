"""The merges of a tokenizer, replayed one by one on a text of the reader's."""

from __future__ import annotations

from dataclasses import replace

import ipywidgets as widgets

from lessons.widgets import controls
from lessons.widgets.explorer import Explorer
from lessons.widgets.views.bpe import Learned, Node, bpe_view
from minilm import BPETokenizer
from minilm.text.pretokenization import split_special, split_words

LONGEST = 160
"""Bytes of text at most: a longer text would make the view large, and no clearer."""
N_BEFORE, N_AFTER = 4, 3
"""Merges of the text that are listed before and after the present one."""


class BPEStepper(Explorer):
    """Step through the merges that happen in a text, and see its tokens grow.

        BPEStepper(tok, "The lighthouse keeper whispered.")

    Args:
        tokenizer: if it was trained in this session, its merges show their counts; those read from a file have none.
        text: at most 160 bytes; may hold special tokens.
        step: number of the text's merges that are done at first; None for all.
    """

    def __init__(
        self, tokenizer: BPETokenizer, text: str = "The lowest lighthouse", *, step: int | None = None
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.text = controls.line("text", text, "any text; Enter cuts it into tokens")
        self.step = controls.whole(
            "step", 0, 0, 1, "merges that happen in this text, the earliest learnt first"
        )
        self.play = widgets.Play(interval=600, max=1, tooltip="step by itself")
        widgets.jslink((self.play, "value"), (self.step, "value"))
        self.words: list[list[Node]] = []
        self.ranks: list[int] = []
        self.seen = ""
        self.read(step)
        self.arrange([self.text], [self.step, self.play])

    def read(self, step: int | None = None) -> None:
        """Read the text; the slider then covers its merges."""
        text = self.text.value
        if len(text.encode(errors="replace")) > LONGEST:
            raise ValueError(f"the text is longer than {LONGEST} bytes: take a part of it")
        pieces = split_special(text, list(self.tokenizer.special_tokens))
        self.words = [word for piece, is_special in pieces for word in self.nodes(piece, is_special)]
        self.ranks = sorted({node.rank for word in self.words for node in word if node.rank is not None})
        self.seen = text  # before the slider moves, which draws
        for control in (self.step, self.play):
            control.max = len(self.ranks)
            control.value = len(self.ranks) if step is None else step

    def nodes(self, piece: str, is_special: bool) -> list[list[Node]]:
        """For each word of a piece of the text, its bytes and everything that merges make of them."""
        if is_special:
            return [[Node(piece.encode(), 0, 0, note="a special token: never cut, never merged")]]
        return [self.grow(word) for word in split_words(piece)]

    def grow(self, word: str) -> list[Node]:
        """The bytes of a word, and a node for every merge over them."""
        history = self.tokenizer.merge_history(word)
        row = [
            Node(self.tokenizer.token_bytes(token), at, 0, note="a byte")
            for at, token in enumerate(history[0].tokens)
        ]
        steps = ((s.rank, s.position) for s in history if s.rank is not None and s.position is not None)
        merged: list[Node] = []
        for rank, at in steps:
            left, right = row[at : at + 2]
            merged += [replace(part, until=rank) for part in (left, right)]
            level = 1 + max(left.level, right.level)
            row[at : at + 2] = [Node(left.data + right.data, left.start, level, rank, note=self.note(rank))]
        return merged + row

    def note(self, rank: int) -> str:
        """What a merge joins, and how often its pair occurred."""
        merge = self.tokenizer.merges[rank]
        left, right = self.tokenizer.readable(merge.left), self.tokenizer.readable(merge.right)
        met = "" if merge.count is None else f", met {merge.count:,} times in the corpus"
        return f"merge {rank + 1:,}: {left} + {right}{met}"

    def around(self, step: int) -> list[Learned]:
        """The merges of the text just before and after one of its steps."""
        data, merges = self.tokenizer.token_bytes, self.tokenizer.merges
        first = max(min(step - 1 - N_BEFORE, len(self.ranks) - N_BEFORE - N_AFTER - 1), 0)
        shown = self.ranks[first : first + N_BEFORE + N_AFTER + 1]
        return [Learned(at, data(merges[at].left), data(merges[at].right), merges[at].count) for at in shown]

    def summary(self) -> str:
        return f"BPEStepper({self.tokenizer.vocab_size} tokens)"

    def view(self) -> str:
        if self.text.value != self.seen:
            self.read()
        rank = self.ranks[self.step.value - 1] if self.step.value else -1
        return bpe_view(self.words, rank, self.around(self.step.value), len(self.tokenizer.merges))
