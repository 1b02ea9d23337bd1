"""Data of every form as a task: named data sets, files, rows, records, texts."""

from __future__ import annotations

import json

import pytest

from minilm.adaptation import task_from
from minilm.adaptation.template import PLAIN
from minilm.datasets import Conversation, Question, Turn
from minilm.datasets.pairs import Pair, pairs

ROWS = [{"q": f"Mia lost {n}", "a": f"kite {n}", "id": n} for n in range(20)]


def test_a_csv_and_a_jsonl_of_the_same_rows_are_the_same_task(tmp_path, tokenizer):
    (tmp_path / "a.csv").write_text("q,a,id\n" + "".join(f"{r['q']},{r['a']},{r['id']}\n" for r in ROWS))
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    one, other, rows = (
        task_from(data, tokenizer, columns=("q", "a"))
        for data in (str(tmp_path / "a.csv"), tmp_path / "a.jsonl", ROWS)
    )
    assert one.records == other.records == rows.records == tuple(Pair(r["q"], r["a"]) for r in ROWS[:-2])
    assert one.held_out == rows.held_out == tuple(Pair(r["q"], r["a"]) for r in ROWS[-2:])


def test_columns_are_found_by_name_or_by_being_the_only_two():
    assert pairs([{"x": 1, "target": "b", "prompt": "a"}]) == [Pair("a", "b")]
    assert pairs([{"x": "a", "y": 2.5}]) == [Pair("a", "2.5")]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (ROWS, None, "has the columns q, a, id: say which two"),
        (ROWS, ("q", "answer"), "has no column 'answer': its columns are q, a, id"),
        (ROWS, "q", "columns must be two names"),
        ([*ROWS, {"q": "x"}], ("q", "a"), "row 21: there is no 'a', only q"),
        ([{"q": "x", "a": " "}], None, "row 1: a is empty"),
        ([{"q": "x", "a": None}], None, "row 1: a must be a text, not None"),
        ([], None, "must have at least one row"),
    ],
)
def test_a_bad_table_is_told_by_row_and_column(rows, columns, message):
    with pytest.raises(ValueError, match=message):
        pairs(rows, columns, "my.csv")


def test_a_conversation_becomes_its_questions(tokenizer):
    turns = tuple(Turn(f"Who lost {n}?", (f"Mia {n}",)) for n in range(4))
    task = task_from([Conversation("Mia lost all.", turns, "me")] * 2, tokenizer)
    assert all(isinstance(each, Question) for each in task.records)
    assert len(task.records) + len(task.held_out) == 8


def test_texts_are_written_from_nothing(tokenizer):
    task = task_from(["Mia lost a kite.", "Tom found it."], tokenizer)
    assert task.template == PLAIN
    assert task.encode(task.records[0]) == (
        [tokenizer.end_of_text],
        [*tokenizer.encode("Mia lost a kite."), tokenizer.end_of_text],
    )


def test_held_out_records_of_ones_own_are_taken(tokenizer):
    task = task_from(ROWS, tokenizer, columns=("q", "a"), held_out=ROWS[:3], n_train=5)
    assert len(task.records) == 5 and [each.prompt for each in task.held_out] == [r["q"] for r in ROWS[:3]]


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        ("storyworld-triplets", {}, "Did you mean 'storyworld-triples'"),
        ("storyworld-triples", {"fact": 2}, "storyworld-triples has no option fact; it takes"),
        ([Pair("a", "b")] * 3, {"facts": 2}, "facts: records have no such option"),
        ([Pair("a", "b")] * 3, {"columns": ("a", "b")}, "belongs to tables"),
        ([Pair("a", "b")], {}, "has 1 records: tuning needs at least two"),
        ([], {}, "needs at least two"),
        ([Pair("a", "b"), 7], {}, "item 1 of the data must be a record, a row or a text, not int"),
    ],
)
def test_what_is_no_task_is_refused(tokenizer, data, settings, message):
    with pytest.raises(ValueError, match=message):
        task_from(data, tokenizer, **settings)


def test_an_own_text_is_no_task(tmp_path, tokenizer):
    (tmp_path / "diary.txt").write_text("It rained.")
    with pytest.raises(ValueError, match="diary.txt is one running text"):
        task_from(tmp_path / "diary.txt", tokenizer)
    with pytest.raises(FileNotFoundError, match="nothing.csv"):
        task_from(tmp_path / "nothing.csv", tokenizer)


def test_a_running_text_of_the_shelf_is_no_task(mirror, monkeypatch, tokenizer):
    monkeypatch.setenv("MINILM_DATA", str(mirror))
    with pytest.raises(ValueError, match="tinyshakespeare is one running text"):
        task_from("tinyshakespeare", tokenizer)
