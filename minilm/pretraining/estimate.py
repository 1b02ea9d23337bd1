"""The memory that a recipe will need, before its text is read or made."""

from __future__ import annotations

from pathlib import Path

from minilm.pretraining.recipe import WORLD_OF, Recipe
from minilm.training.memory import MemoryNeed, training_need

BYTES_PER_STORY = 5_000
"""Of a story's text, its token ids, and their packed windows, as measured on 20,000 stories."""
BYTES_PER_COUNTED_STORY, COUNTED_STORIES = 8_000, 20_000
"""The 5-gram yardstick counts so many stories at most."""
BYTES_PER_CHARACTER = 90
"""Of a text file: the text, its token ids, and the 5-gram yardstick's counts, as measured on texts of 1 to 8 MB."""


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
    return path.stat().st_size * BYTES_PER_CHARACTER if path.is_file() else 0
