"""What all tests of views share: a parser that finds what a browser would find in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

VOID = {"br", "hr", "path", "rect", "line", "circle"}


@dataclass
class Page(HTMLParser):
    """Elements, attributes and text of a view; refuses elements that are not closed in order."""

    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    text: str = ""
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


def read(view: str) -> Page:
    """Parse a view, and hold it to what every view must be."""
    page = Page()
    page.feed(str(view))
    page.close()
    assert page.open == []
    assert "script" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert not any(name in ("src", "href", "xlink:href") for name, _ in page.attributes)
    assert dict(page.attributes[:2])["aria-label"], "a view says in words what it shows"
    assert len(view.encode()) <= 150_000
    return page


@pytest.fixture(name="read", scope="session")
def read_fixture():
    """`read(view)`: its elements, attributes and text."""
    return read
