"""Looking at held-out text changes nothing: no random number is used up, and a look that a stop asks for does not count."""

from __future__ import annotations

import os
import signal
from fractions import Fraction

import numpy as np
import pytest
import torch

from minilm.evaluation.perplexity import mean_loss
from minilm.objectives import NextToken
from minilm.training import Callback, RunInfo, StopFlag, TrainingConfig, train


class After(Callback):
    """Does something after a step."""

    def __init__(self, step: int, deed):
        self.step, self.deed = step, deed

    def on_start(self, run: RunInfo) -> None:
        if self.step == 0:
            self.deed()

    def on_step(self, record) -> None:
        if record.step == self.step:
            self.deed()


@pytest.mark.parametrize(
    "number",
    [
        1.5,
        Fraction(3, 2),
        np.float32(1.5),
        np.array(1.5),
        torch.tensor(1.5),
        torch.tensor([1.5], requires_grad=True),
    ],
)
def test_any_number_will_do_and_is_a_float_at_once(model, batches, tmp_path, number):
    result = train(
        model, batches, TrainingConfig(steps=1), evaluate=lambda _: number, progress=False, folder=tmp_path
    )
    assert [type(each.loss) for each in result.evaluations] == [float, float]
    again = train(model, batches, TrainingConfig(steps=1), evaluate=None, progress=False, folder=tmp_path)
    assert [each.loss for each in again.evaluations] == [1.5, 1.5]


def test_whole_numbers_are_numbers(model, batches):
    result = train(model, batches, TrainingConfig(steps=1), evaluate=lambda _: np.int64(3), progress=False)
    assert result.evaluations[0].loss == 3.0 and isinstance(result.evaluations[0].loss, float)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "1.5",
        True,
        np.bool_(True),
        torch.tensor(True),
        torch.ones(2),
        np.ones(2),
        [1.5],
        1j,
        torch.tensor(1j),
    ],
)
def test_anything_else_is_one_error_before_the_first_step(model, batches, tmp_path, value):
    steps = []
    listener = Callback()
    listener.on_step = steps.append
    with pytest.raises(ValueError, match="evaluate must return one number, the loss in nats per token, not"):
        train(
            model, batches, TrainingConfig(steps=3), evaluate=lambda _: value,
            callbacks=[listener], progress=False, folder=tmp_path,
        )  # fmt: skip
    assert steps == []


def test_a_sample_is_a_text(model, batches):
    with pytest.raises(ValueError, match="sample must return a text, not list"):
        train(model, batches, TrainingConfig(steps=3), sample=lambda _: ["a", "b"], progress=False)


def test_random_numbers_of_an_evaluation_are_its_own(model, batches):
    """The model has dropout, so one number too many would change all that is learnt."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def trained(evaluate_every: int) -> list[torch.Tensor]:
        model.load_state_dict(state)
        config = TrainingConfig(steps=6, evaluate_every=evaluate_every)
        train(model, batches, config, evaluate=lambda _: torch.rand(9).sum(), progress=False)
        return [parameter.detach().clone() for parameter in model.parameters()]

    assert all(map(torch.equal, trained(1), trained(100)))


PATIENT = TrainingConfig(
    steps=60, evaluate_every=7, patience=2, warmup_steps=3, learning_rate=0.03, matrix_learning_rate=0.1
)


@pytest.fixture
def patient_run(model, batches):
    """Trains the same model with patience, evaluated on its text; returns the result and the weights at the end."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    held_out = [NextToken([place**3 % 17 for place in range(99)], 8, 4).batch(0)]

    def run(**options) -> tuple:
        model.load_state_dict(state)
        result = train(
            model, batches, PATIENT, evaluate=lambda m: mean_loss(m, held_out), progress=False, **options
        )
        return result, [parameter.detach().clone() for parameter in model.parameters()]

    return run


@pytest.fixture
def uninterrupted(patient_run):
    """What the run comes to that nobody stops: it ends early, with weights that are not its last."""
    result, weights = patient_run()
    assert result.stopped_early and 14 <= result.steps < 60
    return result, weights


@pytest.mark.parametrize("moments", [(1, 2, 3), (6, 7, 8), (7, 14), (13, 13)])
@pytest.mark.parametrize("by", ["flag", "Ctrl-C"])
def test_stopped_with_patience_and_resumed_it_ends_the_same(
    patient_run, uninterrupted, tmp_path, moments, by
):
    for moment in moments:
        flag = StopFlag()
        deed = flag.set if by == "flag" else lambda: os.kill(os.getpid(), signal.SIGINT)
        part, _ = patient_run(folder=tmp_path, stop=flag, callbacks=[After(moment, deed)])
        assert part.stopped == (part.steps == moment) and part.evaluations[-1].step == part.steps
    result, weights = patient_run(folder=tmp_path)
    expected, best = uninterrupted
    assert result.evaluations == expected.evaluations
    assert (result.steps, result.stopped_early) == (expected.steps, True)
    assert [each.loss for each in result.records] == [each.loss for each in expected.records]
    assert all(map(torch.equal, weights, best))


def test_a_stopped_run_hands_over_the_best_of_what_it_saw(model, batches):
    """Also when that is what the stop's own evaluation saw."""
    for last, wanted in ((0.5, 2), (9.0, 1)):
        losses, seen, flag = iter([3.0, 1.0, last]), [], StopFlag()

        def evaluate(model, losses=losses, seen=seen) -> float:
            seen.append(model.token_embedding.weight.detach().clone())
            return next(losses)

        config = TrainingConfig(steps=9, evaluate_every=2, patience=5)
        train(
            model,
            batches,
            config,
            evaluate=evaluate,
            progress=False,
            stop=flag,
            callbacks=[After(3, flag.set)],
        )
        assert torch.equal(model.token_embedding.weight, seen[wanted])


@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), -float("inf")])
def test_an_evaluation_that_is_no_number_is_never_the_best(model, batches, nothing):
    losses, weights = iter([nothing, 3.0, nothing, 4.0, 9.0]), []

    def evaluate(model) -> float:
        weights.append(model.token_embedding.weight.detach().clone())
        return next(losses)

    config = TrainingConfig(steps=100, evaluate_every=2, patience=2)
    with pytest.warns(UserWarning, match=f"evaluate returned {nothing} after step 0: .* never the best"):
        result = train(model, batches, config, evaluate=evaluate, progress=False)
    assert (result.steps, result.stopped_early) == (6, True)
    assert torch.equal(model.token_embedding.weight, weights[1])


@pytest.mark.filterwarnings("ignore:evaluate returned")
def test_without_any_number_the_run_goes_to_its_end_and_keeps_its_weights(model, batches):
    before = model.token_embedding.weight.detach().clone()
    config = TrainingConfig(steps=8, evaluate_every=1, patience=2)
    result = train(model, batches, config, evaluate=lambda _: float("nan"), progress=False)
    assert (result.steps, result.stopped_early) == (8, False)
    assert not torch.equal(model.token_embedding.weight, before)
