"""All that is needed to continue a run: weights, optimiser and random state in one file, the history beside it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minilm.checkpoints.tensors import read_tensors, write_tensors
from minilm.system.errors import CheckpointError
from minilm.training.early_stopping import load_trained_weights, plain_name, trained_weights
from minilm.training.history import History, is_history, read_history
from minilm.training.identity import Run, describe_difference, warn_of_bits, warn_of_probes
from minilm.training.old_checkpoints import old_identity, old_result
from minilm.training.optimizers import load_optimizer_tensors, optimizer_tensors
from minilm.training.random_states import random_states, set_random_states
from minilm.training.records import TrainingResult

FILE = "checkpoint.safetensors"
VERSION = 2
"""The version of the checkpoint's layout; 1 kept the history in the file and knew less of the run."""
REACHED = {"steps": int, "stopped_early": bool, "seconds": float, "bytes": int, "evaluations": int}
"""What a checkpoint says of its run and of its history."""
ADVICE = "give this run a folder of its own, or pass resume=False to start again"


class OtherRunError(CheckpointError):
    """A checkpoint that is whole, but of another run."""


class Checkpoint:
    """`checkpoint.safetensors` in a run's folder, with the history beside it; make it before the first step."""

    def __init__(self, folder: Path, run: Run):
        self.folder, self.path, self.run = folder, folder / FILE, run
        self.identity, self.bits = run.identity(), run.bits()
        self.history: History | None = None
        self.saved: tuple[int, int, bool] | None = None
        """What the file on disk has reached."""

    def save(self, result: TrainingResult) -> None:
        """Write the history's new lines, then the file that counts them, which takes the old one's place whole.

        All processes of a run must call this together; the first writes.

        Raises:
            CheckpointError: a weight is not finite; the old file stays.
            SaveError: the disk is full or not writable; the old file stays.
        """
        random = random_states(self.run.device, self.run.world)
        reached = (result.steps, len(result.evaluations), result.stopped_early)
        if not self.run.world.is_main or reached == self.saved:
            return
        kinds = {"model": self.finite_weights(), "optimizer": optimizer_tensors(self.run.optimizers)}
        kinds |= {"best": self.run.best.tensors, "random": random}
        is_first = self.history is None
        self.history = self.history or History(self.folder, named_history(self.path))
        self.history.add(result)
        metadata = self.metadata(result, self.history, {kind: len(named) for kind, named in kinds.items()})
        write_tensors(self.path, flat(kinds), metadata)
        self.saved = reached
        if is_first:
            self.history.remove_others()

    def finite_weights(self) -> dict[str, Tensor]:
        """What training changes, if all of it is finite."""
        weights = trained_weights(self.run.model)
        for name, tensor in weights.items():
            if not torch.isfinite(tensor).all():
                raise CheckpointError(
                    f"{name} holds NaN or infinite numbers, so {self.path} was not overwritten"
                )
        return weights

    def metadata(self, result: TrainingResult, history: History, n_tensor: dict[str, int]) -> dict[str, Any]:
        """The metadata stored with the tensors: little, however long the run."""
        reached = {
            "steps": result.steps,
            "stopped_early": result.stopped_early,
            "seconds": result.seconds,
        }
        return {
            "version": VERSION,
            "identity": self.identity,
            "bits": self.bits,
            "config": asdict(self.run.config),
            "result": reached,
            "tensors": n_tensor,
            "history": history.mark(),
        }

    def load(self) -> TrainingResult:
        """Put the file back into model, optimisers and random generators; returns the result reached so far.

        Raises:
            OtherRunError: the checkpoint is of another run; the message names what differs.
            CheckpointError: the file or its history is damaged, or of a newer minilm.
        """
        tensors, metadata = read_tensors(self.path)
        try:
            result = self.read_result(metadata)
            kinds = by_kind(tensors)
            self.refuse_missing(metadata.get("tensors", {}), kinds, result.steps)
            self.load_weights(kinds["model"])
            load_optimizer_tensors(self.run.optimizers, kinds["optimizer"])
            self.run.best.restore(result.evaluations, kinds["best"])
            set_random_states(kinds["random"], self.run.device, self.run.world.rank)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise CheckpointError(
                f"{self.path} is damaged, or written by another version of minilm ({error!r}); {ADVICE}"
            ) from error
        return result

    def read_result(self, metadata: dict[str, Any]) -> TrainingResult:
        """The result reached so far, if the checkpoint is of this very run."""
        if "result" not in metadata:
            raise CheckpointError(
                f"{self.path} is not a training checkpoint of minilm; move it away or choose another folder"
            )
        version = metadata.get("version", 1)
        if version > VERSION:
            raise CheckpointError(
                f"{self.path} has layout {version}, and this minilm knows layouts up to {VERSION}: continue with the "
                "newer minilm"
            )
        theirs, ours = (
            (metadata["identity"], self.identity) if version > 1 else old_identity(metadata, self.run)
        )
        if difference := describe_difference(theirs, ours):
            raise OtherRunError(f"{self.path} is of a run with {difference}: {ADVICE}")
        if version == 1:
            return old_result(metadata)
        result, mark = metadata["result"], metadata["history"]
        found = {**result, **{name: mark[name] for name in ("bytes", "evaluations")}}
        if {name: type(value) for name, value in found.items()} != REACHED or type(mark["steps"]) is not int:
            raise TypeError(f"{found} is not a state of a run")
        self.saved = (result["steps"], mark["evaluations"], result["stopped_early"])
        warn_of_bits(self.path, metadata["bits"], self.bits)
        warn_of_probes(self.run.batches)
        self.history, records, evaluations = read_history(self.folder, mark, self.run.config.steps)
        return TrainingResult(records=records, evaluations=evaluations, **result)

    def refuse_missing(
        self, promised: dict[str, int], kinds: dict[str, dict[str, Tensor]], steps: int
    ) -> None:
        """Raise CheckpointError unless all tensors are there that were written."""
        promised = promised or {"optimizer": 1 if steps else 0, "random": 1}
        for kind, number in promised.items():
            if len(kinds[kind]) < number:
                raise CheckpointError(
                    f"{self.path} has {len(kinds[kind])} of {number} tensors of kind {kind!r}: it is damaged; {ADVICE}"
                )

    def load_weights(self, saved: dict[str, Tensor]) -> None:
        """Into the parameters of their names, if these are the same in number, name and shape."""
        saved = {plain_name(name): tensor for name, tensor in saved.items()}
        weights = trained_weights(self.run.model)
        for name in sorted(saved.keys() | weights.keys()):
            if name not in saved or name not in weights or saved[name].shape != weights[name].shape:
                raise OtherRunError(f"{self.path} is of another model (they differ in {name}): {ADVICE}")
        load_trained_weights(self.run.model, saved)


