"""Spoilt files, with a fixed seed: a reader gives what its file says, or one error that names the file; it never hangs."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from spoiling import spoil, spoil_value

from minilm.datasets import DataError
from minilm.datasets.readers import coqa, malformed, tables, text, webnlg
from minilm.storyworld import StoryWorld
from minilm.storyworld.grammar import GrammarError

resource = pytest.importorskip("resource", reason="this system does not tell how much memory a process took")

CASES = 260
"""Spoilt files a format."""
SECONDS, MEBIBYTES = 10, 1024
"""Seconds of the processor that one file may take, and memory that all together may."""

ROWS = "".join(f'"a, {n}",é日🙂,"two\nlines"\n' for n in range(8))
MEANINGS = "".join(f'"name[The Eagle {n}], food[Fast food]","Eat, well."\n' for n in range(8))
STORY = {
    "source": "mctest",
    "story": 'A cat sat "there".',
    "questions": [{"input_text": "Who sat?", "turn_id": 1}, {"input_text": "A dog?", "turn_id": 2}],
    "answers": [{"input_text": "a cat", "turn_id": 1}, {"input_text": "no", "turn_id": 2}],
    "additional_answers": {"0": [{"input_text": "it", "turn_id": 1}, {"input_text": "nö", "turn_id": 2}]},
}
ENTRY = (
    '<entry category="Food" eid="Id1"><modifiedtripleset><mtriple>A | isOf | B &amp; Ç</mtriple>'
    "</modifiedtripleset><lex>A is of B.</lex></entry>\n"
)
GRAMMAR = """
keywords: [then, because]
agreement:
  she: {he: she}
slots:
  hero: [{text: Mia, agreement: she}, {text: Ann, weight: 2, agreement: she}]
words:
  mood: [glad, sad]
plots:
  lost:
    scenes:
      start: {templates: ["{Hero} was [very|] {mood}."], next: {end: 1, fall: 2}}
      fall: {templates: [{text: "{Hero.he} fell because of {hero}.", facts: ["{hero} | fell | there"]}], next: end}
      end: {templates: ["Then {hero.he} slept."], ending: happy}
"""


def zipped(content: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive with one member, wiki.raw."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", kind) as opened:
        opened.writestr("wiki.raw", content)
    return archive.getvalue()


def decoded(path: Path) -> str:
    """What a file says, by the letter of the readers' promise."""
    return path.read_bytes().decode().lstrip("\ufeff").replace("\r\n", "\n")


def table(path: Path) -> list[dict[str, str]]:
    """A CSV file by the standard library's own reader of dicts."""
    return list(csv.DictReader(io.StringIO(decoded(path), newline=""), strict=True))


def is_text(records: list) -> bool:
    """Whether all that records show is text."""
    shown = [text for each in records for text in (each.prompt, *each.targets)]
    return all(isinstance(each, str) and each for each in shown)


def conversations_hold(path: Path, found: list) -> bool:
    stories = json.loads(decoded(path))["data"]
    said = [
        (
            story["story"],
            [
                [q["input_text"], a["input_text"]]
                for q, a in zip(story["questions"], story["answers"], strict=True)
            ],
        )
        for story in stories
    ]
    return said == [(each.document, [[t.question, t.answers[0]] for t in each.turns]) for each in found]


