"""WebNLG 2017 challenge: XML files of entries, each a set of triples with the texts that people wrote for it.

An entry lists the triples twice: as DBpedia has them, and as they were shown to the writers. The second, the
"modified" set, is the input of the challenge.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from minilm.datasets.readers.malformed import malformed
from minilm.datasets.records import Triple, TripleText

SEEN = frozenset(
    {"Airport", "Astronaut", "Building", "City", "ComicsCharacter"}
    | {"Food", "Monument", "SportsTeam", "University", "WrittenWork"}
)
"""The categories of the training split."""


def entries(paths: Iterable[Path]) -> list[TripleText]:
    """The entries of all files, in the order given.

    Raises:
        DataError: a file is not XML, or an entry lacks its triples, texts or category.
    """
    return [entry for path in paths for entry in entries_of(path)]


def entries_of(path: Path) -> list[TripleText]:
    """The entries of one file."""
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise malformed(path, None, error.position[0], f"not well-formed XML: {error}") from error
    except (
        LookupError,
        ValueError,
    ) as error:  # an encoding that Python does not know, or that XML cannot have
        raise malformed(
            path, None, 1, f"its encoding cannot be read: {error}; save the file as UTF-8"
        ) from error
    return [entry(path, record, element) for record, element in enumerate(root.iter("entry"), start=1)]


def entry(path: Path, record: int, element: ET.Element) -> TripleText:
    """One entry as a record."""
    triples = tuple(
        triple(path, record, item.text or "") for item in element.iterfind("modifiedtripleset/mtriple")
    )
    references = tuple((lex.text or "").strip() for lex in element.iterfind("lex"))
    category = element.get("category")
    if not triples or not references or not all(references) or not category:
        what = (
            f"needs a category, an mtriple and a non-empty lex, got {category!r}, {triples!r}, {references!r}"
        )
        raise malformed(path, record, line_of(path, record), what)
    return TripleText(triples, references, category, seen=category in SEEN)


def triple(path: Path, record: int, text: str) -> Triple:
    """`subject | relation | object` as a Triple."""
    parts = text.strip().split(" | ")
    if len(parts) != 3:
        raise malformed(
            path, record, line_of(path, record), f"expected `subject | relation | object`, got {text!r}"
        )
    return Triple(*parts)


def line_of(path: Path, record: int) -> int:
    """The line where the entry of that number starts, 1 if it is unknown. (ElementTree keeps no lines; only error messages need them.)"""
    data = path.read_bytes()
    starts = [found.start() for found in re.finditer(rb"<entry[\s/>]", data)]  # none in UTF-16
    return data.count(b"\n", 0, starts[record - 1]) + 1 if len(starts) >= record else 1
