"""Steering a frozen model during generation, without any training."""

from minilm.steering.dexperts import Experts
from minilm.steering.pplm import PPLM

__all__ = ["PPLM", "Experts"]
