"""All it takes to go on with a run: weights, optimiser, random state, place in the data, history. One file."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minilm.checkpoints.tensors import CheckpointError, read_tensors, write_tensors
from minilm.objectives.batch import BatchMaker
from minilm.training.config import TrainingConfig
from minilm.training.early_stopping import BestWeights, load_trained_weights, trained_weights
from minilm.training.optimizers import load_optimizer_tensors, optimizer_tensors
from minilm.training.records import EvaluationRecord, StepRecord, TrainingResult


def save_state(
    path: Path,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    config: TrainingConfig,
    batches: BatchMaker,
    result: TrainingResult,
    best: BestWeights,
) -> None:
    """Write the checkpoint atomically; weights that are not finite are refused, and the old file stays."""
    weights = trained_weights(model)
    broken = next((name for name, tensor in weights.items() if not torch.isfinite(tensor).all()), None)
    if broken:
        raise CheckpointError(f"{broken} holds NaN or infinite numbers, so {path} was not overwritten")
    tensors = {f"model.{name}": tensor.detach() for name, tensor in weights.items()} | optimizer_tensors(
        optimizers
    )
    tensors |= {f"best.{name}": tensor for name, tensor in best.tensors.items()}
    tensors |= {f"random.{name}": state for name, state in random_states().items()}
    write_tensors(
        path, tensors, {"config": asdict(config), "data": data_fingerprint(batches), "result": asdict(result)}
    )


def load_state(
    path: Path,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    config: TrainingConfig,
    batches: BatchMaker,
    best: BestWeights,
) -> dict[str, Any]:
    """Put a checkpoint back into model, optimisers and random generators; returns the result reached so far.

    Raises:
        CheckpointError: the file is truncated, or of a run with another model, settings or data.
    """
    tensors, metadata = read_tensors(path)
    if "result" not in metadata:
        raise CheckpointError(
            f"{path} is no training checkpoint of minilm; move it away or choose another folder"
        )
    advice = "give this run a folder of its own, or pass resume=False to begin anew"
    if difference := config.difference(metadata["config"]):
        raise CheckpointError(f"{path} is of a run with {difference}, unlike this one: {advice}")
    if metadata["data"] != data_fingerprint(batches):
        raise CheckpointError(f"{path} is of a run on other data or with other batches: {advice}")
    _load_weights(path, model, tensors, advice)
    load_optimizer_tensors(optimizers, tensors)
    best.tensors = _under("best.", tensors)
    set_random_states(_under("random.", tensors))
    result = metadata["result"]
    result["records"] = [StepRecord(**record) for record in result["records"]]
    result["evaluations"] = [EvaluationRecord(**record) for record in result["evaluations"]]
    return result | {"stopped": False}


def _load_weights(path: Path, model: nn.Module, tensors: dict[str, Tensor], advice: str) -> None:
    saved, weights = _under("model.", tensors), trained_weights(model)
    for name in sorted(saved.keys() | weights.keys()):
        if name not in saved or name not in weights or saved[name].shape != weights[name].shape:
            raise CheckpointError(f"{path} is of another model (they differ in {name}): {advice}")
    load_trained_weights(model, saved)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}


def random_states() -> dict[str, Tensor]:
    """State of every generator that dropout may draw from."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_random_states(states: dict[str, Tensor]) -> None:
    """Put back what `random_states` read; a generator this machine lacks is passed over."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def data_fingerprint(batches: BatchMaker) -> str:
    """A digest of the first batch: other data, sizes or seeds give another."""
    batch = batches.batch(0)
    return hashlib.sha256(batch.tokens.numpy().tobytes() + batch.targets.numpy().tobytes()).hexdigest()
