"""A byte-level BPE tokenizer, as GPT-2's: it splits any text into ids and joins them to the very same text.



The parts: `pretokenization` cuts text into words and bytes, `pieces` reads texts of any size, `counting` counts
words, `bpe` learns and applies merges, `tokenizer_json` reads and writes files.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from minilm.system.atomic import atomic_file
from minilm.system.errors import CheckpointError
from minilm.system.places import as_path
from minilm.text.bpe import Merge, apply_merges, learn_merges
from minilm.text.counting import count_words
from minilm.text.pieces import cut_text, read_pieces
from minilm.text.pretokenization import chars_to_bytes, split_special, split_words, utf8
from minilm.text.tokenizer_json import Vocabulary, read_vocabulary, to_file, to_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_TEXT = "<|endoftext|>"
"""The special token between two texts; training corpora begin each text with it."""
_REMEMBERED = 300_000  # words whose tokens are kept, in about 70 MB; more gain little


class MergeStep(NamedTuple):
    """One step on a word's way from bytes to tokens."""

    rank: int | None
    """Index into `BPETokenizer.merges` of the merge that was applied; None for the bytes at the start."""

    position: int | None
    """Index into `tokens` of the token that it made; None at the start."""

    tokens: tuple[int, ...]
    """Ids of the word's tokens after it."""


