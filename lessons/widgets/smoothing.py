"""Kernel smoothing under the reader's hands: points that stay, points that follow the query, and who takes the weight."""

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
"""What can be added, and what it is called."""


class SmoothingExplorer(Explorer):
    """Nadaraya-Watson smoothing of a noisy curve, with inducing points to move.

        SmoothingExplorer(kind="fixed", n=40)

    Args:
        kind: a key of `KINDS`.
        n: noisy points, the "text".
        bandwidth: of the kernel.
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

    def summary(self) -> str:
        return "SmoothingExplorer()"

    def view(self) -> str:
        fixed = self.kind.value == "fixed"
        for slider, shown in ((self.first, fixed), (self.second, fixed), (self.offset, not fixed)):
            slider.disabled = not shown or self.kind.value == "nothing"
        return smoothing_view(self.look(), KINDS[self.kind.value])

    def look(self) -> Smoothing:
        """Smooth as the controls say."""
        places, values = noisy_points(self.n.value)
        asked = torch.linspace(LEFT, RIGHT, 201)
        text = kernel(asked[:, None] - places, self.bandwidth.value)  # (queries, points)
        plain = text @ values / text.sum(dim=1)
        added = self.added(asked)  # (queries, 0, 1 or 2)
        gate = added.sum(dim=1) / (text.sum(dim=1) + added.sum(dim=1))
        gained = gate * self.value.value
        kept = plain if self.kind.value == "near" else (1 - gate) * plain
        stays = (self.first.value, self.second.value) if self.kind.value == "fixed" else ()
        return Smoothing(
            places.tolist(), values.tolist(), asked.tolist(), plain.tolist(), (kept + gained).tolist(),
            gate.tolist(), [(place, self.value.value) for place in stays],
        )  # fmt: skip

    def added(self, asked: Tensor) -> Tensor:
        """What the kernel gives each added point, for each query."""
        if self.kind.value == "nothing":
            return torch.zeros(len(asked), 0)
        if self.kind.value == "fixed":
            return kernel(
                asked[:, None] - torch.tensor([self.first.value, self.second.value]), self.bandwidth.value
            )
        return kernel(torch.full((len(asked), 1), self.offset.value), self.bandwidth.value)


def kernel(distance: Tensor, bandwidth: float) -> Tensor:
    """exp(-distance² / 2 h²), never quite zero, so that every query hears somebody."""
    return torch.exp(-(distance**2) / (2 * bandwidth**2)).clamp(min=1e-30)


def noisy_points(n: int) -> tuple[Tensor, Tensor]:
    """The first n of a fixed sequence of noisy measurements of a curve: places and values."""
    draw = torch.Generator().manual_seed(3)
    pairs = torch.rand(400, 2, generator=draw)
    places = LEFT + (RIGHT - LEFT) * pairs[:n, 0]
    return places, places.sin() + 0.6 * (pairs[:n, 1] - 0.5)
