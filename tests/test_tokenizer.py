"""The tokenizer by itself: what it promises for any text, how it learns, what it says to bad input.

Learning is held against a brute-force BPE that recounts all pairs before every merge; encoding against one
that applies the merges one after the other.
"""

from __future__ import annotations

import codecs
import json
import pickle
import warnings
from collections import Counter
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.system.digests import SEAL
from minilm.text.bpe import Merge
from minilm.text.pretokenization import BYTE_ORDER, BYTE_TO_CHAR, split_words
from minilm.text.tokenizer import END_OF_TEXT, BPETokenizer

CORPUS = [
    "The lowest of the low lowered the lowest flower.",
    "Lower, slower; the flow is slow: 日本語 日本 🙂🙂\n\n  x",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.text("ab \n'tl0é日", max_size=60)
any_text = settings(max_examples=200, deadline=None)


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train(CORPUS, vocab_size=300)


def replaced(word: tuple[int, ...], pair: tuple[int, int], token: int) -> tuple[int, ...]:
    """The word with each pair, from left to right, become the token."""
    if not word:
        return ()
    if word[:2] == pair:
        return (token, *replaced(word[2:], pair, token))
    return (word[0], *replaced(word[1:], pair, token))


def recount(texts: list[str], n_merge: int) -> list[tuple[int, int, int]]:
    """Brute force: (left, right, count) of each merge, all pairs counted anew before each."""
    counts = Counter(word for text in texts for word in split_words(text))
    words = {tuple(BYTE_ORDER.index(byte) for byte in word.encode()): n for word, n in counts.items()}
    merges = []
    while len(merges) < n_merge:
        pairs = Counter()
        for word, n in words.items():
            for pair in pairwise(word):
                pairs[pair] += n
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        words = {replaced(word, best, 256 + len(merges)): n for word, n in words.items()}
        merges.append((*best, pairs[best]))
    return merges


def silently_trained(texts: list[str], vocab_size: int, **options) -> BPETokenizer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a generated corpus is often too small
        return BPETokenizer.train(texts, vocab_size, **options)


# Any text


@given(TEXTS)
@any_text
def test_what_is_encoded_is_decoded_to_the_same_text(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= token < tokenizer.vocab_size for token in ids)


@given(TEXTS)
@any_text
def test_words_joined_are_the_text(text):
    assert "".join(split_words(text)) == text


@given(TEXTS)
@any_text
def test_merges_applied_one_after_the_other_give_the_same_tokens(tokenizer, text):
    slow = []
    for word in split_words(text):
        tokens = tuple(BYTE_ORDER.index(byte) for byte in word.encode())
        for merge in tokenizer.merges:
            tokens = replaced(tokens, (merge.left, merge.right), merge.token)
        slow += tokens
    assert tokenizer.encode(text) == slow


@given(TEXTS)
@any_text
def test_a_stream_of_token_bytes_is_the_text(tokenizer, text):
    decoder = codecs.getincrementaldecoder("utf-8")()
    pieces = [decoder.decode(tokenizer.token_bytes(token)) for token in tokenizer.encode(text)]
    assert "".join(pieces) + decoder.decode(b"", final=True) == text


@pytest.mark.parametrize("run", ["a", " ", "\n", "ab", "🙂"])
def test_a_word_without_end_is_encoded_in_reasonable_time(tokenizer, run):
    text = run * 100_000
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_gpt2_s_pattern_cuts_words_numbers_symbols_and_spaces():
    text = "I'll pay  2000€ — don't\tyou?\n\n Yes"
    words = ["I", "'ll", " pay", " ", " 2000", "€", " —", " don", "'t", "\t", "you", "?", "\n\n", " Yes"]
    assert split_words(text) == words


def test_a_repeated_word_is_the_same_with_and_without_memory(tokenizer):
    fresh = BPETokenizer.train(CORPUS, vocab_size=300)
    assert [tokenizer.encode(" lower") for _ in range(3)] == [fresh.encode(" lower")] * 3


@pytest.mark.parametrize("copy", [deepcopy, lambda tokenizer: pickle.loads(pickle.dumps(tokenizer))])
def test_a_copy_for_another_process_encodes_the_same(tokenizer, copy):
    tokenizer.encode(CORPUS[0])
    assert copy(tokenizer).encode(CORPUS[1]) == tokenizer.encode(CORPUS[1])


# Learning


@given(st.lists(st.text("ab \n", min_size=1, max_size=30), min_size=1, max_size=4), st.integers(0, 40))
@any_text
def test_corrected_counts_learn_what_recounting_learns(texts, n_merge):
    tokenizer = silently_trained(texts, 256 + n_merge, special_tokens=())
    learnt = [(merge.left, merge.right, merge.count) for merge in tokenizer.merges]
    assert learnt == recount(texts, n_merge)


def test_learning_from_words_matches_recounting_on_prose():
    merges = BPETokenizer.train(CORPUS, vocab_size=256 + 40, special_tokens=()).merges
    assert [(merge.left, merge.right, merge.count) for merge in merges] == recount(CORPUS, 40)


def test_the_smaller_pair_wins_a_tie():
    (merge,) = BPETokenizer.train(["ba ab"], vocab_size=257, special_tokens=()).merges
    assert (BYTE_ORDER[merge.left], BYTE_ORDER[merge.right], merge.count) == (ord("a"), ord("b"), 1)


def test_the_order_of_the_texts_does_not_matter():
    texts = [f"{a}{b} {b}{a}" for a in "abcd" for b in "abcd"]
    forth, back = (silently_trained(order, 300) for order in (texts, texts[::-1]))
    assert forth.merges == back.merges


def test_texts_may_be_a_generator_and_end_at_their_borders():
    from_generator = silently_trained((text for text in ["ab", "cd"]), 300)
    pairs = {from_generator.token_bytes(merge.token) for merge in from_generator.merges}
    assert pairs == {b"ab", b"cd"}


def test_a_corpus_too_small_warns_and_gives_what_there_is():
    with pytest.warns(UserWarning, match=r"gives 259 tokens, not 1000.*more text"):
        tokenizer = BPETokenizer.train(["abc abc"], vocab_size=1000, special_tokens=())
    assert tokenizer.vocab_size == 259


# Special tokens


def test_special_tokens_take_the_last_ids(tokenizer):
    assert tokenizer.special_tokens == {END_OF_TEXT: 299}
    assert tokenizer.end_of_text == tokenizer.vocab_size - 1
    two = BPETokenizer.train(CORPUS, 300, special_tokens=("<|user|>", "<|bot|>"))
    assert two.special_tokens == {"<|user|>": 298, "<|bot|>": 299}


def test_special_tokens_written_in_text_become_their_id(tokenizer):
    ids = tokenizer.encode(f"{END_OF_TEXT}low{END_OF_TEXT}{END_OF_TEXT} low")
    low, spaced = tokenizer.encode("low"), tokenizer.encode(" low")
    end = tokenizer.end_of_text
    assert ids == [end, *low, end, end, *spaced]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "low low"


def test_of_overlapping_special_tokens_the_longest_is_taken():
    tokenizer = BPETokenizer.train(CORPUS, 300, special_tokens=("<a>", "<a><b>", "[.*]"))
    assert tokenizer.encode("<a><b><a>[.*]") == [298, 297, 299]


def test_special_tokens_in_the_corpus_teach_nothing():
    told = silently_trained([f"low{END_OF_TEXT}lower"] * 3, 400)
    plain = silently_trained(["low", "lower"] * 3, 400)
    assert told.merges == plain.merges


# What a reader looks at


@given(st.text("lower fst日🙂", min_size=1, max_size=20).filter(lambda word: len(split_words(word)) == 1))
@any_text
def test_the_history_of_a_word_leads_from_its_bytes_to_its_tokens(tokenizer, word):
    history = tokenizer.merge_history(word)
    assert [tokenizer.token_bytes(token) for token in history[0].tokens] == [
        bytes([b]) for b in word.encode()
    ]
    assert list(history[-1].tokens) == tokenizer.encode(word)
    for before, after in pairwise(history):
        left, right, token, count = tokenizer.merges[after.rank]
        at = after.position
        assert before.tokens[at : at + 2] == (left, right)
        assert after.tokens == (*before.tokens[:at], token, *before.tokens[at + 2 :])
        assert count >= 1


def test_no_merge_could_have_come_earlier(tokenizer):
    ranks = {(merge.left, merge.right): rank for rank, merge in enumerate(tokenizer.merges)}
    for before, after in pairwise(tokenizer.merge_history(" lowest")):
        assert after.rank == min(ranks.get(pair, len(ranks)) for pair in pairwise(before.tokens))


@pytest.mark.parametrize("text", ["low low", "", END_OF_TEXT])
def test_a_history_is_of_one_word(tokenizer, text):
    with pytest.raises(ValueError, match="one word"):
        tokenizer.merge_history(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" low", "␣low"),
        ("\n", "\\n"),
        ("\x00", "\\x00"),
        ("\u200b", "\\u200b"),
        ("日", "日"),
        ("\xa0", "\\xa0"),
    ],
)
def test_a_token_can_be_read(text, shown):
    tokenizer = silently_trained([text], 400)
    assert "".join(map(tokenizer.readable, tokenizer.encode(text))) == shown


