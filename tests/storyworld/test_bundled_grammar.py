"""The content of the bundled grammar: is it good prose, and does it hold together from the first sentence to the last?"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest

from minilm.storyworld import Story, StoryWorld
from minilm.storyworld.automaton import Say, Write

SILENT_H = {"honest", "hour", "heir"}
SPOKEN_AS_CONSONANT = re.compile(r"(one|once|uni|use|usual|eu)", re.IGNORECASE)
PRONOUNS = {"she": {"she", "her"}, "he": {"he", "him", "his"}}


@pytest.fixture(scope="module")
def stories(course: StoryWorld) -> list[Story]:
    return course.sample(2000, seed=71)


@pytest.fixture(scope="module")
def gender(course: StoryWorld) -> dict[str, str]:
    """The subject pronoun of every person of the world: {"Mia": "she", ...}."""
    slots = (course.grammar.slots[name] for name in ("hero", "friend", "relative"))
    return {filler.text: filler.forms["he"] for slot in slots for filler in slot.fillers}


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def passage(story: Story, scene: str) -> str:
    return story.passages[story.scenes.index(scene)]


def test_amount(course: StoryWorld) -> None:
    assert len(course.attributes()["plot"]) >= 16
    grammar, said = course.grammar, set()
    for node in course.automaton.nodes:
        if isinstance(node, Write):
            said.add(node.text)
        elif isinstance(node, Say):
            said |= {node.mention.say(grammar.slots[node.mention.slot].fillers[i]) for i in node.pool}
    assert len({word for text in said for word in words(text)}) >= 1500
    assert course.count_stories() > 10**12


def test_length(stories: list[Story]) -> None:
    lengths = sorted(len(story.text.split()) for story in stories)
    assert lengths[0] >= 40 and lengths[-1] <= 150
    assert 50 <= lengths[len(lengths) // 2] <= 75


def test_keywords_are_neither_rare_nor_usual_and_no_mark_of_one_plot(
    course: StoryWorld, stories: list[Story]
) -> None:
    plots = defaultdict(set)
    for story in stories:
        for keyword in story.attributes["keyword"]:
            plots[keyword].add(story.attributes["plot"])
    shares = course.attributes()["keyword"]
    assert len(shares) >= 12
    assert all(0.05 <= share <= 0.4 for share in shares.values()), shares
    assert all(len(plots[keyword]) >= 3 for keyword in shares), plots


def test_both_endings_in_every_plot(course: StoryWorld, stories: list[Story]) -> None:
    assert course.attributes()["ending"]["happy"] == pytest.approx(0.6, abs=0.05)
    tally = Counter((story.attributes["plot"], story.attributes["ending"]) for story in stories)
    for plot in course.attributes()["plot"]:
        share = tally[plot, "happy"] / (tally[plot, "happy"] + tally[plot, "sad"])
        assert 0.45 < share < 0.75, plot


def test_the_middle_foretells_the_ending(stories: list[Story]) -> None:
    share = {}
    for scene in ("hope", "worry"):
        endings = [story.attributes["ending"] for story in stories if scene in story.scenes]
        share[scene] = endings.count("happy") / len(endings)
    assert share["hope"] > share["worry"] + 0.25
    assert share["hope"] < 0.95 and share["worry"] > 0.05  # foretold, not certain


def test_articles(stories: list[Story]) -> None:
    """By sound, with the exceptions that English has."""
    for story in stories:
        for article, word in re.findall(r"\b([Aa]n?) (\w+)", story.text):
            vowel = word[0].lower() in "aeiou" and not SPOKEN_AS_CONSONANT.match(word)
            assert (article.lower() == "an") == (vowel or word.lower() in SILENT_H), f"{article} {word}"


def test_marks_and_capitals(stories: list[Story]) -> None:
    for story in stories:
        assert "  " not in story.text and story.text == story.text.strip()
        assert re.search(r'[.!?]"?$', story.text)
        assert story.text.count('"') % 2 == 0
        assert story.text.lstrip('"')[0].isupper()
        assert all(after.isupper() or after == '"' for after in re.findall(r"\. (.)", story.text)), story.text
        assert not re.search(r"\b(\w+) \1\b", story.text), story.text


def test_pronouns_agree(stories: list[Story], gender: dict[str, str]) -> None:
    """Where all persons of a story are of one gender, no pronoun of the other one occurs."""
    judged = 0
    for story in stories:
        cast = {gender[name] for name in story.bindings.values() if name in gender}
        if len(cast) == 1:
            judged += 1
            (wrong,) = PRONOUNS.keys() - cast
            assert not PRONOUNS[wrong] & set(words(story.text)), story.text
    assert judged > len(stories) / 4


def test_a_person_is_introduced_by_full_name(course: StoryWorld, stories: list[Story]) -> None:
    """A surname that goes with one first name only tells first names apart, which is what makes copying them learnable."""
    full = {filler.text: filler.forms["full"] for filler in course.grammar.slots["hero"].fillers}
    assert len({name.split()[1] for name in full.values()}) == len(full)
    for story in stories:
        hero = story.attributes["hero"]
        assert story.text.index(hero) == story.text.index(full[hero]) > 0, story.text


def test_what_is_lost_is_what_is_found(stories: list[Story], names) -> None:
    ties = {("lost", "found"): "object", ("storm", "safe"): "animal", ("picnic", "feast"): "food"}
    told = Counter()
    for story in stories:
        for (plot, scene), slot in ties.items():
            if story.attributes["plot"] == plot and scene in story.scenes:
                told[plot] += 1
                assert names(story, slot, passage(story, "opening")), story.text
                assert names(story, slot, passage(story, scene)), story.text
    assert len(told) == len(ties) and min(told.values()) > 50


def test_facts_stand_in_the_text(stories: list[Story]) -> None:
    """Their values are written out by the passage that tells them, or by one before it."""
    for story in stories:
        so_far = ""
        for facts, text in zip(story.facts_of, story.passages, strict=True):
            so_far += text
            assert all(value in so_far for _, _, value in facts), (facts, so_far)


def test_the_last_fact_is_what_the_hero_felt(course: StoryWorld, stories: list[Story]) -> None:
    feelings = {
        ending: {filler.text for filler in course.grammar.slots[slot].fillers}
        for ending, slot in (("happy", "joy"), ("sad", "sorrow"))
    }
    for story in stories:
        subject, relation, value = story.facts_of[-1][-1]
        assert (subject, relation) == (story.attributes["hero"], "felt")
        assert value in feelings[story.attributes["ending"]]
