"""The strength of a shift of the logits: a guidance scale that can be changed while generating.

With z_AUX = log P(a | x_t, x_<t), a strength s samples in proportion to P(x_t | x_<t) P(a | x_t, x_<t)^s: 0
is the base, 1 the conditional distribution, more of it asks for the attribute sooner than the texts that
have it do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, overload

from minilm.model.passes import Under, conditions
from minilm.system.checks import number
from minilm.tuning.tuned import TunedModel

STRONGEST = 10.0
"""A larger factor leaves one token the whole probability."""


def check_strength(value: float) -> float:
    """The value, if it is a number from 0 to `STRONGEST`.

    Raises:
        ValueError: it is not.
    """
    return number("strength", value, 0, STRONGEST)


class Strength:
    """A descriptor that validates a strength on assignment. `strength` may change it for one thread."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.slot = f"_{name}"

    @overload
    def __get__(self, attachment: None, owner: type | None = None) -> Strength: ...
    @overload
    def __get__(self, attachment: object, owner: type | None = None) -> float: ...
    def __get__(self, attachment: object | None, owner: type | None = None) -> float | Strength:
        if attachment is None:
            return self
        turned = (factor for each, factor in conditions().factors if each is attachment)
        return next(turned, cast(float, getattr(attachment, self.slot)))

    def __set__(self, attachment: object, value: float) -> None:
        setattr(attachment, self.slot, check_strength(value))


def strength(tuned: TunedModel, value: float | Mapping[str, float]) -> Under[TunedModel]:
    """Inside, in this thread, the shifts have these factors; the model is not changed.

    Args:
        value: one for all attachments that have a strength, or by the attachments' names.

    Raises:
        ValueError: a factor out of range, or a name that is not an attachment with a strength.
    """
    able = {name: each for name, each in tuned.attachments.items() if hasattr(each, "strength")}
    wanted = dict(value) if isinstance(value, Mapping) else dict.fromkeys(able, value)
    if unknown := wanted.keys() - able.keys() or (set(tuned.attachments) if not able else set()):
        raise ValueError(f"{min(unknown)!r} has no strength to turn; there are {', '.join(able) or 'none'}")
    turned = tuple((able[name], check_strength(each)) for name, each in wanted.items())
    return Under(tuned, factors=(*turned, *conditions().factors))
