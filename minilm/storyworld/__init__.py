"""A world of short stories whose truth is known: its grammar, its stories, and the exact next-token oracle.

    world = StoryWorld()
    world.sample(3, seed=0)[0].text
    Oracle(world, tokenizer).log_probs(tokenizer.encode("Suddenly,"))     # exact, for any tokenizer

`grammar` is the data, `loading` (with `markup` and `yaml_nodes`) reads it, `validation` (with `surface`)
proves it sound, `automaton` makes it a graph, `attributes` conditions that graph, `sampling` walks it,
`filtering` and `oracle` follow all walks at once.
"""

from minilm.storyworld.grammar import GrammarError
from minilm.storyworld.oracle import Oracle
from minilm.storyworld.sampling import Story
from minilm.storyworld.world import StoryWorld

__all__ = ["GrammarError", "Oracle", "Story", "StoryWorld"]
