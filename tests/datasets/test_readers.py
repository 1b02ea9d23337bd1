"""Readers on small files of each format: what they return, and how they name what is malformed."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm import datasets
from minilm.datasets import DataError, registry
from minilm.datasets.readers import coqa, tables, text, webnlg

ENTRY = """    <entry category="{category}" eid="Id1" size="1">
      <modifiedtripleset>
        <mtriple>{triple}</mtriple>
      </modifiedtripleset>
      <lex comment="good" lid="Id1">{lex}</lex>
    </entry>
"""
SOUND = {"category": "Airport", "triple": "A | servedBy | B &amp; C", "lex": "B &amp; C serves A."}
STORY = {
    "source": "mctest",
    "id": "1",
    "story": "A cat sat.",
    "questions": [{"input_text": "Who sat?", "turn_id": 1}, {"input_text": "A dog?", "turn_id": 2}],
    "answers": [{"input_text": "a cat", "turn_id": 1}, {"input_text": "no", "turn_id": 2}],
}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """A file with this content."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def webnlg_file(folder: Path, *entries: dict[str, str]) -> Path:
    """A WebNLG file; each entry starts six lines after the one before, the first in line 3."""
    body = "".join(ENTRY.format(**SOUND | entry) for entry in entries)
    return write(folder, "x.xml", f"<benchmark>\n  <entries>\n{body}  </entries>\n</benchmark>\n")


def registered(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, **files: tuple[str, bytes]) -> None:
    """Point the register at files (split -> path, content) that lie in a mirror."""
    made = []
    for split, (path, content) in files.items():
        write(folder, path, content)
        sha = hashlib.sha256(content).hexdigest()
        made.append(registry.DataFile(path, split, "https://example.org", sha, len(content)))
    monkeypatch.setitem(registry.cards(), name, replace(registry.card(name), files=tuple(made)))
    monkeypatch.setenv("MINILM_DATA", str(folder))


# --- WebNLG ---------------------------------------------------------------------------------------------------------


def test_webnlg_entry(tmp_path):
    [seen, unseen] = webnlg.entries([webnlg_file(tmp_path, {}, {"category": "Artist"})])
    assert seen.triples == (datasets.Triple("A", "servedBy", "B & C"),)
    assert seen.references == ("B & C serves A.",)
    assert (seen.seen, unseen.seen) == (True, False)


@pytest.mark.parametrize("wrong", [{"triple": "A | servedBy"}, {"lex": " "}, {"category": ""}])
def test_webnlg_malformed_entry_is_named_with_its_line(tmp_path, wrong):
    path = webnlg_file(tmp_path, {}, wrong)
    with pytest.raises(DataError, match=re.escape(f"{path}, record 2, line 9:")):
        webnlg.entries([path])


def test_webnlg_broken_xml_is_named_with_its_line(tmp_path):
    path = write(tmp_path, "x.xml", "<benchmark>\n<entries>\n</benchmark>")
    with pytest.raises(DataError, match=re.escape(f"{path}, line 3: not well-formed XML")):
        webnlg.entries([path])


# --- E2E and other tables -------------------------------------------------------------------------------------------


def test_e2e_meanings(tmp_path):
    path = write(tmp_path, "x.csv", 'mr,ref\n"name[The Eagle], priceRange[£20-25]","Eat, well."\n')
    [record] = tables.meanings(path)
    assert record.slots == (("name", "The Eagle"), ("priceRange", "£20-25"))
    assert record.prompt == "name : The Eagle | priceRange : £20-25"
    assert record.targets == ("Eat, well.",)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("mr,ref\nname[A],x\nname[B,y\n", "record 2, line 3: expected a meaning"),
        ("mr,ref\nname[A],x\nname[B] food[C],y\n", "record 2, line 3: expected a meaning"),
        ("mr,ref\nname[A],x\nname[B],\n", "record 2, line 3: expected a meaning"),
        ('mr,ref\n"name[A]","two\nlines"\nname[B]\n', "record 2, line 4: 1 fields where the header has 2"),
        ('mr,ref\nname[A],x\nname[B],"open\nto the end', "record 2, line 3: unexpected end of data"),
        ("mr,mr\nname[A],x\n", "line 1: the header names a column twice"),
    ],
)
def test_malformed_csv_is_named_with_record_and_line(tmp_path, content, place):
    path = write(tmp_path, "x.csv", content)
    with pytest.raises(DataError, match=re.escape(f"{path}, {place}")):
        tables.meanings(path)


def test_e2e_wants_its_columns(tmp_path):
    with pytest.raises(DataError, match="expected the columns mr and ref, got a, b"):
        tables.meanings(write(tmp_path, "x.csv", "a,b\n1,2\n"))


@pytest.mark.parametrize("line", ["no label", "good\t2", "good\tone", "\t1", "a\tb\t1"])
def test_malformed_sst2_is_named_with_its_line(tmp_path, line):
    path = write(tmp_path, "x.tsv", f"fine\t1\n{line}\n")
    with pytest.raises(DataError, match=re.escape(f"{path}, record 2, line 2")):
        tables.labelled_sentences(path)


