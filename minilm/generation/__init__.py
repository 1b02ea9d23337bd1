"""Writing text: sampling with a cache, speculative decoding, few-shot prompts."""

from minilm.generation.few_shot import few_shot_prompt
from minilm.generation.sampling import Step, complete, generate, stream
from minilm.generation.settings import Sampling, check_settings, next_token_probabilities

__all__ = [
    "Sampling",
    "Step",
    "check_settings",
    "complete",
    "few_shot_prompt",
    "generate",
    "next_token_probabilities",
    "stream",
]
