"""Reading YAML so that every complaint names its line: a thin layer over PyYAML's nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import yaml

from minilm.storyworld.grammar import GrammarError
from minilm.text.pieces import TextError, read_chunks

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is built in: ten times as fast

DEEPEST = 50
"""Lists and mappings in each other that a file may have; a grammar needs eight."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A YAML node and the file it stands in; each accessor checks the node's kind."""

    node: yaml.Node
    source: str

    @property
    def line(self) -> int:
        """The line where it begins, counted from 1."""
        return int(self.node.start_mark.line) + 1

    def error(self, message: str) -> GrammarError:
        """The complaint to raise about this entry."""
        return GrammarError(self.source, self.line, message)

    def is_mapping(self) -> bool:
        """Whether it holds `key: value` entries."""
        return isinstance(self.node, yaml.MappingNode)

    def is_list(self) -> bool:
        """Whether it holds `- entry` or `[entry, ...]`."""
        return isinstance(self.node, yaml.SequenceNode)

    def text(self) -> str:
        """A non-empty scalar as it is written (`no` stays "no")."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value:
            raise self.error("expected a word or a text here")
        return str(self.node.value)

    def name(self) -> str:
        """A scalar that can stand in braces: a lower-case letter, then letters, digits and underscores."""
        text = self.text()
        if not (text.isidentifier() and text[0].islower()):
            raise self.error(f"{text!r} is not a name: a lower-case letter, then letters, digits or '_'")
        return text

    def weight(self) -> float:
        """A finite number that is not negative."""
        try:
            value = float(self.text())
        except ValueError:
            raise self.error(f"a weight must be a number, not {self.text()!r}") from None
        if value < 0 or not math.isfinite(value):
            raise self.error(f"a weight must be a number that is not negative, not {self.text()}")
        return value

    def items(self) -> list[Entry]:
        """The entries of a list that is not empty."""
        if not self.is_list() or not self.node.value:
            raise self.error("expected a list with at least one entry")
        return [Entry(node, self.source) for node in self.node.value]

    def fields(self, *known: str) -> dict[str, Entry]:
        """The entries of a mapping by key; with `known`, no other key may stand in it."""
        pairs = {key.text(): value for key, value in self.pairs()}
        for key, _ in self.pairs():
            if known and key.text() not in known:
                raise key.error(f"unknown key {key.text()!r}; known here: {', '.join(known)}")
        return pairs

    def pairs(self) -> list[tuple[Entry, Entry]]:
        """The (key, value) entries of a mapping that is not empty, its keys all different."""
        if not self.is_mapping() or not self.node.value:
            raise self.error("expected 'key: value' entries here")
        pairs = [(Entry(key, self.source), Entry(value, self.source)) for key, value in self.node.value]
        seen = set()
        for key, _ in pairs:
            if key.text() in seen:
                raise key.error(f"{key.text()!r} occurs here twice")
            seen.add(key.text())
        return pairs

    def require(self, *keys: str) -> None:
        """Complain about the first of `keys` that this mapping lacks."""
        present = {key.text() for key, _ in self.pairs()}
        for key in keys:
            if key not in present:
                raise self.error(f"'{key}:' is missing here")


def _check_depth(text: str, source: str) -> None:
    """Refuse lists in lists without end, which would end the process: libyaml builds them by recursion, unchecked."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise GrammarError(source, event.start_mark.line + 1, f"nested more than {DEEPEST} deep")


def read(text: str, source: str) -> Entry:
    """The root entry of a YAML text; a syntax error names its line."""
    try:
        _check_depth(text, source)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise GrammarError(source, line, f"not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise GrammarError(source, 1, f"not valid YAML: {str(error).splitlines()[0]}") from error
    if node is None:
        raise GrammarError(source, 1, "the file is empty")
    return Entry(node, source)


def read_file(path: Path) -> str:
    """The text of a grammar file.

    Raises:
        FileNotFoundError: there is no such file.
        GrammarError: it is not UTF-8; the line is named.
    """
    try:
        return "".join(read_chunks(path))
    except TextError as error:
        raise GrammarError(str(path), error.line or 1, error.reason) from None