class BPETokenizer:
    """Byte-level byte-pair encoding with special tokens. Made by `train` or `load`; never changes.

    Raises:
        ValueError: a special token is empty, or is an ordinary token of the vocabulary too.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._merge_table = {(m.left, m.right): (rank, m.token) for rank, m in enumerate(vocabulary.merges)}
        special = set(vocabulary.special_tokens.values())
        ordinary = {token: index for index, token in enumerate(vocabulary.tokens) if index not in special}
        for text in vocabulary.special_tokens:
            if not text or chars_to_bytes(text) in ordinary:
                raise ValueError(
                    f"{text!r} cannot be a special token: it is {'an ordinary token' if text else 'empty'}; "
                    "choose a text that no corpus holds"
                )
        self._byte_ids = [ordinary[bytes([byte])] for byte in range(256)]
        self._words = _Remembered(self)

    @classmethod
    def train(
        cls,
        texts: Iterable[str] | Path,
        vocab_size: int = 1024,
        special_tokens: Sequence[str] = (END_OF_TEXT,),
    ) -> BPETokenizer:
        """Learn merges from texts, most frequent pair first, as the trainer of `tokenizers` does.

        Special tokens take the last ids. Where one occurs in a text, it splits the text, and no merge is learned across it. A
        corpus too small for `vocab_size` gives a smaller vocabulary and a warning.

        Args:
            texts: any iterable of texts, or the Path of a UTF-8 file of any size, read once and piece by piece; not one
                single string. Memory holds the different words alone, see `counting`.
            vocab_size: number of ids: 256 bytes, the merged tokens and the special tokens.

        Raises:
            ValueError: the texts are empty or hold a lone surrogate, the file is not UTF-8 (`TextError`), `vocab_size`
                leaves no room for the 256 bytes and the special tokens, or a special token is unfit.
            FileNotFoundError: there is no such file.
            TypeError: `texts` is a string, or holds something else than strings.
        """
        special_tokens = tuple(dict.fromkeys(special_tokens))
        least = 256 + len(special_tokens)
        if vocab_size < least:
            raise ValueError(
                f"vocab_size={vocab_size} is too small: 256 bytes and {len(special_tokens)} special tokens "
                f"need {least}"
            )
        counts = count_words(
            read_pieces(texts, special_tokens) if isinstance(texts, Path) else texts, special_tokens
        )
        tokens, merges = learn_merges(counts, vocab_size - len(special_tokens))
        special = {text: len(tokens) + index for index, text in enumerate(special_tokens)}
        tokenizer = cls(Vocabulary([*tokens, *map(utf8, special)], tuple(merges), special))
        if tokenizer.vocab_size < vocab_size:
            warnings.warn(
                f"the corpus gives {tokenizer.vocab_size} tokens, not {vocab_size}: every word in it is one "
                "token already; take more text or a smaller vocab_size",
                stacklevel=2,
            )
        return tokenizer

    @classmethod
    def load(cls, path: str | Path) -> BPETokenizer:
        """Read a `tokenizer.json`, saved here or by `tokenizers`.

        Raises:
            ValueError: the path is not the name of a file.
            FileNotFoundError: there is no such file.
            CheckpointError: it is damaged, of a newer format, or of a tokenizer that encodes differently.
        """
        vocabulary = read_vocabulary(as_path(path))
        try:
            return cls(vocabulary)
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from None

    def save(self, path: str | Path) -> Path:
        """Write a `tokenizer.json`, replaced atomically; `tokenizers` and `transformers` read it too.

        Raises:
            ValueError: the path is not the name of a file.
            SaveError: the disk is full or not writable; an earlier file is intact.
        """
        with atomic_file(path) as draft:
            draft.write_bytes(self.to_bytes())
        return Path(path)

    def to_bytes(self) -> bytes:
        """What `save` writes: JSON in UTF-8, with a digest of itself."""
        return to_file(self._vocabulary)

    def to_tokenizers(self) -> Tokenizer:
        """The same tokenizer as an object of the library `tokenizers`: the same ids for any text."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(to_json(self._vocabulary))

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens among them."""
        return len(self._vocabulary.tokens)

    @property
    def special_tokens(self) -> dict[str, int]:
        """Text and id of each special token."""
        return dict(self._vocabulary.special_tokens)

    @property
    def end_of_text(self) -> int:
        """Id of `<|endoftext|>`. Raises ValueError for a tokenizer without it."""
        if END_OF_TEXT not in self._vocabulary.special_tokens:
            raise ValueError(
                f"this tokenizer has no {END_OF_TEXT}; its special tokens: {list(self.special_tokens)}"
            )
        return self._vocabulary.special_tokens[END_OF_TEXT]

    @property
    def merges(self) -> tuple[Merge, ...]:
        """All merges in the order in which they were learned, with ids and counts in the corpus."""
        return self._vocabulary.merges

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; special tokens written in it become their ids.

        >>> BPETokenizer.train(["low lower lowest"], vocab_size=260).encode("low<|endoftext|>")
        [257, 259]

        Raises:
            ValueError: the text holds a lone surrogate; its position is named.
            TypeError: it is not a string.
        """
        special, tokens_of = self._vocabulary.special_tokens, self._words.__getitem__
        ids: list[int] = []
        for part in cut_text(text, tuple(special)):
            for piece, is_special in split_special(part, tuple(special)):
                if is_special:
                    ids.append(special[piece])
                else:
                    ids.extend(chain.from_iterable(map(tokens_of, split_words(piece))))
        return ids

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text of token ids: a list, or a tensor or array (T,). Bytes that are not valid UTF-8 become "\ufffd".

        Raises:
            ValueError: an id is outside the vocabulary, or there are several texts.
        """
        if getattr(ids, "ndim", 1) != 1:
            shape = tuple(getattr(ids, "shape", ()))
            raise ValueError(f"decode takes the ids of one text, (T,), not {shape}: pass one row, ids[0]")
        special = set(self._vocabulary.special_tokens.values()) if skip_special_tokens else ()
        values = ids.tolist() if hasattr(ids, "tolist") else ids
        return b"".join(self.token_bytes(i) for i in values if i not in special).decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one token; `codecs.getincrementaldecoder("utf-8")` decodes a stream of them."""
        index = operator.index(token)
        if not 0 <= index < self.vocab_size:
            raise ValueError(
                f"token id {index} is outside the vocabulary 0 .. {self.vocab_size - 1}: "
                "was it made by another tokenizer?"
            )
        return self._vocabulary.tokens[index]

    def readable(self, token: int) -> str:
        """One token for the eye: spaces as "␣", control characters and bytes of a cut character escaped."""
        data = self.token_bytes(token)
        text = data.decode("utf-8", "backslashreplace")
        return "".join("␣" if c == " " else c if c.isprintable() else repr(c)[1:-1] for c in text)

    def merge_history(self, word: str) -> list[MergeStep]:
        """How a word becomes tokens: its bytes, then one step a merge; the last holds what `encode` gives.

        >>> [step.tokens for step in BPETokenizer.train(["low low"], vocab_size=259).merge_history("low")]
        [(75, 78, 86), (256, 86), (257,)]

        Raises:
            ValueError: the text is cut into several words, or none; `split_words` gives them.
        """
        if len(words := split_words(word)) != 1 or word in self._vocabulary.special_tokens:
            raise ValueError(
                f"merges happen within one word, and {word!r} is cut into {words}: ask for one of them"
            )
        tokens = [self._byte_ids[byte] for byte in utf8(word)]
        starts = list(range(len(tokens)))  # byte at which each token begins
        history = [MergeStep(None, None, tuple(tokens))]
        for rank, start in apply_merges(tokens, self._merge_table)[1]:
            at = starts.index(start)
            tokens[at : at + 2] = [self._vocabulary.merges[rank].token]
            del starts[at + 1]
            history.append(MergeStep(rank, at, tuple(tokens)))
        return history

    def __repr__(self) -> str:
        special = ", ".join(self._vocabulary.special_tokens) or "none"
        return f"BPETokenizer({self.vocab_size} tokens, {len(self.merges)} merges, special: {special})"

    def _encode_word(self, word: str) -> list[int]:
        return apply_merges([self._byte_ids[byte] for byte in word.encode()], self._merge_table)[0]


class _Remembered(dict[str, list[int]]):
    """Tokens of the words met so far: few words make up most of a text."""

    def __init__(self, tokenizer: BPETokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, word: str) -> list[int]:
        if len(self) >= _REMEMBERED:
            self.clear()  # the frequent ones are back soon
        tokens = self[word] = self._tokenizer._encode_word(word)
        return tokens
