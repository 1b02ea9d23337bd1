"""Pretraining from nothing: what `minilm pretrain` and lesson 03 run."""

from minilm.pretraining.corpus import Corpus, StoryCorpus, TextCorpus, corpus_named
from minilm.pretraining.recipe import RECIPES, Recipe
from minilm.pretraining.run import Pretrained, pretrain

__all__ = [
    "RECIPES",
    "Corpus",
    "Pretrained",
    "Recipe",
    "StoryCorpus",
    "TextCorpus",
    "corpus_named",
    "pretrain",
]
