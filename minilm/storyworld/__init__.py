"""A world of documents whose truth is known: its grammar, its texts, and the exact next-token oracle.

    world = StoryWorld()                                                  # stories, facts, questions, letters, ...
    world.sample(3, seed=0)[0].text
    world.only("story")                                                   # the plain stories alone
    Oracle(world, tokenizer).log_probs(tokenizer.encode("Suddenly,"))     # exact, for any tokenizer

`grammar` and `documents` are the data, `loading` and `document_loading` (with `markup` and `yaml_nodes`) read it,
`validation` (with `surface`) and `document_checks` prove it sound. `automaton` is its graph, which `compiling` makes (with
`example`, `telling`, `asking`, `conditioning`). `attributes` conditions that graph, `sampling` walks it, `reading` walks it
along a text, `filtering` and `oracle` follow all walks at once.
"""

from minilm.storyworld.grammar import GrammarError
from minilm.storyworld.oracle import Oracle
from minilm.storyworld.sampling import Story
from minilm.storyworld.world import StoryWorld

__all__ = ["GrammarError", "Oracle", "Story", "StoryWorld"]
