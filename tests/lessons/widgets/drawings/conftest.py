"""What the tests of drawings share: a drawing read as XML."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest


@pytest.fixture(name="read", scope="session")
def read_fixture():
    """`read(drawing)`: the page's element, parsed as XML, which is stricter than HTML."""
    return lambda drawing: ElementTree.fromstring(str(drawing))
