"""What every objective obeys, and that samplers, objectives and the training loop meet in nothing but a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from core_models import make_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minilm import TrainingConfig, objectives, train
from minilm.model.visibility import CAUSAL, FULL, prefix
from minilm.objectives import (
    IGNORE,
    OBJECTIVES,
    CausalLM,
    Documents,
    Example,
    NextToken,
    Objective,
    PackedDocuments,
    PromptTargets,
    RandomWindows,
)
from minilm.training import OtherRunError

TEXT = [place * place % 61 for place in range(300)]


@dataclass(frozen=True)
class HalfHidden(Objective):
    """Every second token, from a drawn place on, becomes token 0 and is asked for; a prefix of a drawn length is open."""

    name: ClassVar[str] = "half-hidden"

    hidden: int = 0
    """The id that stands for a hidden token."""

    def corrupt(self, tokens: Tensor, generator: torch.Generator) -> Example:
        start, n = torch.randint(4, (2,), generator=generator).tolist()
        read, targets = tokens.clone(), torch.full_like(tokens, IGNORE)
        read[start::2], targets[start::2] = self.hidden, tokens[start::2]
        return Example(read, targets, prefix(n))


@pytest.mark.parametrize("objective", [*(make() for make in OBJECTIVES.values()), HalfHidden()])
@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=12), st.integers(0, 99))
def test_an_example_depends_on_text_and_generator_alone(
    objective: Objective, ids: list[int], seed: int
) -> None:
    tokens = torch.tensor(ids)
    one, other = (objective.corrupt(tokens, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert torch.equal(tokens, torch.tensor(ids))
    assert torch.equal(one.tokens, other.tokens)
    assert torch.equal(one.targets, other.targets)
    assert one.tokens.shape == one.targets.shape
    n = len(one.tokens)
    assert torch.equal(one.visibility.matrix(n), other.visibility.matrix(n))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_are_known_by_their_names(name: str) -> None:
    assert OBJECTIVES[name]().name == name
    assert objectives.OBJECTIVES is OBJECTIVES


def test_the_causal_objective_asks_for_the_next_token() -> None:
    example = CausalLM().corrupt(torch.tensor([5, 6, 7]), torch.Generator())
    assert example.tokens.tolist() == [5, 6, 7]
    assert example.targets.tolist() == [6, 7, IGNORE]
    assert example.visibility is CAUSAL


def test_a_batch_of_the_causal_objective_is_its_examples_side_by_side() -> None:
    rows, generator = torch.tensor(TEXT[:24]).view(2, 12), torch.Generator()
    fast, plain = CausalLM().batch(rows, generator), Objective.batch(CausalLM(), rows, generator)
    assert torch.equal(fast.tokens, plain.tokens)
    assert torch.equal(fast.targets, plain.targets)
    assert plain.visibility is CAUSAL


@pytest.mark.parametrize("index", [0, 1, 77])
def test_windows_are_those_of_before_there_were_objectives(index: int) -> None:
    """A run's batches are part of its result: which ones an index means must never change."""
    batch = RandomWindows(TEXT, 8, 4, seed=3).batch(index)
    generator = torch.Generator().manual_seed(3 * 1_000_003 + index)
    starts = torch.randint(len(TEXT) - 8, (4, 1), generator=generator)
    window = torch.tensor(TEXT)[starts + torch.arange(9)]
    assert torch.equal(batch.tokens, window[:, :-1])
    assert torch.equal(batch.targets, window[:, 1:])


def test_former_names_are_the_same_classes_and_checkpoints_know_them() -> None:
    assert (NextToken, Documents, objectives.Completions) == (RandomWindows, PackedDocuments, PromptTargets)
    identity = RandomWindows(TEXT, 8, 4).identity()
    assert set(identity) == {"context_length", "batch_size", "seed", "tokens"}


@pytest.mark.parametrize(
    "make",
    [
        lambda objective: RandomWindows(TEXT, 8, 4, seed=2, objective=objective),
        lambda objective: PackedDocuments([TEXT[:20], TEXT[40:90]], 7, 8, 4, seed=2, objective=objective),
    ],
)
def test_any_objective_makes_batches_of_any_sampler(make) -> None:
    """It reads all tokens of a window, draws anew for each index, and each row keeps its own visibility."""
    sampler, objective = make(HalfHidden()), HalfHidden()
    batch, again = sampler.batch(5), make(HalfHidden()).batch(5)
    assert torch.equal(batch.tokens, again.tokens)
    assert not torch.equal(batch.targets, sampler.batch(6).targets)
    hidden = batch.targets != IGNORE
    assert batch.tokens.shape == (4, 8)
    assert (batch.tokens[hidden] == objective.hidden).all()
    whole = torch.where(hidden, batch.targets, batch.tokens)
    rows = sampler.rows(5, torch.Generator().manual_seed(2 * 1_000_003 + 5))
    assert torch.equal(whole, rows)
    assert batch.visibility.mask(8, 8).shape == (4, 1, 8, 8)
    assert batch.to("cpu").visibility is batch.visibility


@dataclass(frozen=True)
class Counted(HalfHidden):
    """Sees everything, and notes how often its loss was asked for."""

    name: ClassVar[str] = "counted"
    calls: ClassVar[list[float]] = []

    def corrupt(self, tokens: Tensor, generator: torch.Generator) -> Example:
        example = super().corrupt(tokens, generator)
        return Example(example.tokens, example.targets, FULL)

    def loss(self, model, batch, label_smoothing: float = 0.0) -> Tensor:
        assert batch.visibility is FULL
        self.calls.append(label_smoothing)
        return super().loss(model, batch, label_smoothing)


CONFIG = TrainingConfig(steps=3, device="cpu", label_smoothing=0.1, accumulation=2)


def test_the_loop_trains_the_loss_of_the_batches_objective(tmp_path) -> None:
    Counted.calls.clear()
    model = make_model(scale=0.02)
    result = train(
        model, RandomWindows(TEXT, 8, 4, objective=Counted()), CONFIG, progress=False, folder=tmp_path
    )
    assert Counted.calls == [0.1] * 6
    assert result.steps == 3
    for other in (RandomWindows(TEXT, 8, 4), RandomWindows(TEXT, 8, 4, objective=Counted(hidden=1))):
        with pytest.raises(OtherRunError, match="objective"):
            train(make_model(), other, CONFIG, progress=False, folder=tmp_path)


def test_batches_that_name_no_objective_are_trained_causally() -> None:
    class Plain:
        def batch(self, index: int):
            return RandomWindows(TEXT, 8, 4).batch(index)

    losses = [
        [record.loss for record in train(make_model(scale=0.02), maker, CONFIG, progress=False).records]
        for maker in (Plain(), RandomWindows(TEXT, 8, 4))
    ]
    assert losses[0] == losses[1]


def test_what_is_no_objective_is_refused() -> None:
    with pytest.raises(ValueError, match=r"objective must be an Objective such as CausalLM\(\), not the str"):
        RandomWindows(TEXT, 8, 4, objective="causal")
    with pytest.raises(ValueError, match="a text of 7 tokens is too short for windows of 8.*it takes 8"):
        RandomWindows(TEXT[:7], 8, 4, objective=HalfHidden())
    assert len(RandomWindows(TEXT[:8], 8, 4, objective=HalfHidden()).batch(0).tokens) == 4
