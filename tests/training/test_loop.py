"""The training loop: it learns, obeys, reports, refuses, and changes only what it may."""

from __future__ import annotations

import threading
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch

from minilm.objectives import Batch
from minilm.training import (
    Callback,
    DivergenceError,
    EvaluationRecord,
    RunInfo,
    StepRecord,
    StopFlag,
    TrainingConfig,
    TrainingResult,
    train,
)


class Witness(Callback):
    """Writes down all it is told."""

    def __init__(self):
        self.events: list[object] = []

    def on_start(self, run: RunInfo) -> None:
        self.events.append(run)

    def on_step(self, record: StepRecord) -> None:
        self.events.append(record)

    def on_evaluate(self, record: EvaluationRecord) -> None:
        self.events.append(record)

    def on_end(self, result: TrainingResult) -> None:
        self.events.append(result)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def test_listeners_hear_of_an_error_in_place_of_the_end(model, batches):
    class Told(Witness):
        def on_error(self, error: BaseException) -> None:
            self.events.append(error)

    told, failure = Told(), RuntimeError("the disk is full")

    def fail(model):
        raise failure

    with pytest.raises(RuntimeError, match="the disk is full"):
        train(model, batches, TrainingConfig(steps=3), evaluate=fail, callbacks=[told])
    assert told.kinds() == ["RunInfo", "RuntimeError"]
    assert told.events[-1] is failure


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_pattern_is_learnt(model, batches, optimizer):
    config = TrainingConfig(steps=150, learning_rate=0.01, optimizer=optimizer)
    result = train(model, batches, config, progress=False)
    assert result.records[0].loss > 2.5
    assert result.loss < 1.2
    assert not model.training  # a trained model is handed over ready for use


def test_listeners_hear_everything_in_order(model, batches):
    witness = Witness()
    config = TrainingConfig(steps=3, evaluate_every=2)
    train(model, batches, config, evaluate=lambda model: 1.5, callbacks=[witness], progress=False)
    assert witness.kinds() == [
        "RunInfo",
        "EvaluationRecord",
        "StepRecord",
        "StepRecord",
        "EvaluationRecord",
        "StepRecord",
        "EvaluationRecord",
        "TrainingResult",
    ]
    assert [event.step for event in witness.events if isinstance(event, EvaluationRecord)] == [0, 2, 3]
    assert witness.events[0].n_parameter == sum(parameter.numel() for parameter in model.parameters())


def test_evaluation_sees_the_model_in_eval_mode_and_leaves_it_training(model, batches):
    modes = []
    witness = Witness()
    witness.on_step = lambda record: modes.append(model.training)
    train(
        model,
        batches,
        TrainingConfig(steps=2, evaluate_every=1),
        evaluate=lambda model: float(model.training),
        callbacks=[witness],
        progress=False,
    )
    assert modes == [True, True]


def test_stop_ends_after_the_current_step_and_keeps_what_was_learnt(model, batches):
    stop, witness = StopFlag(), Witness()
    witness.on_step = lambda record: stop.set() if record.step == 4 else None
    before = model.token_embedding.weight.clone()
    result = train(model, batches, TrainingConfig(steps=100), callbacks=[witness], stop=stop, progress=False)
    assert (result.steps, result.stopped) == (4, True)
    assert not torch.equal(before, model.token_embedding.weight)


def test_stop_may_come_from_another_thread(model, batches):
    stop = StopFlag()
    threading.Timer(0.3, stop.set).start()
    result = train(model, batches, TrainingConfig(steps=10**6), stop=stop, progress=False)
    assert result.stopped


