"""Steering a frozen model at its logits, with nothing trained."""

from minilm.steering.dexperts import Experts
from minilm.steering.pplm import PPLM

__all__ = ["PPLM", "Experts"]