Reader = Callable[[Path], Any]
Check = Callable[[Path, Any], bool]
FORMATS: dict[str, tuple[bytes, Reader, Check]] = {
    "text.txt": (ROWS.encode(), malformed.read_text, lambda path, found: found == decoded(path)),
    "table.csv": (f"a,b,c\n{ROWS}".encode(), tables.csv_rows, lambda path, found: found == table(path)),
    "table.tsv": (
        ROWS.replace("\n", "").replace(",", "\t").replace('""', '"\n"').encode(),
        tables.csv_rows,
        lambda path, found: all(isinstance(value, str) for row in found for value in row.values()),
    ),
    "lines.jsonl": (
        b'{"text": "one", "n": [1, 2, {"deep": null}]}\n\n' * 6,
        tables.json_lines,
        lambda path, found: (
            repr(found) == repr([json.loads(line) for line in decoded(path).split("\n") if line.strip()])
        ),
    ),
    "e2e.csv": (
        f"mr,ref\n{MEANINGS}".encode(),
        tables.meanings,
        lambda path, found: (
            is_text(found) and [each.reference for each in found] == [r["ref"] for r in table(path)]
        ),
    ),
    "sst2.tsv": (
        "fine , really\t1\nbäd\t0\n".encode() * 8,
        tables.labelled_sentences,
        lambda path, found: (
            "".join(f"{each.text}\t{each.label}\n" for each in found)
            == decoded(path).removesuffix("\n") + "\n"
        ),
    ),
    "coqa.json": (
        json.dumps({"version": "1.0", "data": [STORY] * 3}, indent=1).encode(),
        coqa.conversations,
        conversations_hold,
    ),
    "webnlg.xml": (
        f"<?xml version='1.0' encoding='UTF-8'?>\n<benchmark><entries>\n{ENTRY * 3}</entries></benchmark>".encode(),
        lambda path: webnlg.entries([path]),
        lambda path, found: is_text(found),
    ),
    "stories.txt": (
        "One day.\nIt énded.\n<|endoftext|>\n".encode() * 8,
        text.stories,
        lambda path, found: found == [s.strip() for s in decoded(path).split("<|endoftext|>") if s.strip()],
    ),
    "archive.zip": (
        zipped("Some wörds and more.\n".encode() * 40),
        lambda path: text.archived_text(path, "wiki.raw"),
        lambda path, found: found == zipfile.ZipFile(path).read("wiki.raw").decode(),
    ),
    "grammar.yaml": (
        GRAMMAR.encode(),
        lambda path: StoryWorld(path).sample(2),
        lambda path, found: len(found) == 2 and all(isinstance(each.text, str) for each in found),
    ),
}


STRUCTURES = {
    "coqa.json": {"data": [STORY] * 2},
    "lines.jsonl": {"text": "one", "n": [1, 2, {"deep": None}]},
    "grammar.yaml": yaml.safe_load(GRAMMAR),
}


