"""Scores of answers, by the kind of record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.adaptation.scores import f1, score, words
from minilm.datasets import KeywordStory, LabelledSentence, MeaningText, Question, Triple, TripleText
from minilm.datasets.pairs import Pair

ANSWERS = st.lists(st.sampled_from(["a", "the", "red", "kite", "kite", "lamp", "Mia"]), max_size=5).map(
    " ".join
)


@given(ANSWERS, ANSWERS)
def test_f1_is_symmetric_and_one_for_the_same_words(one, other):
    assert f1(one, other) == f1(other, one) and 0 <= f1(one, other) <= 1
    assert (f1(one, other) == 1) == (sorted(words(one)) == sorted(words(other)))


def test_an_answer_is_right_if_it_is_one_of_the_acceptable_ones():
    record = Question("text", (), "What?", ("red kite", "kite"))
    assert score([record] * 3, ["The red kite.", "a kite", "lamp"]) == {
        "exact": pytest.approx(2 / 3),
        "F1": pytest.approx(2 / 3),
    }
    assert score([Pair("a", "b c")], ["b"]) == {"exact": 0, "F1": pytest.approx(2 / 3)}


def test_values_keywords_and_labels():
    meaning = MeaningText((("food", "Italian"), ("name", "Eagle")), "The Eagle is Italian.")
    assert score([meaning], ["The Eagle is French."]) == {"values told": 0.5}
    assert score([KeywordStory(("soon", "because"), "x")], ["Soon, because."]) == {"has the keyword": 1}
    assert score([LabelledSentence("x", 1)] * 2, ["positive", "negative"]) == {"right": 0.5}


def test_objects_told_are_counted_over_all_facts():
    records = [
        TripleText(
            (Triple("Alan", "born in", "Wheeler"), Triple("Alan", "flew", "Apollo")), ("x",), "c", True
        ),
        TripleText((Triple("Bob", "has", "a cat"),), ("x",), "c", True),
    ]
    assert score(records, ["Wheeler saw him", "a cat"])["objects told"] == pytest.approx(2 / 3)


def test_as_many_answers_as_records_are_asked_for():
    with pytest.raises(ValueError, match="1 records and 2 answers"):
        score([Pair("a", "b")], ["b", "b"])
    with pytest.raises(ValueError, match="0 records"):
        score([], [])
