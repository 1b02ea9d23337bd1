"""Records in lines: CSV, tab-separated values, JSON Lines; and the two data sets that come so, E2E and SST-2."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minilm.datasets.integrity import DataError
from minilm.datasets.readers.malformed import malformed, read_json, read_text
from minilm.datasets.records import LabelledSentence, MeaningText

SLOT = re.compile(r"\s*+([^,\[\]]++)\[([^\]]*+)\]\s*+(?:,|\Z)")
"""One slot of an E2E meaning, e.g. `name[The Eagle]`, and the comma after it. It never goes back, so it takes linear time."""


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV (or, by its suffix, TSV) file, each as a dict from column to value.

    The first line names the columns. TSV is read without quoting, as it is usually written.

    Raises:
        DataError: a row has too few or too many fields, or a quote is left open.
    """
    return [row for _, _, row in numbered_rows(path)]


def numbered_rows(path: Path) -> Iterator[tuple[int, int, dict[str, str]]]:
    """(record number, its first line, row as a dict), each row checked for its number of fields."""
    rows = raw_rows(path)
    _, columns = next(rows)
    if len(set(columns)) < len(columns):
        raise malformed(path, None, 1, f"the header names a column twice: {', '.join(columns)}")
    for record, (line, row) in enumerate((pair for pair in rows if pair[1]), start=1):
        if len(row) != len(columns):
            what = f"{len(row)} fields where the header has {len(columns)} ({', '.join(columns)}): {row!r}"
            raise malformed(path, record, line, what)
        yield record, line, dict(zip(columns, row, strict=True))


def raw_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(first line of the row, its fields) for each row, the header included."""
    text = io.StringIO(read_text(path), newline="")
    if path.suffix == ".tsv":
        rows = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        rows = csv.reader(text, strict=True)
    record, line = 0, 1
    try:
        for row in rows:
            yield line, row
            record, line = record + 1, rows.line_num + 1
    except csv.Error as error:
        raise malformed(path, record, line, str(error)) from error


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file, one a line; blank lines are passed over.

    Raises:
        DataError: a line is not a JSON object.
    """
    numbered = (
        (line, text) for line, text in enumerate(read_text(path).split("\n"), start=1) if text.strip()
    )
    return [json_object(path, record, line, text) for record, (line, text) in enumerate(numbered, start=1)]


def json_object(path: Path, record: int, line: int, text: str) -> dict[str, Any]:
    """One line as a JSON object."""
    value = read_json(path, record, line, text)
    if not isinstance(value, dict):
        raise malformed(
            path, record, line, f'expected an object such as {{"text": "..."}}, got {text[:80]!r}'
        )
    return value


def meanings(path: Path) -> list[MeaningText]:
    """The pairs of an E2E file, whose columns are `mr` and `ref`.

    Raises:
        DataError: other columns, or a meaning that is not `slot[value], slot[value], ...`.
    """
    return [meaning(path, record, line, row) for record, line, row in numbered_rows(path)]


def meaning(path: Path, record: int, line: int, row: dict[str, str]) -> MeaningText:
    """One row of an E2E file."""
    if set(row) != {"mr", "ref"}:
        raise DataError(f"{path}: expected the columns mr and ref, got {', '.join(row)}")
    slots, end = [], 0
    while (found := SLOT.match(row["mr"], end)) and end < len(row["mr"]):
        slots.append((found[1].strip(), found[2].strip()))
        end = found.end()
    if end < len(row["mr"]) or not slots or not row["ref"]:
        what = f"expected a meaning `slot[value], ...` and a reference, got {row['mr']!r}, {row['ref']!r}"
        raise malformed(path, record, line, what)
    return MeaningText(tuple(slots), row["ref"])


def labelled_sentences(path: Path) -> list[LabelledSentence]:
    """The lines of an SST-2 file, `sentence TAB label`, without a header.

    Raises:
        DataError: a line has another shape, or its label is neither 0 nor 1.
    """
    lines = read_text(path).removesuffix("\n").split("\n")
    return [labelled_sentence(path, number, line) for number, line in enumerate(lines, start=1)]


def labelled_sentence(path: Path, number: int, line: str) -> LabelledSentence:
    """One line of an SST-2 file."""
    text, tab, label = line.partition("\t")
    if not text or not tab or label not in ("0", "1"):
        raise malformed(path, number, number, f"expected a sentence, a tab, and 0 or 1, got {line!r}")
    return LabelledSentence(text, int(label))
