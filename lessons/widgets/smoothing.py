"""Kernel smoothing of a noisy curve, with added points that stay in place or follow each query."""

from __future__ import annotations

import torch
from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.explorer import Explorer
from lessons.widgets.views.smoothing import Smoothing, smoothing_view

LEFT, RIGHT = 0.0, 10.0
KINDS = {
    "nothing": "nothing added",
    "fixed": "two points that stay: a prefix",
    "near": "one point near every query: inducers",
    "gating": "one point near every query, and the rest shrinks: gating",
}
"""What can be added, and its description."""


class SmoothingExplorer(Explorer):
    """Nadaraya-Watson smoothing of a noisy curve, with inducing points to move.

        SmoothingExplorer(kind="fixed", n=40)

    Args:
        kind: what is added at first, a key of `KINDS`.
        n: number of noisy points, the "text".
        bandwidth: bandwidth of the kernel.
    """

    def __init__(self, kind: str = "fixed", n: int = 40, bandwidth: float = 0.6):
        super().__init__()
        self.kind = controls.choice("added", [(name, key) for key, name in KINDS.items()], kind)
        self.n = controls.whole("points", n, 4, 400, "of the text: a longer input has more", step=4)
        self.bandwidth = controls.real("bandwidth", bandwidth, 0.1, 3.0, "how far a point is felt")
        self.first = controls.real("first place", 2.0, LEFT, RIGHT, "of a point that stays", step=0.1)
        self.second = controls.real("second place", 8.0, LEFT, RIGHT, "of a point that stays", step=0.1)
        self.offset = controls.real(
            "offset", 0.0, -3.0, 3.0, "from a query to the point that follows it: f_k", step=0.1
        )
        self.value = controls.real("value", 1.5, -2.0, 2.0, "of what is added: f_v", step=0.1)
        self.arrange(
            [self.kind, self.n, self.bandwidth], [self.first, self.second], [self.offset, self.value]
        )

    def view(self) -> str:
        fixed = self.kind.value == "fixed"
        for slider, shown in ((self.first, fixed), (self.second, fixed), (self.offset, not fixed)):
            slider.disabled = not shown or self.kind.value == "nothing"
        return smoothing_view(self.smooth(), KINDS[self.kind.value])

    def smooth(self) -> Smoothing:
        """Smooth with the settings of the controls."""
        positions, values = noisy_points(self.n.value)
        queries = torch.linspace(LEFT, RIGHT, 201)
        text = kernel(queries[:, None] - positions, self.bandwidth.value)  # (queries, points)
        plain = text @ values / text.sum(dim=1)
        added = self.added(queries)  # (queries, 0, 1 or 2)
        gate = added.sum(dim=1) / (text.sum(dim=1) + added.sum(dim=1))
        kept = plain if self.kind.value == "near" else (1 - gate) * plain
        estimate = kept + gate * self.value.value
        fixed = (self.first.value, self.second.value) if self.kind.value == "fixed" else ()
        return Smoothing(
            positions.tolist(), values.tolist(), queries.tolist(), plain.tolist(), estimate.tolist(), gate.tolist(),
            [(position, self.value.value) for position in fixed],
        )  # fmt: skip

    def added(self, queries: Tensor) -> Tensor:
        """Kernel weights (queries, added points) of what is added."""
        if self.kind.value == "nothing":
            return torch.zeros(len(queries), 0)
        if self.kind.value == "fixed":
            fixed = torch.tensor([self.first.value, self.second.value])
            return kernel(queries[:, None] - fixed, self.bandwidth.value)
        return kernel(torch.full((len(queries), 1), self.offset.value), self.bandwidth.value)


def kernel(distance: Tensor, bandwidth: float) -> Tensor:
    """exp(-distance² / 2 h²), but at least 1e-30, so that the weights of a query never sum to zero."""
    return torch.exp(-(distance**2) / (2 * bandwidth**2)).clamp(min=1e-30)


def noisy_points(n: int) -> tuple[Tensor, Tensor]:
    """Positions and values of the first n of a fixed sequence of noisy measurements of a sine."""
    draw = torch.Generator().manual_seed(3)
    pairs = torch.rand(400, 2, generator=draw)
    positions = LEFT + (RIGHT - LEFT) * pairs[:n, 0]
    return positions, positions.sin() + 0.6 * (pairs[:n, 1] - 0.5)
