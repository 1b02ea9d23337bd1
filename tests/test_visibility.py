"""Who may look at whom: the rules as matrices, over a cache, beside virtual tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minilm.model.visibility import CAUSAL, FULL, REVERSED, Visibility, permuted, prefix, within

SIZES = st.integers(1, 7)


def by_hand(n: int, sees) -> torch.Tensor:
    """(n, n) booleans, one pair at a time."""
    return torch.tensor([[bool(sees(i, j)) for j in range(n)] for i in range(n)])


@given(SIZES, st.integers(0, 8))
def test_the_rules_as_matrices(n, m):
    assert torch.equal(CAUSAL.matrix(n), by_hand(n, lambda i, j: j <= i))
    assert torch.equal(FULL.matrix(n), by_hand(n, lambda i, j: True))
    assert torch.equal(REVERSED.matrix(n), by_hand(n, lambda i, j: j >= i))
    # the published form counts from 1: j <= max(i, n)
    assert torch.equal(prefix(m).matrix(n), by_hand(n, lambda i, j: j + 1 <= max(i + 1, m)))


@given(st.integers(1, 7).flatmap(lambda n: st.permutations(range(n))))
def test_a_permuted_order_shows_what_comes_earlier_in_it(order):
    n, place = len(order), {position: at for at, position in enumerate(order)}
    content, query = (permuted(order, sees_itself=each).matrix(n) for each in (True, False))
    assert torch.equal(content, by_hand(n, lambda i, j: place[j] <= place[i]))
    assert torch.equal(query, content & ~torch.eye(n, dtype=torch.bool))


def test_xlnets_figure():
    """The order 3, 2, 4, 1 (counted from 1): 3 sees nothing, 2 sees 3, 4 sees 3 and 2, 1 sees all others."""
    query = permuted([2, 1, 3, 0], sees_itself=False).matrix(4)
    assert [row.nonzero().flatten().add(1).tolist() for row in query] == [[2, 3, 4], [3], [], [2, 3]]


@given(SIZES, SIZES, st.integers(0, 3), st.sampled_from([CAUSAL, FULL, REVERSED, prefix(2)]))
def test_newer_positions_over_a_cache_and_virtual_tokens(n_query, n_before, n_virtual, visibility):
    n = n_before + n_query
    mask = visibility.over(n_virtual).mask(n_query, n_virtual + n)
    assert mask[:, :n_virtual].all()
    assert torch.equal(mask[:, n_virtual:], visibility.matrix(n)[n_before:])


def test_documents_in_one_row_do_not_see_each_other():
    documents = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]])
    mask = within(documents).mask(4, 4)
    assert mask.shape == (2, 1, 4, 4)
    for numbers, seen in zip(documents, mask[:, 0], strict=True):
        own = by_hand(4, lambda i, j, of=numbers: j <= i and of[i] == of[j])
        assert torch.equal(seen, own)
    with pytest.raises(ValueError, match="differs from row to row"):
        within(documents).matrix(4)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: prefix(-1), "n must be 0 or more"),
        (lambda: permuted([0, 2], sees_itself=True), "permutation of 0 .. 1"),
        (lambda: permuted([0, 0], sees_itself=True), "permutation"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_visibility_of_ones_own():
    band = Visibility("the two before", lambda query, key: (key <= query) & (key > query - 2))
    assert torch.equal(band.matrix(4), by_hand(4, lambda i, j: i - 2 < j <= i))
