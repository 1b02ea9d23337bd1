"""The picture of a visibility matrix is the matrix: read back from the drawing, cell by cell."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets.drawings import visibility_drawing, visibility_examples, visibility_panels
from lessons.widgets.drawings.inducer import KEYS, QUERIES, share, shares_of_inducers, shares_of_prefix
from lessons.widgets.drawings.labels import visible
from lessons.widgets.drawings.prefix import SCORES, softmax
from lessons.widgets.drawings.visibility import LARGEST, LARGEST_CELLS

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'>&",
    "a\nb\t",
    "\x00\u202e",
    "שלום",
    "`c` $x_1$",
    "</text></svg>",
    "🎉" * 40,
    "",
]

square = st.integers(1, 9).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n, max_size=n)
)


def painted(read, drawing) -> list[tuple[float, float, float, float]]:
    """The rectangles of the cells that are seen: left, top, width, height."""
    path = read(drawing).find("div/svg/path[@class='dr-seen']")
    x, y, found = 0.0, 0.0, []
    for dx, dy, w, h in re.findall(
        r"m(-?[\d.]+) ?(-?[\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z", path.get("d") if path is not None else ""
    ):
        x, y = x + float(dx), y + float(dy)
        found.append((x, y, float(w), float(h)))
    return found


def as_matrix(boxes, n: int, corner: tuple[float, float], side: float) -> list[list[bool]]:
    """Which cells of a grid have their middle in one of the rectangles."""

    def covered(i: int, j: int) -> bool:
        x, y = corner[0] + (j + 0.5) * side, corner[1] + (i + 0.5) * side
        return any(left < x < left + w and top < y < top + h for left, top, w, h in boxes)

    return [[covered(i, j) for j in range(n)] for i in range(n)]


def grid_of(read, tokens, n: int) -> tuple[tuple[float, float], float]:
    """Corner and side of the grid, from the drawing of a full matrix."""
    boxes = painted(read, visibility_drawing([[True] * n] * n, tokens))
    left, top = min(x for x, *_ in boxes), min(y for _, y, *_ in boxes)
    end = max(x + w for x, _, w, _ in boxes)
    return (left, top), (end - left) / n


@given(matrix=square)
@settings(deadline=None, max_examples=40)
def test_the_cells_are_the_matrix(read, matrix):
    n = len(matrix)
    tokens = [f"t{i}" for i in range(n)]
    drawing = visibility_drawing(matrix, tokens)
    corner, side = grid_of(read, tokens, n)
    assert as_matrix(painted(read, drawing), n, corner, side) == matrix
    assert str(sum(map(sum, matrix))) in drawing.caption


def test_a_large_matrix_is_drawn_in_stretches_and_is_the_same(read):
    n = LARGEST
    matrix = torch.rand(n, n, generator=torch.Generator().manual_seed(0)) > 0.5
    tokens = [f"t{i}" for i in range(n)]
    drawing = visibility_drawing(matrix, tokens)
    corner, side = grid_of(read, tokens, n)
    assert as_matrix(painted(read, drawing), n, corner, side) == matrix.tolist()
    assert len(str(drawing).encode()) <= 25_000
    assert n > LARGEST_CELLS


def test_tokens_are_shown_and_never_become_markup(read):
    n = len(HOSTILE)
    drawing = visibility_drawing(torch.ones(n, n).tril().bool(), HOSTILE)
    picture = read(drawing).find("div/svg")
    shown = [each.text or "" for each in picture.findall("text")][: 2 * n]
    assert not picture.findall(".//script")
    for text, by_row, by_column in zip(HOSTILE, shown, shown[n:], strict=False):
        assert by_row == by_column
        assert by_row == visible(text) or visible(text).startswith(by_row.removesuffix("…"))
    assert shown[3].startswith("[U+0000]")


def test_the_words_say_who_sees_whom():
    drawing = visibility_drawing([[True, False], [True, True]], ["the", "boat"])
    assert drawing.description == "the sees the; boat sees the, boat."
    assert drawing.caption == "Who may look at whom: 3 of 4 pairs of tokens may."
    assert visibility_drawing([[False]], ["a"]).description == "a sees nothing."


def test_the_permuted_order_is_that_of_the_paper():
    """XLNet's example: 3 sees nothing but itself, 2 sees 3, 4 sees 3 and 2, 1 sees all."""
    told = visibility_examples().description
    assert "query stream: 1 sees 2, 3, 4; 2 sees 3; 3 sees nothing; 4 sees 2, 3." in told
    assert "content: 1 sees 1, 2, 3, 4; 2 sees 2, 3; 3 sees 3; 4 sees 2, 3, 4." in told


def test_panels_stand_three_in_a_row(read):
    matrices = {f"m{number}": ([[True, False], [True, True]], ["a", "b"]) for number in range(5)}
    drawing = visibility_panels(matrices, caption="Five.")
    grounds = read(drawing).findall("div/svg/rect[@class='dr-ground']")
    assert len({each.get("x") for each in grounds}) == 3
    assert len({each.get("y") for each in grounds}) == 2


@pytest.mark.parametrize(
    ("matrix", "tokens", "message"),
    [
        ([[True, False]], ["a"], "must be a square"),
        ([], [], "must be a square"),
        (torch.ones(2, 3).bool(), ["a", "b"], "must be a square"),
        (torch.ones(2, 2, 2).bool(), ["a", "b"], "must hold booleans"),
        (torch.tensor([[0.5]]), ["a"], "must hold booleans"),
        ([[True]], ["a", "b"], "tokens must be as many as the matrix has rows, 1, not 2"),
        (torch.ones(41, 41).bool(), ["a"] * 41, "at most 40 rows to be drawn, not 41"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(matrix, tokens, message):
    with pytest.raises(ValueError, match=message):
        visibility_drawing(matrix, tokens)


@pytest.mark.parametrize("count", [0, 10])
def test_too_few_or_too_many_panels_are_refused(count):
    with pytest.raises(ValueError, match="matrices must be 1 to 9"):
        visibility_panels({str(n): ([[True]], ["a"]) for n in range(count)}, caption="None.")


def test_the_weights_and_shares_that_are_drawn_are_computed():
    assert sum(softmax(SCORES)) == pytest.approx(1)
    assert all(near > far for near, far in zip(shares_of_inducers(), shares_of_prefix(), strict=True))
    assert share(QUERIES[0], []) == 0
    assert share(KEYS[0], [KEYS[0]]) <= 0.5  # an equal key is there already