def steps_reached(folder: Path) -> int:
    """How many steps the run that is kept in a folder has taken; 0 where there is none that can be read."""
    try:
        return int(read_tensors(folder / FILE)[1]["result"]["steps"])
    except (OSError, CheckpointError, KeyError, TypeError):
        return 0


def remove_run(folder: Path) -> None:
    """Delete the checkpoint and histories of a run that is no longer wanted, and the folder, if nothing else is in it."""
    (folder / FILE).unlink(missing_ok=True)
    for path in folder.glob("history-*.jsonl"):
        if is_history(path):
            path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def named_history(path: Path) -> str | None:
    """The history that a checkpoint counts on, if there is a checkpoint that can be read."""
    try:
        return str(read_tensors(path)[1]["history"]["file"])
    except (OSError, CheckpointError, KeyError, TypeError):
        return None


def flat(kinds: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """One mapping for a file, the kind before each name."""
    return {
        f"{kind}.{name}": each.detach().contiguous()
        for kind, named in kinds.items()
        for name, each in named.items()
    }


def by_kind(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors sorted by the word before the first dot of their names, without it."""
    kinds: dict[str, dict[str, Tensor]] = {kind: {} for kind in ("model", "optimizer", "best", "random")}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        kinds[kind][rest] = tensor
    return kinds
