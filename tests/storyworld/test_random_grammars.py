"""The oracle against enumeration on made-up grammars: words that begin alike, ways that meet again."""

from __future__ import annotations

import warnings

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from story_enumeration import Enumeration, PrefixTable
from test_enumeration import assert_equal_rows

from minilm import BPETokenizer
from minilm.storyworld import Oracle, StoryWorld

WORDS = ("a", "ab", "abc", "b", "ba", "soon", "sooner")
KEYWORDS = ("soon", "but")
weight = st.sampled_from((0.5, 1, 2, 3))


@st.composite
def fillers(draw, texts: tuple[str, ...]) -> list[dict]:
    chosen = draw(st.lists(st.sampled_from(texts), min_size=1, max_size=3, unique=True))
    return [
        {
            "text": text,
            "weight": draw(weight),
            "short": draw(st.sampled_from(("x", "xy", "ab"))),
            "agreement": "it",
        }
        for text in chosen
    ]


piece = st.sampled_from(
    (
        *WORDS,
        "but",
        "{thing}",
        "{a thing}",
        "{thing.short}",
        "{hero}",
        "{hero.it}",
        "{free}",
        "{hero.short}, a",
        "{hero}'s",
    )
)
fork = st.lists(st.one_of(st.just(""), piece), min_size=2, max_size=3).map(
    lambda options: f"[{'|'.join(options)}]"
)
sentence = st.lists(st.one_of(piece, piece, fork), min_size=0, max_size=3).map(
    lambda parts: " ".join(["", *parts])
)


@st.composite
def template(draw, later: list[str]) -> dict:
    made = {
        "text": draw(st.sampled_from(("{Hero}", "[{Hero}|{Hero}, a]"))) + draw(sentence) + ".",
        "weight": draw(weight),
    }
    if later and draw(st.booleans()):
        made["next"] = draw(st.dictionaries(st.sampled_from(later), weight, min_size=1, max_size=2))
    return made


@st.composite
def scenes(draw) -> dict:
    """A chain of scenes with short cuts, which branches at last into two endings."""
    names = [f"scene{i}" for i in range(draw(st.integers(0, 2)))]
    made = {}
    for index, name in enumerate(names):
        later = [*names[index + 1 :], "good", "bad"]
        # the scene's own next leads on to every later one: none is unreachable while one template follows it
        templates = [draw(template([])), *draw(st.lists(template(later), max_size=2))]
        made[name] = {"templates": templates, "next": {name: draw(weight) for name in later}}
    endings = {"good": "happy", "bad": "sad"} if names else {"good": "happy"}
    for name, ending in endings.items():
        made[name] = {"ending": ending, "templates": draw(st.lists(template([]), min_size=1, max_size=2))}
    return made


@st.composite
def grammars(draw) -> str:
    plots = {
        name: {"weight": draw(weight), "scenes": draw(scenes())}
        for name in draw(st.sampled_from((["one"], ["one", "two"])))
    }
    # one plot that says everything there is to say, so that no keyword or slot is left unused
    everything = "{Hero} soon but {thing} {free}."
    plots["all"] = {"scenes": {"only": {"ending": "happy", "templates": [everything]}}}
    return yaml.safe_dump(
        {
            "keywords": list(KEYWORDS),
            "agreement": {"it": {"it": "it"}},
            "slots": {
                "hero": draw(fillers(("Al", "Alb", "Al b", "Bo"))),
                "thing": draw(fillers(("ab", "a b", "abc", "cab"))),
            },
            "words": {
                "free": draw(
                    st.lists(st.sampled_from(("a", "ab", "abc")), min_size=1, max_size=2, unique=True)
                )
            },
            "plots": plots,
        },
        sort_keys=False,
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(grammars(), st.sampled_from((257, 262, 280)), st.data())
def test_rows_equal_enumeration_on_random_grammars(
    grammar: str, vocab_size: int, data: st.DataObject
) -> None:
    world = StoryWorld.from_text(grammar)
    assume(world.count_stories() < 1500)
    stories = Enumeration(grammar).stories()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few words may not fill the vocabulary
        tokenizer = BPETokenizer.train([story.text for story in stories], vocab_size=vocab_size)
    oracle = Oracle(world, tokenizer)
    known = [(name, value) for name, values in world.attributes().items() for value in values]
    attribute = data.draw(st.sampled_from(known))
    for condition in (None, attribute):
        table = PrefixTable(stories, tokenizer, condition)
        possible = [story for story in stories if story.has(condition)]
        for story in data.draw(st.lists(st.sampled_from(possible), min_size=1, max_size=5)):
            assert_equal_rows(oracle, table, tokenizer.encode(story.text), condition)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(grammars(), st.integers(0, 10**6))
def test_samples_are_of_the_world(grammar: str, seed: int) -> None:
    world = StoryWorld.from_text(grammar)
    assume(world.count_stories() < 1500)
    chance = {story.text: story for story in Enumeration(grammar).stories()}
    for name, values in world.attributes().items():
        for value in values:
            story = world.sample(1, seed=seed, attribute=(name, value))[0]
            assert value in story.attributes[name] if name == "keyword" else value == story.attributes[name]
            assert story.text in chance
            assert set(story.attributes["keyword"]) == chance[story.text].keywords