@contextlib.contextmanager
def guarded(seconds: int) -> Iterator[None]:
    """Interrupts what takes so many seconds of the processor; where the system has no such alarm, nothing does."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} seconds")

    if not hasattr(signal, "SIGPROF"):
        yield
        return
    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def answer(path: Path, read: Reader, check: Check) -> str:
    """ "right" or "told"; anything else is what went wrong."""
    try:
        with guarded(SECONDS):
            found = read(path)
    except (DataError, GrammarError) as error:
        return "told" if str(path) in str(error) else f"no file in {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks for
        return f"{type(error).__name__}: {error}"[:200]
    try:
        return "right" if check(path, found) else f"wrong: {found!r}"[:300]
    except Exception as error:  # noqa: BLE001 - a reference may fail in any way
        return f"accepted, although a reference says {type(error).__name__}: {error}"[:300]


def spoilt(name: str, case: int) -> bytes:
    """The content of a format with random faults: in its bytes, or, of every third JSON or YAML file, in its structure."""
    content, stream = FORMATS[name][0], random.Random(case)
    if case % 3 == 0 and name in STRUCTURES:
        return json.dumps(spoil_value(STRUCTURES[name], stream)).encode()
    return spoil(content, stream)


@pytest.mark.parametrize("name", FORMATS)
def test_a_spoilt_file_is_read_right_or_told(tmp_path, name):
    content, read, check = FORMATS[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert answer(path, read, check) == "right"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: dict[str, list[int]] = {}
    for case in range(CASES):
        path.write_bytes(spoilt(name, case))
        outcomes.setdefault(answer(path, read, check), []).append(case)
    assert outcomes.keys() == {"right", "told"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEBIBYTES * 1024


# Files made to hang, to crash or to fill the memory


def hostile(name: str) -> Iterator[bytes]:
    """What random faults would hardly make."""
    deep, long = 200_000, 300_000
    if name.endswith(("json", "jsonl")):
        yield b"[" * deep
        yield b'{"data": ' * deep
        yield b'{"a": ' + b"[" * deep + b"]" * deep + b"}"
        yield b'{"a": ' + b"9" * long + b"}"
        yield b'{"data": null}'
        yield b'{"data": "abc"}'
        yield b'{"data": {}}'
    if name == "e2e.csv":
        for filler in (b" ", b"a", b"a ", b"[", b"]", b"a[", b"a[b] ", b"\xc2\xa0"):
            yield b'mr,ref\n"' + filler * (long // len(filler)) + b'",text\n'
            yield b'mr,ref\n"a[b],' + filler * (long // len(filler)) + b'x[y]",text\n'
    if name == "grammar.yaml":
        yield b"[" * deep + b"]" * deep
        yield b"- " * deep + b"x"
        yield b"{a: " * deep
        yield b"a: &a [x, x]\n" + b"".join(b"b%d: &b%d [*a, *a]\n" % (n, n) for n in range(200))
        yield GRAMMAR.replace("[very|]", "[a|" * 2000 + "b" + "]" * 2000).encode()
        yield GRAMMAR.replace(
            "[glad, sad]", "[{text: glad, weight: 1e308}, {text: sad, weight: 1e308}]"
        ).encode()
        chain = "".join(
            f"      s{n}: {{templates: [{{Ran.}}], next: s{n + 1}}}\n".replace("{Ran.}", "Ran.")
            for n in range(3000)
        )
        yield GRAMMAR.replace("      end:", f"{chain}      s3000:").replace("next: end", "next: s0").encode()
        yield from (GRAMMAR.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-32-be"))
        yield GRAMMAR.replace("Mia", "Mía").encode("latin-1")
    if name == "webnlg.xml":
        yield b"<a>" * deep + b"</a>" * deep
        yield b"<?xml version='1.0' encoding='klingon'?><a/>"
        yield b"<?xml version='1.0' encoding='utf-7'?><a/>"
        yield "<?xml version='1.0' encoding='utf-16'?><entries><entry/></entries>".encode("utf-16")
        lols = "".join(f"<!ENTITY l{n + 1} '{f'&l{n};' * 10}'>" for n in range(12))
        yield f"<!DOCTYPE a [<!ENTITY l0 'lol'>{lols}]><entries><entry category='&l12;'/></entries>".encode()
    if name == "archive.zip":
        yield zipped(b"a" * 5_000_000)
        yield zipped(b"a" * 5_000_000, zipfile.ZIP_BZIP2)
        yield zipped(b"\xff\xfe text")
        sound = zipped(b"words " * 4000)
        yield sound[: len(sound) // 2] + b"\0" * 20 + sound[len(sound) // 2 + 20 :]
    if name in ("text.txt", "table.csv", "sst2.tsv"):
        yield from (
            FORMATS[name][0].decode().encode(encoding) for encoding in ("utf-16-le", "utf-32-be", "utf-16")
        )
    if name == "table.csv":
        yield b"\xef\xbb\xbf\xef\xbb\xbfa,b\n1,2\n"
        yield b'"' * long
        yield b"a" + b"," * long + b"\n"


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("stories.txt", "table.tsv")])
def test_a_hostile_file_is_read_right_or_told(tmp_path, name, monkeypatch):
    monkeypatch.setattr(text, "MOST_ARCHIVED", 4_000_000)
    _, read, check = FORMATS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, content in enumerate(hostile(name)):
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(content)
        assert answer(path, read, check) in ("right", "told"), (number, content[:60])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEBIBYTES * 1024


def test_a_second_byte_order_mark_is_no_part_of_a_column(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbf\xef\xbb\xbfa,b\n1,2\n")
    assert tables.csv_rows(path) == [{"a": "1", "b": "2"}]