def test_a_byte_of_a_cut_character_is_shown_as_hex(tokenizer):
    euro = tokenizer.encode("€")
    assert [tokenizer.readable(token) for token in euro] == ["\\xe2", "\\x82", "\\xac"]
    assert tokenizer.decode(euro[:2]) == "\ufffd"


def test_every_byte_has_a_token_and_a_printable_character(tokenizer):
    assert sorted(tokenizer.token_bytes(index) for index in range(256)) == [bytes([b]) for b in range(256)]
    assert sorted(BYTE_TO_CHAR.values()) == [BYTE_TO_CHAR[byte] for byte in BYTE_ORDER]
    assert all(char.isprintable() and not char.isspace() for char in BYTE_TO_CHAR.values())


def test_tensors_and_arrays_are_decoded(tokenizer):
    ids = tokenizer.encode("lower")
    assert tokenizer.decode(torch.tensor(ids)) == tokenizer.decode(np.array(ids)) == "lower"
    assert tokenizer.decode([]) == tokenizer.decode(torch.empty(0, dtype=torch.int64)) == ""


# Files


def test_a_saved_tokenizer_is_loaded_the_same(tokenizer, tmp_path):
    loaded = BPETokenizer.load(tokenizer.save(tmp_path / "new" / "tokenizer.json"))
    assert [merge._replace(count=None) for merge in tokenizer.merges] == list(loaded.merges)
    assert loaded.special_tokens == tokenizer.special_tokens
    assert repr(loaded) == repr(tokenizer)
    assert loaded.encode("".join(CORPUS)) == tokenizer.encode("".join(CORPUS))
    assert (
        loaded.save(tmp_path / "again.json").read_text() == (tmp_path / "new" / "tokenizer.json").read_text()
    )


