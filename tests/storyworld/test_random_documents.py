"""The oracle against enumeration on documents around made-up stories."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from itertools import islice

import yaml
from document_enumeration import Documents
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from story_enumeration import PrefixTable
from test_enumeration import assert_equal_rows
from test_random_grammars import grammars

from minilm import BPETokenizer
from minilm.storyworld import Oracle, StoryWorld

FACTS = ("{hero} | ran | home", "{hero} | ran | far", "{hero} | hit | ball")
FACT = {"each": "{subject} {relation} {object}", "between": ", "}
KINDS = {
    "first": {"lengths": {1: 1, 2: 2}, "notations": {"a": {"text": "{facts} = {story}", **FACT}}},
    "last": {"lengths": {1: 1, "whole": 1}, "notations": {"a": {"text": "{story}\n{facts}", **FACT}}},
    "few": {
        "lengths": {1: 1},
        "examples": {1: 1, 2: 1},
        "notations": {"a": {"text": "{facts}: {story}", **FACT}},
    },
    "ask": {
        "lengths": {1: 1, "whole": 1},
        "turns": {1: 1, 2: 1},
        "notations": {"a": {"text": "{story}\n{questions}", "each": "{question} {answer}", "between": "\n"}},
    },
    "word": {"notations": {"a": "{keyword}: {story}"}},
    "mood": {
        "lengths": {1: 1, "whole": 2},
        "notations": {"a": "{ending}\n{story}", "b": "{story} ({ending})"},
    },
}
RELATIONS = {
    "saw": {"says": "saw {object}", "ask": "Who was seen by {subject}?", "whether": "see {object}"},
    "ran": {"says": "ran {object}", "ask": "Where did {subject} run?"},
    "hit": {"says": "hit the {object}", "ask": "What did {subject} hit?", "latest": True},
}


@st.composite
def documents(draw) -> str:
    """A random grammar whose stories tell facts, with stories and one other kind of document."""
    spec = yaml.safe_load(draw(grammars()))
    for plot in spec["plots"].values():
        for scene in plot["scenes"].values():
            scene["templates"] = [
                ({"text": made} if isinstance(made, str) else made)
                | {"facts": ["{hero} | saw | {hero}", *draw(st.lists(st.sampled_from(FACTS), max_size=2))]}
                for made in scene["templates"]
            ]
    name = draw(st.sampled_from(sorted(KINDS)))
    kinds = {"story": {"weight": 2, "notations": {"plain": "{story}"}}, name: KINDS[name]}
    return yaml.safe_dump(spec | {"documents": kinds, "relations": RELATIONS}, sort_keys=False)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(documents(), st.sampled_from((257, 270)), st.data())
def test_documents_of_random_grammars(grammar: str, vocab_size: int, data: st.DataObject) -> None:
    world, most = StoryWorld.from_text(grammar), 4000
    assume(world.count_stories() < 150)
    listed = list(islice(Documents(grammar).documents(), most))
    assume(len(listed) < most)
    assert math.isclose(sum(document.chance for document in listed), 1.0, abs_tol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few words may not fill the vocabulary
        tokenizer = BPETokenizer.train([document.text for document in listed[:500]], vocab_size=vocab_size)
    oracle, table = Oracle(world, tokenizer), PrefixTable(listed, tokenizer)
    for document in data.draw(st.lists(st.sampled_from(listed), min_size=1, max_size=3)):
        assert_equal_rows(oracle, table, tokenizer.encode(document.text))
    (kind,) = set(world.kinds) - {"story"}
    own, mass, both = Oracle(world.only(kind), tokenizer), defaultdict(float), defaultdict(float)
    for document in (document for document in listed if document.kind == kind):
        mass[document.prompt] += document.chance
        both[document.prompt, document.target] += document.chance
    for prompt, target in data.draw(st.lists(st.sampled_from(sorted(both)), min_size=1, max_size=3)):
        exact = math.log(both[prompt, target] / mass[prompt])
        assert math.isclose(own.target_log_prob(prompt, target), exact, abs_tol=1e-9)
