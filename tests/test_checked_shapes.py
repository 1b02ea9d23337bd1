"""The shapes in signatures are checked in every test: a wrong one is found, and bad input still meets our own errors."""

from __future__ import annotations

import pytest
import torch
from checked_shapes import checked
from core_models import make_model
from jaxtyping import Float, Int
from torch import Tensor

from minilm import generate
from minilm.generation.sampling import stream
from minilm.generation.settings import pick


def rows(
    x: Float[Tensor, "batch time"], numbers: Int[Tensor, " batch"] | None = None
) -> Float[Tensor, " batch"]:
    return x if x.size(1) == 1 else x[:, 0]


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.zeros(2, 1),),  # the result is (2, 1)
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64)),  # two numbers called batch
        (torch.zeros(2, 3), torch.zeros(2)),  # fractions for whole numbers
    ],
)
def test_a_shape_that_is_not_as_annotated_is_found(arguments: tuple[Tensor, ...]) -> None:
    with pytest.raises(AssertionError, match="rows: "):
        checked(rows)(*arguments)


def test_shapes_as_annotated_pass() -> None:
    assert checked(rows)(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)).shape == (2,)
    assert checked(rows)(torch.zeros(2, 3), None).shape == (2,)


@pytest.mark.parametrize("function", [generate, stream, pick])
def test_the_library_under_test_is_checked(function: object) -> None:
    assert hasattr(function, "__wrapped__")


def test_bad_input_meets_the_library_s_own_error() -> None:
    with pytest.raises(ValueError, match=r"non-empty \(batch, time\) tensor"):
        generate(make_model(), torch.tensor([1, 2]), 1)


def test_a_wrong_shape_within_the_library_is_found() -> None:
    with pytest.raises(AssertionError, match="pick: draw is"):
        pick(torch.ones(2, 4), torch.zeros(1))
