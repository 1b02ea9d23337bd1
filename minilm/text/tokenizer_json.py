"""`tokenizer.json`, the file format of the library `tokenizers`: what byte-level BPE needs of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as quote
from pathlib import Path
from typing import Any

from minilm.system.digests import SEAL, UNSEALED, seal_is_intact, sealed
from minilm.system.errors import CheckpointError
from minilm.system.json_files import parse_json
from minilm.text.bpe import Merge
from minilm.text.pretokenization import BYTE_TO_CHAR, bytes_to_chars, chars_to_bytes

_BYTE_LEVEL = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
_DECODER = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
_SPECIAL = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
_BPE = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}
_CHANGES_IDS = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")
_VERSION = "1.0"


@dataclass(frozen=True)
class Vocabulary:
    """All that sets one byte-level BPE tokenizer apart from another."""

    tokens: Sequence[bytes]
    """The bytes of each token, by id; of a special token, its text in UTF-8."""

    merges: tuple[Merge, ...]
    """In the order in which they were learned."""

    special_tokens: Mapping[str, int]
    """Id of each token that is never split and never learned from text."""


def to_json(vocabulary: Vocabulary) -> str:
    """The text that `tokenizers` itself would save, character for character."""
    return _dumped(_content(vocabulary))


def to_file(vocabulary: Vocabulary) -> bytes:
    """The same with one more line, a digest of the file; see `minilm.system.digests`.

    It is an entry of the decoder, the part in which every reader of the format accepts further entries.
    """
    content = _content(vocabulary)
    content["decoder"] = {**content["decoder"], SEAL: UNSEALED}
    return sealed(_dumped(content).encode())


def _dumped(content: dict[str, Any]) -> str:
    """`json.dumps(content, indent=2, ensure_ascii=False)`; the two long parts are put in apart, which is faster."""
    model = content["model"]
    brief = {**content, "model": {**model, "vocab": {}, "merges": []}}
    start, vocab, rest = json.dumps(brief, indent=2, ensure_ascii=False).rpartition('"vocab": {')
    middle, merges, end = rest.rpartition('"merges": [')
    rows = ",".join(f"\n      {quote(text)}: {index}" for text, index in model["vocab"].items())
    pairs = ",".join(
        f"\n      [\n        {quote(left)},\n        {quote(right)}\n      ]"
        for left, right in model["merges"]
    )
    rows, pairs = (part and part + "\n    " for part in (rows, pairs))
    return start + vocab + rows + middle + merges + pairs + end


def _content(vocabulary: Vocabulary) -> dict[str, Any]:
    names = {index: text for text, index in vocabulary.special_tokens.items()}
    chars = [names.get(index) or bytes_to_chars(token) for index, token in enumerate(vocabulary.tokens)]
    return {
        "version": _VERSION,
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": text, **_SPECIAL} for index, text in sorted(names.items())],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, **_BYTE_LEVEL},
        "post_processor": None,
        "decoder": _DECODER,
        "model": {
            **_BPE,
            "vocab": {text: index for index, text in enumerate(chars)},
            "merges": [[chars[merge.left], chars[merge.right]] for merge in vocabulary.merges],
        },
    }


def read_vocabulary(path: Path) -> Vocabulary:
    """What a `tokenizer.json` says, whoever wrote it; GPT-2's own is one.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, of a newer format, or of a tokenizer that encodes differently.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; `BPETokenizer.save` writes such a file")
    if seal_is_intact(path) is False:
        raise CheckpointError(
            f"{path} is truncated or damaged: its bytes are not those that were saved (SHA-256); restore or remake it"
        )
    try:
        return _parse(parse_json(path.read_bytes()))
    except _ForeignError as reason:
        raise CheckpointError(f"{path} is not a tokenizer.json that can be read here: {reason}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(
            f"{path} is truncated or not a tokenizer.json ({type(error).__name__}: {error}); restore or remake it"
        ) from None


class _ForeignError(Exception):
    """The file is well formed, and of another kind of tokenizer."""


