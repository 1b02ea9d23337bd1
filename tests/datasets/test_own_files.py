"""The reader's own files, and names that are neither a file nor a data set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minilm import datasets
from minilm.datasets import DataError, commands


def test_text(tmp_path):
    path = tmp_path / "diary.txt"
    path.write_bytes("\ufeffDear diary,\r\n\r\nçà va? 🎈\r\n".encode())
    assert datasets.load(str(path)) == datasets.load(path) == "Dear diary,\n\nçà va? 🎈\n"


def test_text_is_split_by_position_when_asked(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n\n".join(f"paragraph {i}" for i in range(1000)))
    train, dev, test = (datasets.load(path, split=split) for split in ("train", "dev", "test"))
    assert train + dev + test == datasets.load(path)
    assert dev.startswith("paragraph") and test.startswith("paragraph")
    with pytest.raises(ValueError, match="no split 'valid'; choose from train, dev, test, all"):
        datasets.load(path, split="valid")


def test_csv_and_tsv(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"one, two",x\n\n"three ""four""",y\n')
    assert datasets.load(tmp_path / "a.csv") == [
        {"text": "one, two", "label": "x"},
        {"text": 'three "four"', "label": "y"},
    ]
    (tmp_path / "a.tsv").write_text('text\tlabel\na "quoted" word\tx\n')
    assert datasets.load(tmp_path / "a.tsv") == [{"text": 'a "quoted" word', "label": "x"}]


def test_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n\n{"text": "two\\u2028lines", "n": 2}\n')
    assert datasets.load(path) == [{"text": "one"}, {"text": "two\u2028lines", "n": 2}]
    assert datasets.load(path, n=1) == [{"text": "one"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"fine\nna\xefve\n", "line 2: byte 0xef is not UTF-8; save the file as UTF-8"),
        ("a.csv", "text\nna\u00efve\n".encode("latin-1"), "line 2: byte 0xef is not UTF-8"),
        ("a.csv", b"a,b\n1,2\n3\n", "record 2, line 3: 1 fields where the header has 2 (a, b): ['3']"),
        ("a.jsonl", b'{"a": 1}\n\n{"a": \n', "record 2, line 3: not JSON"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "record 2, line 2: expected an object"),
        ("a.txt", b" \n", " is empty"),
    ],
)
def test_a_malformed_file_is_named_with_record_and_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        datasets.load(path)
    assert str(path) in str(caught.value)


def test_an_absent_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"no file absent\.txt"):
        datasets.load("absent.txt")
    with pytest.raises(FileNotFoundError, match="no file absent"):
        datasets.load(Path("absent"))


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        ValueError, match="no data set is called 'tinyshakespear'. Did you mean 'tinyshakespeare'"
    ):
        datasets.load("tinyshakespear")
    with pytest.raises(ValueError, match="There are: .*webnlg"):
        datasets.card("imagenet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "validation"}, "sst2 has no split 'validation'; choose from train, dev"),
        ({"n": 0}, "n must be 1 or more records, got 0"),
        ({"seed": 1}, "sst2 has no option seed; it takes none"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        datasets.load("sst2", **arguments)


def test_n_is_refused_for_running_text(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(ValueError, match="n=3 counts records, but this is one running text"):
        datasets.load(tmp_path / "a.txt", n=3)


def test_list_names_every_data_set_and_where_it_is(cache):
    listed = commands.list_datasets()
    assert all(name in listed for name in datasets.names())
    assert str(cache) in listed
    where = {line.split()[0]: line for line in listed.splitlines()}
    assert " absent " in where["sst2"]
    assert " generated " in where["storyworld"]


def test_get_checks_the_files_and_says_where_they_lie(mirrored):
    assert (
        commands.get_dataset("sst2")
        == f"sst2: 2 file(s), 812,316 bytes, checked, in {mirrored} (MINILM_DATA)"
    )
    where = {line.split()[0]: line.split()[3] for line in commands.list_datasets().splitlines()[1:-1]}
    assert (where["tinyshakespeare"], where["e2e"], where["coqa"]) == ("here", "in", "absent")


def test_there_is_nothing_to_get_of_what_is_generated():
    assert "storyworld-triples is generated when it is loaded" in commands.get_dataset("storyworld-triples")


def test_show_prints_the_card():
    assert commands.show_dataset("e2e") == str(datasets.card("e2e"))