def stored(tokenizer: BPETokenizer, tmp_path) -> dict:
    """What a file holds, without the digest that would tell every change of it."""
    content = json.loads(tokenizer.save(tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    del content["decoder"][SEAL]
    return content


FOREIGN = {
    "model is 'WordPiece'": lambda c: c["model"].update(type="WordPiece"),
    "dropout=0.1": lambda c: c["model"].update(dropout=0.1),
    "end_of_word_suffix='</w>'": lambda c: c["model"].update(end_of_word_suffix="</w>"),
    "ignore_merges": lambda c: c["model"].update(ignore_merges=True),
    "normalizer 'NFC'": lambda c: c.update(normalizer={"type": "NFC"}),
    "by 'Whitespace'": lambda c: c.update(pre_tokenizer={"type": "Whitespace"}),
    "by None": lambda c: c.update(pre_tokenizer=None),
    "add_prefix_space": lambda c: c["pre_tokenizer"].update(add_prefix_space=True),
    "'TemplateProcessing'": lambda c: c.update(post_processor={"type": "TemplateProcessing"}),
    "lacks 1 of the 256 bytes": lambda c: c["model"]["vocab"].update({"☃": c["model"]["vocab"].pop("a")}),
    "'☃☃' holds a character": lambda c: c["model"]["vocab"].update({"☃☃": 300}),
    "ids 0 to": lambda c: c["model"]["vocab"].update({"abc": 999}),
    "its version is '2.0'": lambda c: c.update(version="2.0"),
    "it sets a truncation": lambda c: c.update(truncation={"max_length": 2, "strategy": "LongestFirst"}),
    "it sets a padding": lambda c: c.update(padding={"strategy": "BatchLongest"}),
    "by 'WordPiece'": lambda c: c.update(decoder={"type": "WordPiece"}),
    "has a part 'newer'": lambda c: c.update(newer=1),
    "has a part 'faster'": lambda c: c["decoder"].update(faster=True),
    "strips the text": lambda c: c["added_tokens"][0].update(lstrip=True),
}


@pytest.mark.parametrize("reason", FOREIGN)
def test_a_foreign_file_is_refused_with_its_name_and_the_reason(tokenizer, tmp_path, reason):
    content = stored(tokenizer, tmp_path)
    FOREIGN[reason](content)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json is not a tokenizer") as error:
        BPETokenizer.load(tmp_path / "tokenizer.json")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", '{"model": null}', '{"model": {"vocab": []}}', "\x00\x01", "null"]
)
def test_a_malformed_file_is_refused_with_its_name(tmp_path, text):
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(ValueError, match=r"broken\.json is (truncated|not a tokenizer)"):
        BPETokenizer.load(tmp_path / "broken.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c["model"]["merges"].append(["low", "☃"]),
        lambda c: c["model"]["merges"].append(["q", "q"]),
        lambda c: c["model"]["merges"].append("one two three"),
        lambda c: c["model"].pop("vocab"),
        lambda c: c["model"].update(vocab=list(c["model"]["vocab"])),
        lambda c: c["model"].update(merges=7),
        lambda c: c["model"]["vocab"].update(a="64"),
        lambda c: c["model"]["vocab"].update(a=65.0),
        lambda c: c["model"]["vocab"].update(a=True),
        lambda c: c["model"].update(vocab=None),
        lambda c: c["added_tokens"][0].pop("id"),
        lambda c: c["added_tokens"][0].update(content=["a"]),
        lambda c: c["added_tokens"].append(7),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(tokenizer, tmp_path, damage):
    content = stored(tokenizer, tmp_path)
    damage(content)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json is truncated or not a tokenizer"):
        BPETokenizer.load(tmp_path / "tokenizer.json")


def test_a_truncated_file_is_refused(tokenizer, tmp_path):
    path = tokenizer.save(tmp_path / "tokenizer.json")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"tokenizer\.json is truncated"):
        BPETokenizer.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        BPETokenizer.load(tmp_path / "none.json")


# Bad input


def test_a_lone_surrogate_is_named_with_its_position(tokenizer):
    with pytest.raises(ValueError, match=r"lone surrogate '\\ud800' at position 4"):
        tokenizer.encode("low \ud800")
    with pytest.raises(ValueError, match=r"lone surrogate .* at position 1"):
        BPETokenizer.train(["fine", "a\udfff"])


@pytest.mark.parametrize("texts", [[], [""], ["", ""], [END_OF_TEXT]])
def test_an_empty_corpus_is_refused(texts):
    with pytest.raises(ValueError, match="corpus is empty"):
        BPETokenizer.train(texts)


@pytest.mark.parametrize(("vocab_size", "special"), [(256, (END_OF_TEXT,)), (0, ()), (257, ("<a>", "<b>"))])
def test_a_vocabulary_too_small_for_the_bytes_is_refused(vocab_size, special):
    with pytest.raises(ValueError, match=rf"vocab_size={vocab_size} is too small.*need {256 + len(special)}"):
        BPETokenizer.train(CORPUS, vocab_size, special)


def test_the_smallest_vocabulary_has_no_merges():
    tokenizer = BPETokenizer.train(CORPUS, vocab_size=257)
    assert (tokenizer.merges, tokenizer.vocab_size) == ((), 257)
    assert tokenizer.decode(tokenizer.encode(CORPUS[1])) == CORPUS[1]


def test_one_string_is_not_a_list_of_texts():
    with pytest.raises(TypeError, match="give a list of texts"):
        BPETokenizer.train("low lower")


@pytest.mark.parametrize("text", [b"low", None, ["low"]])
def test_what_is_no_string_is_refused(tokenizer, text):
    with pytest.raises(TypeError, match="must be a string"):
        tokenizer.encode(text)
    with pytest.raises(TypeError, match="must be a string"):
        BPETokenizer.train(["low", text])


@pytest.mark.parametrize("special", ["", "a", "é"])
def test_an_unfit_special_token_is_refused(special):
    with pytest.raises(ValueError, match=f"{special!r} cannot be a special token"):
        BPETokenizer.train(CORPUS, 300, special_tokens=(special,))


@pytest.mark.parametrize("token", [-1, 300, 10**9])
def test_an_id_outside_the_vocabulary_is_named(tokenizer, token):
    for refuse in (lambda: tokenizer.decode([0, token]), lambda: tokenizer.token_bytes(token)):
        with pytest.raises(ValueError, match=rf"id {token} is outside the vocabulary 0 \.\. 299"):
            refuse()


def test_a_batch_is_not_one_text(tokenizer):
    with pytest.raises(ValueError, match=r"\(T,\), not \(2, 3\)"):
        tokenizer.decode(torch.zeros(2, 3, dtype=torch.int64))


def test_a_tokenizer_without_end_of_text_says_so():
    with pytest.raises(ValueError, match=r"has no <\|endoftext\|>"):
        _ = BPETokenizer.train(CORPUS, 300, special_tokens=()).end_of_text


def test_merges_are_plain_to_read(tokenizer):
    merge = tokenizer.merges[0]
    assert isinstance(merge, Merge)
    assert tokenizer.token_bytes(merge.token) == tokenizer.token_bytes(merge.left) + tokenizer.token_bytes(
        merge.right
    )
