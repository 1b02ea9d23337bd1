"""How strongly a shift of the logits is heard: a factor that can be turned while generating.

With z_AUX = log P(a | x_t, x_<t), a strength s samples in proportion to P(x_t | x_<t) P(a | x_t, x_<t)^s: 0
is the base, 1 the conditional distribution, more of it asks for the attribute sooner than the texts that
have it do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from minilm.tuning.tuned import TunedModel

STRONGEST = 10.0
"""A larger factor leaves one token the whole probability."""


def check_strength(value: float) -> float:
    """The value, if it is a number from 0 to `STRONGEST`.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= STRONGEST:
        raise ValueError(f"a strength must be a number from 0 (the base) to {STRONGEST:g}, not {value!r}")
    return value


class Strength:
    """An attribute of an attachment that refuses what is no strength."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.slot = f"_{name}"

    def __get__(self, attachment, owner: type | None = None) -> float:
        return self if attachment is None else getattr(attachment, self.slot)

    def __set__(self, attachment, value: float) -> None:
        setattr(attachment, self.slot, check_strength(value))


@contextmanager
def strength(tuned: TunedModel, value: float | Mapping[str, float]) -> Iterator[TunedModel]:
    """Inside, the shifts have these factors; afterwards, those they had before.

    Args:
        value: one for all attachments that have a strength, or by the attachments' names.

    Raises:
        ValueError: a factor out of range, or a name that is no attachment with a strength.
    """
    able = {name: each for name, each in tuned.attachments.items() if hasattr(each, "strength")}
    wanted = dict(value) if isinstance(value, Mapping) else dict.fromkeys(able, value)
    if unknown := wanted.keys() - able.keys() or (set(tuned.attachments) if not able else set()):
        raise ValueError(f"{min(unknown)!r} has no strength to turn; there are {', '.join(able) or 'none'}")
    before = {name: able[name].strength for name in wanted}
    try:
        for name, each in wanted.items():
            able[name].strength = each
        yield tuned
    finally:
        for name, each in before.items():
            able[name].strength = each
