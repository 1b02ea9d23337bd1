"""What a tuned model costs, in parameters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ParameterCount:
    """Parameters, as published tables count them."""

    trained: int
    """That training changes."""
    stored: int
    """That have to be kept for the tuned model; a prefix, for one, drops the network that produced it."""
    base: int
    """Of the base model."""

    @property
    def fraction(self) -> float:
        """stored / base."""
        return self.stored / self.base


Count = ParameterCount
"""The former name."""
