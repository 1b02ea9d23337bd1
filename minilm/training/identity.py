"""What a run is: everything that decides its course, by name, so that a checkpoint is never taken for another run's.

Models and batch makers may offer `identity() -> dict`: their settings by name, and digests of what they hold. The identity
of a run joins these to its own settings. Kept apart are the facts that move only the last bits of its numbers, such as
the number of threads: they may change, and that is said.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import torch
from torch import Tensor, nn

from minilm.objectives.batch import Batch, BatchMaker
from minilm.system.content_digests import MARK, digest
from minilm.system.devices import resolve_precision
from minilm.training.config import TrainingConfig
from minilm.training.distributed import World
from minilm.training.early_stopping import BestWeights, plain_name, trained_weights

HARMLESS = {"device", "compile", "checkpoint_every"}
"""Settings that do not decide what is learnt."""
PROBES = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)
"""Indices of the batches that represent a batch maker without an `identity`, with that of the run's last."""
ABSENT = "nothing"
"""How a message writes what one of two runs does not have."""


@dataclass(frozen=True)
class Run:
    """The live objects of one run, from which it knows what it is, and which a checkpoint is written from."""

    model: nn.Module
    batches: BatchMaker
    config: TrainingConfig
    optimizers: list[torch.optim.Optimizer]
    best: BestWeights
    device: torch.device
    world: World
    evaluate: Callable[[Any], float] | None = None

    def identity(self) -> dict[str, Any]:
        """All that decides the run, as JSON gives it back; ask before the first step.

        Raises:
            ValueError: an `identity()` holds what JSON does not.
        """
        config, n_process = self.config, self.world.size
        shapes = {name: f"{list(t.shape)} {t.dtype}" for name, t in trained_weights(self.model).items()}
        held_out: Any = self.evaluate if config.patience and offers_identity(self.evaluate) else None
        found = {
            "model": model_identity(self.model),
            "trained": shapes,
            "frozen weights": frozen_digest(self.model),
            "settings": settings_identity(asdict(config), self.device),
            "batches": batches_identity(self.batches, config.steps * config.accumulation * n_process),
            "held-out text": held_out and held_out.identity(),
            "processes": n_process,
        }
        try:
            identity: dict[str, Any] = json.loads(json.dumps(found))
            return identity
        except TypeError as error:
            raise ValueError(f"identity() must hold texts, numbers, lists and dicts only: {error}") from None

    def bits(self) -> dict[str, Any]:
        """What moves only the last bits of its numbers."""
        threads = {"threads": torch.get_num_threads()} if self.device.type == "cpu" else {}
        compiled = self.config.compile or hasattr(self.model, "_orig_mod")
        return {"device": self.device.type, "compiled": compiled, "torch": torch.__version__, **threads}


def offers_identity(thing: object) -> bool:
    """Whether a model, a batch maker or an evaluation says itself what it is."""
    return callable(getattr(thing, "identity", None))


def model_identity(model: nn.Module) -> dict[str, Any]:
    """What a model says of itself; of one that says nothing, its class."""
    plain: Any = getattr(model, "_orig_mod", model)
    identity: dict[str, Any] = plain.identity() if offers_identity(plain) else {"class": type(plain).__name__}
    return identity


def frozen_digest(model: nn.Module) -> str:
    """A digest of the parameters that training does not change, and so no checkpoint keeps."""
    frozen = {n: weight for n, weight in model.named_parameters() if not weight.requires_grad}
    return digest({plain_name(name): weight for name, weight in frozen.items()})


def settings_identity(settings: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Training settings that decide the result, from those of a config or of an older checkpoint's.

    "auto" becomes the precision that it means on the device. How often held-out text is looked at matters only where that
    may end the run.
    """
    defaults = {field.name: field.default for field in fields(TrainingConfig)}
    kept = {name: value for name, value in {**defaults, **settings}.items() if name not in HARMLESS}
    if not kept["patience"]:
        del kept["evaluate_every"]
    return kept | {"precision": resolve_precision(device, kept["precision"])}


def batches_identity(batches: BatchMaker, n_batch: int) -> dict[str, Any]:
    """What a batch maker says of itself; of one that says nothing, digests of some of the run's `n_batch` batches."""
    name = vars(type(batches)).get("former_name", type(batches).__name__)
    if offers_identity(batches):
        return {"class": name, **cast(Any, batches).identity()}
    probes = [index for index in PROBES if index < n_batch - 1] + [n_batch - 1]
    digests = {f"batch {index}": batch_digest(batches.batch(index)) for index in probes}
    return {"class": name, **digests}


def batch_digest(batch: Batch) -> str:
    """A digest of all tensors of a batch, attributes included, and of its visibility unless that is causal."""
    tensors = {name: each for name, each in vars(batch).items() if isinstance(each, Tensor)}
    if not batch.visibility.is_causal:
        tensors["visibility"] = batch.visibility.mask(batch.tokens.size(1), batch.tokens.size(1))
    return digest(tensors)


def warn_of_probes(batches: BatchMaker) -> None:
    """Say that data was not compared as a whole, if that is so."""
    if not offers_identity(batches):
        warnings.warn(
            f"{type(batches).__name__} has no identity(), so at most {len(PROBES) + 1} of its batches were compared with "
            "the checkpoint's: a change elsewhere goes unseen",
            stacklevel=2,
        )


def warn_of_bits(path: object, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Say which facts differ that move the last bits."""
    if changed := list(differences(theirs, ours)):
        told = ", ".join(f"{name}={here!r} in place of {there!r}" for name, there, here in changed)
        warnings.warn(
            f"the run of {path} continues with {told}: its numbers may differ in their last bits from those of a run "
            "without a break",
            stacklevel=2,
        )


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, theirs, ours) of everything that is not the same in two nested mappings."""
    for name in dict.fromkeys([*theirs, *ours]):
        there, here = theirs.get(name, ABSENT), ours.get(name, ABSENT)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            yield from ((f"{name}.{rest}", *values) for rest, *values in differences(there, here))
        elif there != here:
            yield name, there, here


def describe_difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """What sets two runs apart, in words: the first difference with both values, others by name; None if nothing does."""
    found = [(short_name(name), there, here) for name, there, here in differences(theirs, ours)]
    if not found:
        return None
    name, there, here = found[0]
    words = f"{name}={_shown(there)}, this one has {_shown(here)}"
    if str(there).startswith(MARK) and str(here).startswith(MARK):
        words = f"other {name} (their digest is {_shown(there)}, here {_shown(here)})"
    others = [other for other, *_ in found[1:]]
    return words + (f"; they differ in {', '.join(others[:4])} too" if others else "")


def short_name(name: str) -> str:
    """A setting of the model or of the training goes by its own name."""
    for section in ("model.", "settings."):
        name = name.removeprefix(section)
    return name


def _shown(value: Any) -> str:
    """A value as a message shows it: of a digest, its first digits; of a long one, its beginning."""
    if isinstance(value, str) and value.startswith(MARK):
        return value.removeprefix(MARK)[:8]
    text = value if value == ABSENT else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
