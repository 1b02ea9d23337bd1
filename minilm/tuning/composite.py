"""Several attachments as one: for methods that are made of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

from minilm.model.model import MiniLM
from minilm.model.sites import Delta, Place
from minilm.tuning.method import Attachment


class Combination(Attachment):
    """The union of its parts, which act at different places."""

    def __init__(self, parts: Mapping[str, Attachment]):
        super().__init__()
        self.parts = cast(Mapping[str, Attachment], nn.ModuleDict(parts))
        self.position_offset = sum(part.position_offset for part in parts.values())
        self.n_virtual = sum(part.n_virtual for part in parts.values())
        self.takes_attribute = any(part.takes_attribute for part in parts.values())

    def deltas(self) -> dict[Place, Delta]:
        return {place: delta for part in self.parts.values() for place, delta in part.deltas().items()}

    def stored(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": each for name, part in self.parts.items() for key, each in part.stored().items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        of_part: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, tensor in tensors.items():
            owner, _, key = name.partition(".")
            of_part[owner][key] = tensor
        if unknown := of_part.keys() - self.parts.keys():
            raise ValueError(
                f"{min(unknown)} is not a part of this method, which has {', '.join(self.parts)}"
            )
        for name, part in self.parts.items():
            part.restore(of_part[name])

    def merge_into(self, model: MiniLM) -> None:
        for part in self.parts.values():
            part.merge_into(model)