def _parse(content: Mapping[str, Any]) -> Vocabulary:
    _refuse_other_kinds(content)
    _refuse_unknown_parts(content)
    model = content["model"]
    special = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
    ids: dict[str, int] = {**model["vocab"], **special}
    if wrong := [text for text, index in ids.items() if type(index) is not int]:
        raise ValueError(f"the id of {wrong[0]!r} is {ids[wrong[0]]!r}, not a whole number")
    tokens = _tokens_by_id(ids, special)
    return Vocabulary(tokens, _merges(model["merges"], ids), special)


def _refuse_unknown_parts(content: Mapping[str, Any]) -> None:
    """Raise for what a newer or another program has added, and for parts that change what comes in or out."""
    known = _content(Vocabulary([], (), {})).keys()
    decoder = content.get("decoder") or _DECODER
    if content.get("version", _VERSION) != _VERSION:
        raise _ForeignError(f"its version is {content['version']!r}, and minilm reads {_VERSION!r}")
    for part in ("truncation", "padding"):
        if content.get(part) is not None:
            raise _ForeignError(
                f"it sets a {part}, which would change the length of every text; set it to null"
            )
    if decoder.get("type") != "ByteLevel":
        raise _ForeignError(
            f"it turns tokens into text by {decoder.get('type')!r}, and minilm by 'ByteLevel'"
        )
    if unknown := [*(content.keys() - known), *(decoder.keys() - _DECODER.keys() - {SEAL})]:
        raise _ForeignError(
            f"it has a part {min(unknown)!r}, which minilm does not know: it may be newer, or damaged"
        )


def _refuse_other_kinds(content: Mapping[str, Any]) -> None:
    """Raise for each part that would make `tokenizers` encode a text in another way than minilm does."""
    model, cutter = content["model"], content.get("pre_tokenizer") or {}
    if model.get("type", "BPE") != "BPE":
        raise _ForeignError(f"its model is {model['type']!r}, and minilm reads 'BPE'")
    for part in _CHANGES_IDS:
        if model.get(part):
            raise _ForeignError(f"its model sets {part}={model[part]!r}")
    if content.get("normalizer") is not None:
        raise _ForeignError(f"it changes the text first, by normalizer {content['normalizer'].get('type')!r}")
    if cutter.get("type") != "ByteLevel" or not cutter.get("use_regex", True):
        raise _ForeignError(f"it cuts words by {cutter.get('type')!r}, and minilm as GPT-2, by 'ByteLevel'")
    if cutter.get("add_prefix_space"):
        raise _ForeignError("it puts a space before every text (add_prefix_space)")
    processor = content.get("post_processor") or {"type": "ByteLevel"}
    adds_nothing = processor["type"] == "TemplateProcessing" and processor.get("special_tokens") == {}
    if processor["type"] != "ByteLevel" and not adds_nothing:  # transformers writes such a template
        raise _ForeignError(f"it adds tokens to every text, by {processor['type']!r}")
    for token in content.get("added_tokens") or ():
        if token.get("lstrip") or token.get("rstrip") or token.get("single_word"):
            raise _ForeignError(
                f"token {token['content']!r} strips the text around it or asks for a word's border"
            )


def _tokens_by_id(ids: Mapping[str, int], special: Iterable[str]) -> list[bytes]:
    """The bytes of every token, in the order of the ids."""
    in_order = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in in_order] != list(range(len(ids))):
        raise _ForeignError(f"its {len(ids)} tokens do not have the ids 0 to {len(ids) - 1}")
    names = set(special)
    missing = set(BYTE_TO_CHAR.values()) - (ids.keys() - names)
    if missing:
        raise _ForeignError(
            f"its vocabulary lacks {len(missing)} of the 256 bytes, so some text has no encoding; "
            "when training with `tokenizers`, pass initial_alphabet=ByteLevel.alphabet()"
        )
    return [token.encode() if token in names else _bytes_of(token) for token in in_order]


def _bytes_of(token: str) -> bytes:
    """The bytes that an ordinary token is written for."""
    content = chars_to_bytes(token)
    if content is None:
        raise _ForeignError(f"its token {token!r} holds a character that represents no byte")
    return content


def _merges(pairs: Iterable[str | Sequence[str]], ids: Mapping[str, int]) -> tuple[Merge, ...]:
    """Older files write a merge as "l o", newer ones as ["l", "o"]."""
    split = (pair.split(" ") if isinstance(pair, str) else pair for pair in pairs)
    return tuple(Merge(ids[left], ids[right], ids[left + right]) for left, right in split)
