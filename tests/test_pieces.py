"""Texts of any size in pieces: cutting changes no word and no token, whatever the text, the places and the special tokens."""

from __future__ import annotations

import codecs
import re
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.text import counting, pieces
from minilm.text.counting import WordCounts, count_words
from minilm.text.pieces import TextError, cut_near, cut_text, read_pieces
from minilm.text.pretokenization import _WORD, find_cut, split_special, split_words
from minilm.text.tokenizer import END_OF_TEXT, BPETokenizer

SPECIAL = (END_OF_TEXT, "<s>", "a'", "\n\n", "b b", "aa")
"""Special tokens that overlap each other and themselves, and hold white space."""
TEXTS = st.text("ab 1\n\r\t'sl.!<>é日\u00a0\u3000\x1c\x85\u2028²𝟗🙂\u200b\u0558", max_size=40) | st.lists(
    st.sampled_from([*SPECIAL, "one", " two", "don't", " ", "日本", "3"]), max_size=12
).map("".join)
any_text = settings(max_examples=150, deadline=None)


def words(text: str, special_tokens: tuple[str, ...] = ()) -> list[str]:
    """What is encoded by itself: special tokens, and the words between them."""
    return [
        word
        for piece, special in split_special(text, special_tokens)
        for word in ([piece] if special else split_words(piece))
    ]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few characters, so that a short text has many."""
    monkeypatch.setattr(pieces, "PIECE", 7)


def file(folder: Path, content: str | bytes) -> Path:
    path = folder / "text.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Words


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | TEXTS)
@any_text
def test_the_fast_patterns_cut_as_the_one_of_gpt2(text):
    assert split_words(text) == _WORD.findall(text)


# Places to cut


@given(TEXTS, TEXTS, st.integers(0, 20), st.booleans(), st.sampled_from([(), SPECIAL, SPECIAL[:1]]))
@any_text
def test_a_cut_changes_no_word_whatever_follows(text, more, start, last, special):
    cut = find_cut(text, start, special, last=last)
    if cut is not None:
        assert start <= cut <= len(text) and cut > 0
        whole = text + more
        assert words(whole[:cut], special) + words(whole[cut:], special) == words(whole, special)


def test_prose_is_cut_before_a_space_and_a_run_of_letters_nowhere():
    assert find_cut("one two three", 0) == 3
    assert find_cut("one two three", 4) == 7
    assert find_cut("one two three", 0, last=True) == 7
    assert find_cut("x" * 100, 0) is None
    assert find_cut(f"one{END_OF_TEXT}two and", 4, (END_OF_TEXT,)) is None  # too near the end to tell
    assert find_cut(f"one{END_OF_TEXT}two and {END_OF_TEXT}", 4, (END_OF_TEXT,)) == 3 + len(END_OF_TEXT) + 3


# Pieces of strings and files


@given(text=TEXTS, size=st.integers(1, 9), special=st.sampled_from([(), SPECIAL]))
@any_text
def test_the_words_of_the_pieces_are_those_of_the_text(text, size, special):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", size)
        parts = list(cut_text(text, special))
    assert "".join(parts) == text
    assert [word for part in parts for word in words(part, special)] == words(text, special)


@given(text=TEXTS, size=st.integers(1, 9), at=st.integers(0, 60), special=st.sampled_from([(), SPECIAL]))
@any_text
def test_a_file_cut_anywhere_and_read_in_pieces_has_the_words_of_the_text(
    tmp_path_factory, text, size, at, special
):
    path = file(tmp_path_factory.getbasetemp(), text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", size)
        cut = cut_near(path, at, special)
        assert min(at, path.stat().st_size) <= cut <= path.stat().st_size
        parts = [*read_pieces(path, special, 0, cut), *read_pieces(path, special, cut)]
    expected = text.replace("\r\n", "\n")
    assert "".join(parts) == expected
    assert [word for part in parts for word in words(part, special)] == words(expected, special)


@pytest.mark.parametrize("marks", [1, 2])
def test_byte_order_marks_are_no_text(tmp_path, marks):
    path = file(tmp_path, codecs.BOM_UTF8 * marks + b"one\r\ntwo\r\n")
    assert "".join(read_pieces(path)) == "one\ntwo\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "one\ntwo words\n".encode("utf-16"),
            "line 1: byte 0xff is not UTF-8 (the file begins as UTF-16 does)",
        ),
        (
            "one\ntwo words\n".encode("utf-16-le"),
            "line 1: byte 0x00 is not UTF-8 (a text cannot hold a NUL character)",
        ),
        (
            "one\ntwo words\n".encode("utf-32-be"),
            "line 1: byte 0x00 is not UTF-8 (a text cannot hold a NUL character)",
        ),
        (
            b"fine words\n" * 3 + "na\u00efve\n".encode("latin-1"),
            "line 4: byte 0xef is not UTF-8; save the",
        ),
        (b"cut short \xe6\x97", "line 1: byte 0xe6 is not UTF-8"),
    ],
)
def test_what_is_not_utf8_is_named_with_its_line(tmp_path, small_pieces, content, message):
    path = file(tmp_path, content)
    with pytest.raises(TextError, match=re.escape(f"{path}, {message}")):
        list(read_pieces(path))


def test_a_file_of_one_endless_word_is_refused(tmp_path, small_pieces, monkeypatch):
    monkeypatch.setattr(pieces, "LONGEST_RUN", 50)
    path = file(tmp_path, "a few words " + "x" * 100)
    with pytest.raises(TextError, match=r"over 50 characters from ' xxxx.* have no place to cut"):
        list(read_pieces(path))
    with pytest.raises(TextError, match="over 50 characters from byte 13"):
        cut_near(path, 13)


def test_a_lone_surrogate_in_a_long_text_is_named_with_its_place(small_pieces):
    with pytest.raises(ValueError, match="at position 30 "):
        list(cut_text("words and " * 3 + "\ud800 and more words"))


# Learning and encoding in pieces


PROSE = (
    "The lowest of the low lowered the lowest flower's 12 petals.\n\n  日本語 and 🙂🙂 naïve words, slower!\r\n"
    * 9
)


def test_a_tokenizer_learns_the_same_from_a_file_a_long_text_and_its_words(tmp_path, small_pieces):
    path = file(tmp_path, PROSE)
    text = PROSE.replace("\r\n", "\n")
    streamed, cut = BPETokenizer.train(path, 310), BPETokenizer.train([text], 310)
    pieces.PIECE = 1 << 20
    whole = BPETokenizer.train([text], 310)
    assert streamed.merges == cut.merges == whole.merges
    assert streamed.encode(text) == whole.encode(text)


def test_a_long_text_is_encoded_in_pieces_to_the_same_tokens(small_pieces):
    text = f"{PROSE}{END_OF_TEXT}{PROSE}"
    tokenizer = BPETokenizer.train([PROSE], 310)
    cut = tokenizer.encode(text)
    pieces.PIECE = 1 << 20
    assert cut == tokenizer.encode(text)
    assert tokenizer.decode(cut) == text


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"absent\.txt"):
        BPETokenizer.train(Path("absent.txt"), 300)


# Counting in bounded memory


@given(st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=80))
@any_text
def test_few_words_are_counted_exactly(text):
    counts = count_words([" ".join(text)])
    assert (counts, counts.undercount) == (Counter(split_words(" ".join(text))), 0)


@given(st.lists(st.integers(0, 40), min_size=30, max_size=300))
@any_text
def test_forgetting_rare_words_leaves_counts_at_most_so_much_too_small(numbers):
    told = [" " + chr(ord("a") + number % 26) * (1 + number // 26) for number in numbers]
    exact = Counter(told)
    counts = WordCounts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "MOST_WORDS", 10)
        for word in told:
            counts.add(word)
            assert len(counts) <= 10
    for word, count in exact.items():
        assert count - counts.undercount <= counts[word] <= count


def test_long_words_are_forgotten_too_and_a_warning_says_so(monkeypatch):
    monkeypatch.setattr(counting, "MOST_CHARACTERS", 1000)
    monkeypatch.setattr(counting, "PIECE", 10)
    texts = [f"{letter * 60} the" for letter in "abcdefghijklmnopqrstuvwxyz"]
    with pytest.warns(UserWarning, match="a count may be too small by up to 2"):
        counts = count_words(texts)
    assert counts[" the"] == 26
    assert sum(map(len, counts)) <= 1100


def test_one_word_longer_than_the_room_is_kept(monkeypatch):
    monkeypatch.setattr(counting, "MOST_CHARACTERS", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert count_words(["x" * 5000]) == {"x" * 5000: 1}