def test_compiled_it_learns_the_same(model, batches, monkeypatch):
    """Traced as for any compiler, but run without one: not every machine has it."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    plain, settings = deepcopy(model), TrainingConfig(steps=4, warmup_steps=1, label_smoothing=0.1)
    expected = train(plain, batches, settings)
    found = train(model, batches, replace(settings, compile=True))
    losses = ([record.loss for record in result.records] for result in (expected, found))
    assert next(losses) == pytest.approx(next(losses), abs=1e-6)
    for one, other in zip(plain.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_accumulated_batches_are_one_large_batch(model, batches):
    model.config = model.config  # the same weights for both runs
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for block in model.modules():
        if hasattr(block, "dropout"):
            block.dropout = torch.nn.Identity() if isinstance(block.dropout, torch.nn.Module) else 0.0

    class Joined:
        """Two batches as one, of which the second has fewer targets."""

        def batch(self, index: int) -> Batch:
            parts = [Holes().batch(2 * index + number) for number in range(2)]
            return Batch(
                *(torch.cat(pair) for pair in zip(*((p.tokens, p.targets) for p in parts), strict=True))
            )

    class Holes:
        """Batches of which the odd ones ask for half of their tokens only."""

        def batch(self, index: int) -> Batch:
            batch = batches.batch(index)
            targets = batch.targets.clone()
            if index % 2:
                targets[:, ::2] = -100
            return Batch(batch.tokens, targets)

    weights = []
    for maker, accumulation in ((Holes(), 2), (Joined(), 1)):
        model.load_state_dict(state)
        config = TrainingConfig(steps=3, optimizer="adamw", accumulation=accumulation, learning_rate=1e-3)
        train(model, maker, config, progress=False)
        weights.append([parameter.detach().clone() for parameter in model.parameters()])
    for parts, whole in zip(*weights, strict=True):
        torch.testing.assert_close(parts, whole, atol=2e-5, rtol=1e-4)


def test_frozen_parameters_keep_every_bit(model, batches):
    for parameter in model.blocks[0].parameters():
        parameter.requires_grad_(False)
    before = [parameter.clone() for parameter in model.blocks[0].parameters()]
    train(model, batches, TrainingConfig(steps=5, weight_decay=0.1), progress=False)
    assert all(map(torch.equal, before, model.blocks[0].parameters()))


def test_a_loss_that_is_no_number_is_refused_and_the_weights_stay_finite(model, batches, tmp_path):
    config = TrainingConfig(
        steps=500, learning_rate=1e18, optimizer="adamw", warmup_steps=0, checkpoint_every=1
    )
    with pytest.raises(DivergenceError, match=r"learning_rate=1e\+18.*lower the rates"):
        train(model, batches, config, progress=False, folder=tmp_path)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_nothing_to_train(model, batches):
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        train(model, batches, progress=False)


@pytest.mark.parametrize("batches", [[], [torch.zeros(2, 3)], torch.zeros(2, 3), None])
def test_what_makes_no_batches_is_refused(model, batches):
    with pytest.raises(
        ValueError, match="batches must be a batch maker, not (list|Tensor|NoneType): NextToken"
    ):
        train(model, batches, progress=False)


@pytest.mark.parametrize("stop", [True, 3, "now"])
def test_what_is_no_flag_is_refused(model, batches, stop):
    with pytest.raises(ValueError, match=f"stop must be a StopFlag or None, not {stop!r}"):
        train(model, batches, progress=False, stop=stop)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none(model, batches):
    with pytest.raises(ValueError, match="'cuda' was asked for, but this machine has only"):
        train(model, batches, TrainingConfig(device="cuda"), progress=False)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"steps": 0}, "steps must be a whole number"),
        ({"steps": 6, "cycles": 3}, "cycles=3 need at least 7 steps, not 6"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, not nan"),
        ({"learning_rate": 0}, "learning_rate must be positive, not 0"),
        ({"optimizer": "sgd"}, "optimizer must be one of muon, adamw, not 'sgd'"),
        ({"label_smoothing": 1.0}, "label_smoothing must lie in"),
        ({"weight_decay": -1}, "weight_decay must not be negative"),
    ],
)
def test_settings_out_of_range(setting, complaint):
    with pytest.raises(ValueError, match=complaint):
        TrainingConfig(**setting)


def test_bfloat16_trains_too(model, batches):
    result = train(model, batches, TrainingConfig(steps=60, precision="bfloat16"), progress=False)
    assert result.loss < result.records[0].loss - 0.5


def test_patience_ends_the_run_on_the_best_weights(model, batches):
    losses, weights = iter([3.0, 2.0, 2.5, 2.0, 9.0]), []

    def evaluate(model) -> float:
        weights.append(model.token_embedding.weight.clone())
        return next(losses)

    config = TrainingConfig(steps=100, evaluate_every=2, patience=2)
    result = train(model, batches, config, evaluate=evaluate, progress=False)
    assert (result.steps, result.stopped_early, result.stopped) == (6, True, False)
    assert [record.loss for record in result.evaluations] == [3.0, 2.0, 2.5, 2.0]
    assert torch.equal(model.token_embedding.weight, weights[1])


def test_patience_needs_something_to_wait_for(model, batches):
    with pytest.raises(ValueError, match="patience=2 waits for evaluations"):
        train(model, batches, TrainingConfig(patience=2), progress=False)
