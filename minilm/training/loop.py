"""The one training loop, for pretraining and for tuning.

    loss of a batch -> gradients -> clip their norm -> optimiser step at the scheduled rate

`train` takes anything with parameters and a forward pass: a `MiniLM`, or a tuned model of which only a few parameters
ask for gradients. It can be watched (callbacks), stopped at any step without losing what was learnt, and killed: with a
folder it continues from its last checkpoint, on a CPU to the very same bits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minilm.objectives.batch import IGNORE, Batch, BatchMaker
from minilm.objectives.registry import objective_of
from minilm.system.devices import autocast, resolve_device
from minilm.training.callbacks import Callback, ProgressBar
from minilm.training.config import TrainingConfig
from minilm.training.distributed import World, join_world, synchronise_later
from minilm.training.early_stopping import BestWeights
from minilm.training.held_out import DivergenceError, look
from minilm.training.identity import Run
from minilm.training.interrupt import StopFlag, interrupt_sets
from minilm.training.optimizers import build_optimizers, groups_of, schedule_factor, set_learning_rate
from minilm.training.records import Records, RunInfo, StepRecord, TrainingResult
from minilm.training.resume import Checkpoint
from minilm.training.run_folder import run_folder


def train(
    model: nn.Module,
    batches: BatchMaker,
    config: TrainingConfig | None = None,
    *,
    evaluate: Callable[[Any], float] | None = None,
    sample: Callable[[Any], str] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    folder: str | Path | None = None,
    resume: bool = True,
    stop: threading.Event | None = None,
) -> TrainingResult:
    """Train the parameters of `model` that require gradients, in place.

    Args:
        batches: `batches.batch(index)` gives the batch of any index, always the same one; `batches.objective`, where there
            is one, says what their loss is.
        evaluate: the loss on held-out text, in nats per token; called every `evaluate_every` steps. Any number will do.
        sample: a text the model makes, shown beside each evaluation.
        callbacks: notified of every step and evaluation; see `minilm.training.callbacks`.
        progress: show a progress bar.
        folder: where `checkpoint.safetensors` and its history are kept; a run that finds its own continues from there.
        resume: False starts again even so.
        stop: set it, from any thread, to end after the current step. Ctrl-C does the same. A stopped run is evaluated once
            more, for the result alone: resumed, it ends as if it had never been stopped.

    Raises:
        DivergenceError: the loss became NaN or infinite; the last checkpoint is intact.
        OtherRunError: the checkpoint in `folder` is of another run; the message names what differs.
        CheckpointError: the checkpoint is damaged, or another process trains in this folder.
        SaveError: the folder cannot be written to.
        ValueError: the device is not there, nothing is trainable, `patience` without `evaluate`, or `evaluate` returned
            no number.
    """
    config = config or TrainingConfig()
    if not hasattr(batches, "batch"):
        raise ValueError(
            f"batches must be a batch maker, not {type(batches).__name__}: NextToken(tokens, ...), say"
        )
    if stop is not None and not hasattr(stop, "is_set"):
        raise ValueError(f"stop must be a StopFlag or None, not {stop!r}: set it to stop the run")
    if config.patience and evaluate is None:
        raise ValueError(
            f"patience={config.patience} waits for evaluations, but train was given no `evaluate`"
        )
    device = resolve_device(config.device)
    with (
        join_world(device) as world,
        run_folder(folder, world.is_main) as kept_in,
        interrupt_sets(stop or StopFlag()) as flag,
    ):
        device = world.local_device(device)
        listeners = [*callbacks, *([ProgressBar()] if progress else [])] if world.is_main else []
        loop = _Loop(model.to(device), batches, config, device, world, listeners, evaluate, sample)
        if kept_in:
            loop.keep(kept_in, resume)
        try:
            return loop.run(flag)
        except BaseException as error:  # an interrupt of the kernel too
            loop.tell("on_error", error)
            raise


class _Loop:
    """One run: what it works with, and what it has reached."""

    def __init__(
        self,
        model: nn.Module,
        batches: BatchMaker,
        config: TrainingConfig,
        device: torch.device,
        world: World,
        listeners: list[Callback],
        evaluate: Callable[[Any], float] | None,
        sample: Callable[[Any], str] | None,
    ):
        self.model, self.batches, self.config, self.device, self.world = model, batches, config, device, world
        self.listeners, self.evaluate, self.sample = listeners, evaluate, sample
        self.optimizers = build_optimizers(
            model.named_parameters(),
            config.optimizer,
            config.learning_rate,
            config.matrix_learning_rate,
            config.weight_decay,
            device,
        )
        self.trained = [parameter for group in groups_of(self.optimizers) for parameter in group["params"]]
        self.parallel = world.wrap(model, device)
        loss = objective_of(batches).loss
        self.loss_of = torch.compile(loss) if config.compile else loss
        self.result = TrainingResult()
        self.best = BestWeights(model, config.patience)
        self.checkpoint: Checkpoint | None = None
        torch.manual_seed(config.seed + world.rank)

    def keep(self, folder: Path, resume: bool) -> None:
        """Keep checkpoints in a folder, and continue from one that is there."""
        run = Run(
            self.model,
            self.batches,
            self.config,
            self.optimizers,
            self.best,
            self.device,
            self.world,
            self.evaluate,
        )
        self.checkpoint = Checkpoint(folder, run)
        if resume and self.checkpoint.path.exists():
            self.result = self.checkpoint.load()

    def run(self, stop: threading.Event) -> TrainingResult:
        """Take all steps, or stop when asked to; in between, evaluations and checkpoints."""
        result, config = self.result, self.config
        started = time.perf_counter() - result.seconds
        self.model.train()
        self.tell("on_start", self.describe())
        while result.steps < config.steps and not result.stopped:
            if result.steps % config.evaluate_every == 0:
                self.evaluate_now()
            result.stopped_early = self.world.any(self.best.exhausted, self.device)
            if result.stopped_early:
                break
            record = self.step(result.steps, started)
            result.add(record)
            result.seconds = time.perf_counter() - started
            self.tell("on_step", record)
            result.stopped = self.world.any(stop.is_set(), self.device) and result.steps < config.steps
            if result.steps % config.checkpoint_every == 0:
                self.save()
        self.finish()
        return result

    def step(self, index: int, started: float) -> StepRecord:
        """One optimiser step: the scheduled rate, gradients of `accumulation` batches, their norm clipped, the update."""
        began, config = time.perf_counter(), self.config
        factor = schedule_factor(index, config.steps, config.warmup_steps, config.schedule, config.cycles)
        set_learning_rate(self.optimizers, factor)

        first = index * config.accumulation
        parts = [self.part(first + number) for number in range(config.accumulation)]
        loss = self.backward(parts)
        norm = float(nn.utils.clip_grad_norm_(self.trained, config.gradient_clip))
        self.refuse_divergence(index, loss, norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        now, n_token = time.perf_counter(), sum(part.tokens.numel() for part in parts) * self.world.size
        rate, speed = factor * config.learning_rate, n_token / (now - began)
        return StepRecord(index + 1, config.steps, loss, rate, norm, speed, now - started)

    def part(self, number: int) -> Batch:
        """The batch of this process for a number counted over all steps."""
        return self.batches.batch(number * self.world.size + self.world.rank).to(self.device)

    def backward(self, parts: list[Batch]) -> float:
        """Gradients of the mean loss over all targets of all parts; returns that loss."""
        counts = [(part.targets != IGNORE).sum() for part in parts]
        total, loss = torch.stack(counts).sum().clamp(min=1), torch.zeros((), device=self.device)
        for number, (part, count) in enumerate(zip(parts, counts, strict=True)):
            last = number == len(parts) - 1
            with torch.enable_grad() if last else synchronise_later(self.parallel):
                with autocast(self.device, self.config.precision):
                    mean = self.loss_of(self.parallel, part, self.config.label_smoothing)
                    share = mean * (count / total)
                share.backward()
            loss += share.detach()
        return self.world.mean(loss).item()

    def refuse_divergence(self, index: int, loss: float, norm: float) -> None:
        """Raise before a step that would write NaN into the weights."""
        if abs(loss) < float("inf") and norm < float("inf"):
            return
        kept = (
            f"the last good checkpoint is {self.checkpoint.path}"
            if self.checkpoint and self.checkpoint.path.exists()
            else "nothing was saved"
        )
        raise DivergenceError(
            f"at step {index + 1} the loss is {loss} and its gradient's norm {norm}, with learning_rate="
            f"{self.config.learning_rate:g} and matrix_learning_rate={self.config.matrix_learning_rate:g}: lower the "
            f"rates or lengthen warmup_steps={self.config.warmup_steps}; {kept}"
        )

    def finish(self) -> None:
        """Take the last evaluation and checkpoint, put back the best weights if asked to, and notify the callbacks."""
        if self.result.stopped:
            self.save()  # first: an evaluation that only a stop asks for is no part of the run
            self.evaluate_now()
        else:
            self.evaluate_now()
            self.save()
        self.best.put_back()
        self.model.eval()
        self.tell("on_end", self.result)

    def evaluate_now(self) -> None:
        """Ask for the held-out loss and a sample, unless this step has had its evaluation."""
        steps = self.result.steps
        done = self.result.evaluations and self.result.evaluations[-1].step == steps
        if done or not self.world.is_main or not (self.evaluate or self.sample):
            return
        record = look(self.model, steps, self.evaluate, self.sample, self.device)
        self.result.evaluations.append(record)
        self.best.note(record)
        self.tell("on_evaluate", record)

    def describe(self) -> RunInfo:
        """What callbacks are given at the start."""
        n_trained = sum(parameter.numel() for parameter in self.trained)
        return RunInfo(
            self.config, n_trained, str(self.device), self.result.steps, Records(self.result.records)
        )

    def tell(self, event: str, news: object) -> None:
        """Notify every callback."""
        for listener in self.listeners:
            getattr(listener, event)(news)

    def save(self) -> None:
        """Write the checkpoint, if this run keeps one."""
        if self.checkpoint:
            self.checkpoint.save(self.result)
