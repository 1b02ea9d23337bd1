"""Few-shot prompting: the baseline that trains nothing (Brown et al. 2020).

The prompt shows solved examples before the question, and the frozen model continues it.
"""

from __future__ import annotations

from collections.abc import Sequence

from minilm.model.tokens import id_row
from minilm.system.checks import whole

Tokens = Sequence[int]


def few_shot_prompt(
    examples: Sequence[tuple[Tokens, Tokens]], prompt: Tokens, end: Tokens, room: int
) -> list[int]:
    """As many solved examples as fit, then the prompt.

    >>> few_shot_prompt([([1], [2]), ([3], [4])], prompt=[5], end=[0], room=5)
    [1, 2, 0, 5]

    Args:
        examples: prompt and target of each; the first ones are taken first.
        prompt: what is to be continued.
        end: tokens between an example and the next.
        room: most tokens that the result may have: the model's window less the tokens to be generated.

    Raises:
        ValueError: not even the prompt fits.
    """
    whole("room", room)
    asked: list[int] = id_row(prompt, "prompt").tolist()
    if len(asked) > room:
        raise ValueError(f"a prompt of {len(asked)} tokens does not fit into {room}: shorten it")
    shown: list[int] = []
    for question, answer in examples:
        solved = id_row([*question, *answer, *end], "an example").tolist()
        if len(shown) + len(solved) + len(asked) > room:
            break
        shown += solved
    return [*shown, *asked]
