"""What a tuned model costs, in parameters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ParameterCount:
    """Parameters, as published tables count them."""

    trained: int
    """Parameters that training changes."""
    stored: int
    """Parameters to be kept for the tuned model; a prefix, for example, drops the network that produced it."""
    base: int
    """Parameters of the base model."""

    @property
    def fraction(self) -> float:
        """stored / base."""
        return self.stored / self.base


Count = ParameterCount
"""The former name."""
