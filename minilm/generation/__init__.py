"""Writing text: sampling with a cache, speculative decoding, few-shot prompts."""

from minilm.generation.few_shot import few_shot_prompt
from minilm.generation.requests import check_settings
from minilm.generation.sampling import (
    Step,
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