# --- CoQA -----------------------------------------------------------------------------------------------------------


def coqa_file(folder: Path, *stories: dict) -> Path:
    """A CoQA file with one story a line, from line 2 on."""
    body = ",\n".join(json.dumps(story) for story in stories)
    return write(folder, "x.json", f'{{"version": "1.0", "data": [\n{body}\n]}}')


def test_coqa_conversation(tmp_path):
    more = {"0": [{"input_text": "the cat", "turn_id": 1}, {"input_text": "no", "turn_id": 2}]}
    [plain, dev] = coqa.conversations(coqa_file(tmp_path, STORY, STORY | {"additional_answers": more}))
    assert [turn.answers for turn in plain.turns] == [("a cat",), ("no",)]
    assert [turn.answers for turn in dev.turns] == [("a cat", "the cat"), ("no", "no")]
    first, second = plain.questions(history=2)
    assert first.history == ()
    assert second.prompt == "A cat sat.\nQ: Who sat?\nA: a cat\nQ: A dog?\nA:"
    assert [question.history for question in plain.questions(history=0)] == [(), ()]
    with pytest.raises(ValueError, match="history must be 0 or more"):
        list(plain.questions(history=-1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"answers": STORY["answers"][:1]},
        {"answers": STORY["answers"][::-1]},
        {"questions": []},
        {"source": None},
    ],
)
def test_coqa_malformed_story_is_named_with_its_line(tmp_path, wrong):
    story = {key: value for key, value in (STORY | wrong).items() if value is not None}
    path = coqa_file(tmp_path, STORY, story)
    with pytest.raises(DataError, match=re.escape(f"{path}, record 2, line 3: not a CoQA story")):
        coqa.conversations(path)


@pytest.mark.parametrize("content", ['{"data": [\n{"story": }\n]}', '{"version": 1}', "[]"])
def test_coqa_broken_json_is_named(tmp_path, content):
    with pytest.raises(DataError, match=r"x\.json, line [12]: "):
        coqa.conversations(write(tmp_path, "x.json", content))


# --- plain text -----------------------------------------------------------------------------------------------------


def test_tinystories_are_separated_and_blank_ones_dropped(tmp_path):
    path = write(
        tmp_path, "x.txt", "\nOne day.\nIt ended.\n<|endoftext|>\n\n<|endoftext|>\nTwo.<|endoftext|>Three.\n"
    )
    assert text.stories(path) == ["One day.\nIt ended.", "Two.", "Three."]
    assert text.stories(path, n=2) == ["One day.\nIt ended.", "Two."]


def test_wikitext_is_read_from_its_archive(tmp_path, monkeypatch):
    archive = tmp_path / "made.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name in ("train", "valid", "test"):
            opened.writestr(f"wikitext-2-raw/wiki.{name}.raw", f" = {name} = \n")
    registered(tmp_path, monkeypatch, "wikitext-2", all=("wikitext-2/x.zip", archive.read_bytes()))
    assert datasets.load("wikitext-2") == " = train = \n"
    assert datasets.load("wikitext-2", split="dev") == " = valid = \n"
    with pytest.raises(ValueError, match="has no split 'all'; choose from train, dev, test"):
        datasets.load("wikitext-2", split="all")


@pytest.mark.parametrize("content", [b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_wikitext_archive_without_its_member_is_named(tmp_path, monkeypatch, content):
    registered(tmp_path, monkeypatch, "wikitext-2", all=("wikitext-2/x.zip", content))
    with pytest.raises(DataError, match=r"x\.zip: cannot read wikitext-2-raw/wiki\.train\.raw"):
        datasets.load("wikitext-2")


def test_sets_outside_the_mirror_load_through_the_same_door(tmp_path, monkeypatch):
    coqa_file(tmp_path, STORY)
    registered(tmp_path, monkeypatch, "coqa", dev=("coqa/d.json", (tmp_path / "x.json").read_bytes()))
    assert [len(c.turns) for c in datasets.load("coqa", split="dev")] == [2]
    registered(tmp_path, monkeypatch, "tinystories", train=("tinystories/t.txt", b"A.<|endoftext|>\nB."))
    assert datasets.load("tinystories", n=1) == ["A."]
    registered(tmp_path, monkeypatch, "e2e", train=("e2e/t.csv", b"mr,ref\nname[A],B\n"))
    assert datasets.load("e2e")[0].reference == "B"


@settings(deadline=None)
@given(st.text(alphabet="ab\n", min_size=1, max_size=300))
def test_the_parts_of_a_text_are_the_text(whole):
    assert "".join(text.part(whole, split) for split in ("train", "dev", "test")) == whole


@settings(deadline=None)
@given(st.lists(st.integers(), max_size=300))
def test_the_parts_of_a_list_are_the_list(whole):
    train, dev, test = (text.part(whole, split) for split in ("train", "dev", "test"))
    assert train + dev + test == whole
    assert len(dev) <= 0.05 * len(whole) + 1
