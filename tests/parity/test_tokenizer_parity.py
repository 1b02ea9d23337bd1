"""Beside the library `tokenizers`: the same cuts, the same merges, the same ids, the same files."""

from __future__ import annotations

import json
import random
import re
import sys
import warnings
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from minilm.text.pretokenization import split_words
from minilm.text.tokenizer import END_OF_TEXT, BPETokenizer

EMOJI = "🙂👩‍👩‍👧‍👦🇫🇷👍🏽🏴󠁧󠁢󠁥󠁮󠁧󠁿❤️ 1️⃣ 🫠"
CONTROL = "".join(
    map(chr, (*range(32), *range(127, 160), 0xAD, 0x200B, 0x200D, 0x2028, 0x2029, 0x202E, 0xFEFF, 0xFFFD))
)
ODD = [
    "",
    " ",
    "  ",
    "\n",
    " \n ",
    "\r\n",
    "\t\t x",
    EMOJI,
    CONTROL,
    f"a{CONTROL}b",
    "é e\u0301",
    "İSTANBUL ſs ßẞ",
    "x" * 5000,
]
ALPHABET = pre_tokenizers.ByteLevel.alphabet()


def theirs(vocab_size: int, texts: list[str], special_tokens: tuple[str, ...] = ()) -> Tokenizer:
    """A byte-level BPE as users of `tokenizers` train it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=ALPHABET,
        special_tokens=list(special_tokens),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def ours(vocab_size: int, texts: list[str], special_tokens: tuple[str, ...] = ()) -> BPETokenizer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a generated corpus is often too small
        return BPETokenizer.train(texts, vocab_size, special_tokens)


def generated(n: int, seed: int) -> list[str]:
    """Texts of all kinds of characters: any at all, of one script or two, and what trips tokenizers up."""
    rng = random.Random(seed)
    blocks = [(0, 0x80), (0xA0, 0x250), (0x370, 0x700), (0x900, 0xE00), (0x2000, 0x2C00), (0x3000, 0xA000)]
    blocks += [
        (0xA000, 0xD800),
        (0xE000, 0x10000),
        (0x10000, 0x20000),
        (0x1F300, 0x1FA00),
        (0x30000, 0x40000),
        (0xE0000, 0x110000),
    ]

    def character() -> str:
        low, high = rng.choice(chosen)
        return rng.choice(" \n'\t") if rng.random() < 0.2 else chr(rng.randrange(low, high))

    texts = []
    for _ in range(n):
        chosen = rng.sample(blocks, rng.randint(1, 3))
        texts.append("".join(character() for _ in range(rng.randrange(40))))
    return texts


@pytest.fixture(scope="module")
def shakespeare(tinyshakespeare) -> tuple[BPETokenizer, Tokenizer]:
    tokenizer = BPETokenizer.train([tinyshakespeare], vocab_size=4096)
    return tokenizer, tokenizer.to_tokenizers()


@pytest.fixture(scope="module")
def many_scripts() -> tuple[BPETokenizer, Tokenizer]:
    """Learnt from generated text, so that merges of every script are at work."""
    tokenizer = ours(3000, [*generated(800, seed=1), *ODD])
    return tokenizer, tokenizer.to_tokenizers()


def assert_same(pair: tuple[BPETokenizer, Tokenizer], text: str) -> None:
    tokenizer, reference = pair
    ids = tokenizer.encode(text)
    assert ids == reference.encode(text).ids
    assert tokenizer.decode(ids) == text


def test_ids_are_the_same_on_all_of_tinyshakespeare(shakespeare, tinyshakespeare):
    assert_same(shakespeare, tinyshakespeare)


@pytest.mark.parametrize("pair", ["shakespeare", "many_scripts"])
def test_ids_are_the_same_on_generated_unicode(pair, request):
    for text in generated(2000, seed=0):
        assert_same(request.getfixturevalue(pair), text)


@pytest.mark.parametrize("text", ODD)
def test_ids_are_the_same_on_odd_texts(many_scripts, text):
    assert_same(many_scripts, text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=300, deadline=None)
def test_ids_are_the_same_on_any_text(many_scripts, text):
    assert_same(many_scripts, text)


@given(st.lists(st.sampled_from([END_OF_TEXT, "<|end", "oftext|>", "low", " ", "\n", "<|a|>", "<|a|><|b|>"])))
@settings(max_examples=200, deadline=None)
def test_special_tokens_in_text_are_found_alike(parts):
    tokenizer = ours(300, ["low lower"], (END_OF_TEXT, "<|a|>", "<|a|><|b|>"))
    assert_same((tokenizer, tokenizer.to_tokenizers()), "".join(parts))


@given(st.lists(st.integers(0, 2999), max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_ids_are_decoded_alike_whole_characters_or_not(many_scripts, ids):
    tokenizer, reference = many_scripts
    assert tokenizer.decode(ids) == reference.decode(ids, skip_special_tokens=False)


def test_every_character_of_unicode_is_cut_alike():
    """All of the planes that hold characters, and the first block of each other plane."""
    reference = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for first in range(0, sys.maxunicode + 1, 2048):
        plane, block = divmod(first, 0x10000)
        if first == 0xD800 or (block and plane not in (0, 1, 2, 3, 14)):  # surrogates are no characters
            continue
        text = "".join(f"a{c}1{c}!{c}" for c in map(chr, range(first, first + 2048)))
        ends = [end for _, (_, end) in reference.pre_tokenize_str(text)]
        assert ends == list(accumulate(map(len, split_words(text)))), f"from {first:#x} on"


def test_the_same_merges_are_learnt_from_tinyshakespeare(tinyshakespeare, tmp_path):
    tokenizer, reference = ours(1500, [tinyshakespeare]), theirs(1500, [tinyshakespeare])
    assert model(tokenizer, tmp_path) == json.loads(reference.to_str())["model"]


@given(st.lists(st.text("aab \n", min_size=1, max_size=60), min_size=1, max_size=5), st.integers(256, 330))
@settings(max_examples=150, deadline=None)
def test_the_same_merges_are_learnt_where_everything_ties_and_overlaps(tmp_path_factory, texts, vocab_size):
    folder = tmp_path_factory.mktemp("learnt")
    reference = json.loads(theirs(vocab_size, texts).to_str())["model"]
    assert model(ours(vocab_size, texts), folder) == reference


def model(tokenizer: BPETokenizer, folder) -> dict:
    """The vocabulary and the merges as a file has them."""
    return json.loads(tokenizer.save(folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]


def test_a_saved_file_is_what_tokenizers_saves_but_for_one_line(shakespeare, tmp_path):
    """The line is a digest, in the decoder; `tokenizers` reads the file and saves it again without."""
    tokenizer, reference = shakespeare
    reference.save(str(tmp_path / "theirs.json"))
    tokenizer.save(tmp_path / "ours.json")
    ours = (tmp_path / "ours.json").read_text(encoding="utf-8")
    assert re.sub(r',\n    "minilm_sha256": "[0-9a-f]{64}"', "", ours) == (
        tmp_path / "theirs.json"
    ).read_text(encoding="utf-8")
    Tokenizer.from_file(str(tmp_path / "ours.json")).save(str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "theirs.json").read_bytes()


def test_a_file_of_tokenizers_is_read_wherever_its_special_tokens_stand(tmp_path):
    texts = generated(300, seed=2)
    reference = theirs(900, texts, (END_OF_TEXT, "<|pad|>"))
    reference.save(str(tmp_path / "theirs.json"))
    tokenizer = BPETokenizer.load(tmp_path / "theirs.json")
    assert tokenizer.special_tokens == {END_OF_TEXT: 0, "<|pad|>": 1}
    for text in [*texts, f"{END_OF_TEXT}a<|pad|>"]:
        assert_same((tokenizer, reference), text)
        assert_same((tokenizer, tokenizer.to_tokenizers()), text)


def test_a_file_laid_out_as_gpt2_s_is_read(shakespeare, tinyshakespeare, tmp_path):
    """Merges as one string, empty affixes, no `type`, a post-processor, the special token last."""
    content = json.loads(shakespeare[0].save(tmp_path / "ours.json").read_text(encoding="utf-8"))
    merges = [" ".join(pair) for pair in content["model"]["merges"]]
    for part in ("type", "byte_fallback", "ignore_merges"):
        del content["model"][part]
    content["model"].update(merges=merges, continuing_subword_prefix="", end_of_word_suffix="")
    content["added_tokens"][0]["normalized"] = True
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    content.update(pre_tokenizer=byte_level, post_processor={**byte_level, "add_prefix_space": True})
    content["decoder"] = content["post_processor"]
    (tmp_path / "gpt2.json").write_text(json.dumps(content), encoding="utf-8")
    tokenizer, reference = (
        BPETokenizer.load(tmp_path / "gpt2.json"),
        Tokenizer.from_file(str(tmp_path / "gpt2.json")),
    )
    assert tokenizer.end_of_text == tokenizer.vocab_size - 1
    for text in (tinyshakespeare[:20_000], *ODD, f"one{END_OF_TEXT} two"):
        assert_same((tokenizer, reference), text)


def test_transformers_reads_a_saved_file(shakespeare, tmp_path):
    from transformers import PreTrainedTokenizerFast

    path = shakespeare[0].save(tmp_path / "tokenizer.json")
    fast = PreTrainedTokenizerFast(tokenizer_file=str(path))
    text = f"To be, or not to be: {END_OF_TEXT}that is the question."
    assert fast(text)["input_ids"] == shakespeare[0].encode(text)
