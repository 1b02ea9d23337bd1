"""The library's texts in plain English: patterns that readers have to read twice do not come back.

Checked are docstrings, documentation of fields, and messages. docs/glossary.md says which word to use instead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[1] / "minilm"
PATTERNS = {
    r"\bmend(s|ed|ing)?\b": "correct, repair",
    r"(?<!there )(?<!There )\b(is|are|was|were) no (?!longer\b|more\b|such\b|other\b|less\b)\w+": "is not a ...",
    r"\bwhich is no\b": "which is not a ...",
    r"\b(of|by|for) whose\b": "a sentence of its own",
    r"\bwhich the same\b": "a sentence of its own",
    r"\bstand(s|ing)? (there|here|for|beside|between|before|after|behind|at|in the(?! way)|in a|twice|within)\b": "is, comes, occurs",
    r"\blies? (?!in [\[(\d])": "is, is kept",
    r"\b(go|goes|going|went) on\b": "continue",
    r"\banew\b": "again",
    r"\bshall\b": "should, will",
    r"\b(no|some)body\b": "a name for who is meant, or the passive",
    r"\bbut by luck\b": "except by luck",
    r"\bin the mean\b": "on average",
    r"\byardsticks?\b": "baseline",
    r"\bdials?\b": "option",
    r"\bthe shelf\b": "the data sets",
    r"\bto be had\b": "available",
    r"\bheard\b": "counts, is weighted",
    r"\bslots? of memory\b": "virtual tokens",
    r"^Of (the|its|a|an|how|those|all|booleans)\b": "a noun first: what it is",
    r"^The same,": "say what it is, for a reader who has not seen the line before",
    r"(^|[.:] )Who (takes|shows|reads|listens)\b": "a noun: a model that ..., a reader that ...",
}
"""Pattern -> what to write instead."""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string of several words."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def faults(text: str) -> list[str]:
    """What a text holds of the patterns, each with the advice."""
    return [
        f"{match[0]!r}: write {advice}"
        for pattern, advice in PATTERNS.items()
        for match in re.finditer(pattern, text, re.MULTILINE)
    ]


@pytest.mark.parametrize(
    "path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: str(path.relative_to(LIBRARY))
)
def test_texts_are_plain(path: Path) -> None:
    assert [f"{path.name}:{line} {fault}" for line, text in texts(path) for fault in faults(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "MINILM_DATA names x, which is no folder; mend it",
        "The whole run, of whose end every listener hears",
        "Something stands there",
        "Files lie beside it",
        "a run that goes on",
        "Of how many.",
        "Who shows a text collects bytes",
    ],
)
def test_the_worst_patterns_are_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    ["top_p must lie in (0, 1]", "there is no such file", "this is no longer needed", "it takes no argument"],
)
def test_plain_sentences_pass(text: str) -> None:
    assert not faults(text)


def test_the_glossary_names_files_that_exist() -> None:
    page = (LIBRARY.parent / "docs" / "glossary.md").read_text(encoding="utf-8")
    files = re.findall(r"`(minilm/[\w/]+\.py)`", page)
    assert len(files) > 30
    assert [name for name in files if not (LIBRARY.parent / name).is_file()] == []
