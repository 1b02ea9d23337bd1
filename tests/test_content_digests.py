"""A digest of content changes with any number, letter, kind or shape, and with nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minilm.system.content_digests import MARK, digest

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.booleans() | st.none()
contents = st.recursive(
    numbers | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def spelled(content: object) -> str:
    """The content with its kinds: 1, 1.0 and True are equal, but not the same; a tuple is a list, a mapping its items."""
    if isinstance(content, dict):
        content = [part for item in content.items() for part in item]
    if isinstance(content, list):
        return f"[{', '.join(map(spelled, content))}]"
    return f"{type(content).__name__} {content!r}"


@given(one=contents, other=contents)
def test_digests_are_equal_where_the_contents_are(one, other):
    assert (digest(one) == digest(other)) == (spelled(one) == spelled(other))


@given(ids=st.lists(st.integers(0, 2**40), min_size=1, max_size=50), data=st.data())
def test_one_changed_token_anywhere_is_seen(ids, data):
    place = data.draw(st.integers(0, len(ids) - 1))
    changed = [*ids[:place], ids[place] + 1, *ids[place + 1 :]]
    assert digest(ids) != digest(changed)
    assert digest(torch.tensor(ids)) != digest(torch.tensor(changed))


def test_kind_shape_and_bits_of_a_tensor_count():
    rows = torch.arange(6.0)
    alike = [rows, rows.reshape(2, 3), rows.double(), rows.bfloat16(), rows.long(), rows.numpy()]
    assert len({digest(each) for each in alike}) == len(alike)
    assert digest(torch.tensor([0.0])) != digest(torch.tensor([-0.0]))
    assert digest(rows.reshape(2, 3).T) == digest(rows.reshape(2, 3).T.contiguous())
    assert digest(np.int64(3)) != digest(np.int64(4)) and digest([torch.tensor(3)]).startswith(MARK)


def test_borders_between_lists_count():
    cases = [[[1, 2], [3]], [[1], [2, 3]], [1, 2, 3], [[1, 2, 3]], ["ab", "c"], ["a", "bc"]]
    assert len({digest(each) for each in cases}) == len(cases)


def test_what_knows_its_own_digest_is_known_by_it():
    class OnDisk:
        def __init__(self, digest: str):
            self.digest = digest

    assert digest(OnDisk("a")) == digest(OnDisk("a")) != digest(OnDisk("b"))
    assert digest([OnDisk("a")]) != digest(OnDisk("a"))


def test_what_has_no_content_is_refused():
    with pytest.raises(ValueError, match="no digest of a function"):
        digest([1, digest])
