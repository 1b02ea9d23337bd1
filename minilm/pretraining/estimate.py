"""The memory that a recipe will need, before its text is read or made."""

from __future__ import annotations

from pathlib import Path

from minilm.pretraining.large_text import LARGE
from minilm.pretraining.recipe import WORLD_OF, Recipe
from minilm.training.memory import MemoryNeed, training_need

BYTES_PER_STORY = 5_000
"""For a story's text, its token ids, and their packed windows, as measured on 20,000 stories."""
BYTES_PER_COUNTED_STORY, COUNTED_STORIES = 6_000, 20_000
"""For the 5-gram baseline, which counts so many stories at most."""
BYTES_PER_CHARACTER = 14
"""For a text in memory and its token ids; a file above `LARGE` is read in parts."""
BYTES_PER_COUNTED_CHARACTER, COUNTED_CHARACTERS = 42, 6_000_000
"""For the 5-gram baseline, which counts two million tokens at most."""


def recipe_need(recipe: Recipe) -> MemoryNeed:
    """The memory for text, model and training."""
    shape = recipe.shape(recipe.vocab_size)
    return training_need(shape, recipe.training, recipe.batch_size, data=text_need(recipe))


def text_need(recipe: Recipe) -> int:
    """Bytes for the text; of data that is still to be fetched, none."""
    if recipe.data in WORLD_OF:
        counted = min(recipe.n_story, COUNTED_STORIES)
        return recipe.n_story * BYTES_PER_STORY + counted * BYTES_PER_COUNTED_STORY
    path = Path(recipe.data).expanduser()
    size = path.stat().st_size if path.is_file() else 0
    counted = min(size, COUNTED_CHARACTERS)
    return min(size, LARGE) * BYTES_PER_CHARACTER + counted * BYTES_PER_COUNTED_CHARACTER
