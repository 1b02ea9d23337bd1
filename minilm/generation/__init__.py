"""Writing text: sampling with a cache, speculative decoding, few-shot prompts."""

from minilm.generation.few_shot import few_shot_prompt
from minilm.generation.sampling import (
    Step,
    check_settings,
    complete,
    generate,
    next_token_probabilities,
    stream,
)

__all__ = [
    "Step",
    "check_settings",
    "complete",
    "few_shot_prompt",
    "generate",
    "next_token_probabilities",
    "stream",
]
