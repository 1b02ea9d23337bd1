"""What each task asks, and that its answers are right."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest

from minilm import BPETokenizer, datasets
from minilm.datasets.tasks import StoryTriples, best_accuracy, posteriors, task
from minilm.datasets.tasks.phrasing import relations, told
from minilm.storyworld import StoryWorld
from minilm.storyworld.oracle import Oracle


@pytest.fixture(scope="module")
def world() -> StoryWorld:
    return task.the_world().only("story")


@pytest.fixture(scope="module")
def oracle(world) -> Oracle:
    return Oracle(world, BPETokenizer.train(datasets.load("storyworld", n=300), vocab_size=500))


# --- keywords -------------------------------------------------------------------------------------------------------


def test_a_story_contains_its_keywords_and_comes_with_all_of_them():
    examples = datasets.load("storyworld-keywords", n=400)
    said = {e.text: {word for word in words(e.text)} for e in examples}
    assert all(set(e.keywords) <= said[e.text] for e in examples)
    known = {e.prompt for e in examples}
    per_story = Counter(e.text for e in examples[:-5])  # the last story may be cut off by n
    whole = [
        text
        for text in per_story
        if text != examples[-6].text and text not in {e.text for e in examples[-5:]}
    ]
    assert all(per_story[text] == len(said[text] & known) for text in whole)


def test_the_stories_of_a_keyword_have_the_law_of_the_oracles_condition(world):
    examples = [e for e in datasets.load("storyworld-keywords", n=5000) if e.keywords == ("because",)]
    endings = [world_ending(e.text) for e in examples]
    reference = world.sample(3000, seed=11, attribute=("keyword", "because"))
    chance = sum(story.attributes["ending"] == "happy" for story in reference) / len(reference)
    error = math.sqrt(chance * (1 - chance) * (1 / len(endings) + 1 / len(reference)))
    assert abs(sum(endings) / len(endings) - chance) < 4 * error


def world_ending(text: str) -> bool:
    """Whether a story ends with a glad feeling: one of the fillers of the grammar's slot `joy`."""
    joys = {filler.text for filler in task.the_world().grammar.slots["joy"].fillers}
    return bool(joys & set(words(text.rsplit(". ", 1)[-1])))


def words(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return re.findall(r"[a-z]+", text.lower())


def test_more_keywords_together():
    for example in datasets.load("storyworld-keywords", n=50, count=3):
        assert len(set(example.keywords)) == 3 and set(example.keywords) <= set(words(example.text))
        assert example.prompt == ", ".join(example.keywords)
    only = datasets.load("storyworld-keywords", n=50, keywords=("because", "soon"))
    assert {e.prompt for e in only} == {"because", "soon"}


# --- triples --------------------------------------------------------------------------------------------------------


def test_unseen_plots_are_in_the_test_split_only():
    train, dev, test = (datasets.load("storyworld-triples", split=s, n=250) for s in ("train", "dev", "test"))
    unseen = set(StoryTriples().unseen_plots)
    assert all(e.seen and e.category not in unseen for e in (*train, *dev))
    assert {e.seen for e in test} == {True, False}
    assert all(e.seen == (e.category not in unseen) for e in test)
    assert len({e.category for e in test}) == len(StoryTriples().plots)


def test_the_reader_chooses_the_unseen_plots():
    test = datasets.load("storyworld-triples", split="test", n=100, unseen=("lost",))
    assert {e.category for e in test if not e.seen} == {"lost"}


@pytest.mark.parametrize("most", [2, 6])
def test_a_text_tells_its_facts(most, world):
    examples = datasets.load("storyworld-triples", n=200, facts=most)
    assert max(len(e.triples) for e in examples) == most
    by_text = {story.text: story for story in world.sample(50, seed=1)}
    assert by_text
    for example in examples:
        [text] = example.targets
        assert all(triple.object in text for triple in example.triples)
        assert all(t.subject in text for t in example.triples if t.subject[0].isupper())


# --- questions ------------------------------------------------------------------------------------------------------


def test_answers_stand_in_the_document_and_wrong_things_do_not():
    questions = datasets.load("storyworld-questions", n=600)
    assert {q.answers[0] for q in questions} >= {"yes", "no"}
    for q in questions:
        thing = re.search(r"(?:the|sit) (.+?)(?: as a present)?\?$|(\S+)\?$", q.question)
        if q.answers in (("yes",), ("no",)):
            assert ((thing[1] or thing[2]) in q.document) == (q.answers == ("yes",)), q.question
        else:
            assert all(answer in q.document for answer in q.answers)


def test_a_document_answers_a_question_in_one_way():
    answers: dict[tuple[str, str], set] = {}
    for q in datasets.load("storyworld-questions", n=600, history=9, turns=9):
        answers.setdefault((q.document, q.question), set()).add(q.answers)
    repeated = [found for found in answers.values() if len(found) > 1]
    assert (
        len(repeated) <= len(answers) / 50
    )  # a pronoun may stand for two persons in turn: the history tells which


def test_follow_up_questions_use_pronouns_and_come_with_their_history():
    questions = datasets.load("storyworld-questions", n=400)
    later = [q for q in questions if q.history]
    assert any(set(words(q.question)) & {"he", "she"} for q in later)
    assert not any(set(words(q.question)) & {"he", "she"} for q in questions if not q.history)
    assert {len(q.history) for q in questions} == {0, 1, 2}
    assert {len(q.history) for q in datasets.load("storyworld-questions", n=50, history=0)} == {0}


def test_the_length_of_the_document_is_a_dial(oracle):
    lengths = {}
    for stories in (1, 2, 6):
        questions = datasets.load("storyworld-questions", split="test", n=30, stories=stories)
        assert {q.document.count("\n") for q in questions} == {stories - 1}
        lengths[stories] = min(len(oracle.tokenizer.encode(q.prompt)) for q in questions)
    assert lengths[1] < lengths[2] < lengths[6]
    assert lengths[6] > 500


def test_the_story_asked_about_may_stand_anywhere(world):
    heroes = {filler.text for filler in world.grammar.slots["hero"].fillers}
    places = Counter()
    for q in datasets.load("storyworld-questions", n=150, stories=3):
        asked = next((hero for hero in heroes if hero in q.question.replace("'", " ").split()), None)
        if asked:
            places.update([i for i, story in enumerate(q.document.split("\n")) if asked in story])
    assert set(places) == {0, 1, 2} and max(places.values()) < 2 * min(places.values())


# --- sentiment ------------------------------------------------------------------------------------------------------


def test_the_whole_story_settles_the_ending(oracle):
    examples = datasets.load("storyworld-sentiment", split="test", n=40)
    assert best_accuracy(oracle, examples) > 0.999
    assert [round(p) for p in posteriors(oracle, examples)] == [e.label for e in examples]
    assert [world_ending(e.text) for e in examples] == [bool(e.label) for e in examples]


def test_the_best_accuracy_is_what_the_best_guesser_gets(oracle):
    examples = datasets.load("storyworld-sentiment", split="test", n=250, sentences=4)
    chances = posteriors(oracle, examples)
    expected = best_accuracy(oracle, examples)
    got = sum((p > 0.5) == e.label for p, e in zip(chances, examples, strict=True)) / len(examples)
    error = math.sqrt(sum(p * (1 - p) for p in chances)) / len(chances)
    assert abs(got - expected) < 4 * error


def test_fewer_sentences_are_harder(oracle):
    best = [
        best_accuracy(oracle, datasets.load("storyworld-sentiment", split="test", n=60, sentences=k))
        for k in (1, 3, 5, 8)
    ]
    assert best == sorted(best) and best[0] < 0.75 < best[-1]


# --- entailment -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs() -> list:
    return datasets.load("storyworld-entailment", n=1500)


def test_labels_and_negations_are_balanced(pairs):
    denied = Counter((p.label, "did not" in p.hypothesis) for p in pairs)
    expected = len(pairs) / 6
    assert all(
        abs(denied[label, negation] - expected) < 0.35 * expected for label in range(3) for negation in (0, 1)
    )


def test_the_hypothesis_alone_gives_nothing_away(pairs):
    """A guesser that knows the label counts of each opening (all but subject and object) of the training half."""

    def opening(pair) -> tuple[str, ...]:
        return tuple(pair.hypothesis.split()[1:4])

    half = len(pairs) // 2
    counts: dict[tuple, Counter] = {}
    for pair in pairs[:half]:
        counts.setdefault(opening(pair), Counter())[pair.label] += 1
    guesses = [counts[opening(p)].most_common(1)[0][0] if opening(p) in counts else 0 for p in pairs[half:]]
    right = sum(guess == pair.label for guess, pair in zip(guesses, pairs[half:], strict=True))
    assert right / len(guesses) < 0.45


def test_labels_follow_from_what_the_premise_mentions(pairs):
    """What is said and follows, or denied and ruled out, names its object in the premise; all else must not."""
    for pair in pairs:
        negated = "did not" in pair.hypothesis
        stem = words(pair.hypothesis)[-1][:-1]  # who won a medal for surfing learned to surf
        mentions = any(word.startswith(stem) for word in words(pair.premise))
        if pair.label != 1 and negated == (pair.label == 2) and "as a present" not in pair.hypothesis:
            assert mentions, pair
        assert pair.hypothesis.split()[0] in pair.premise


def test_a_longer_premise_is_a_dial():
    short, long = (datasets.load("storyworld-entailment", n=50, passages=k) for k in (1, 4))
    assert sum(len(p.premise) for p in long) > 2.5 * sum(len(p.premise) for p in short)


# --- phrasing -------------------------------------------------------------------------------------------------------


def test_every_relation_of_the_grammar_has_a_phrase(world):
    stories = world.sample(1500, seed=2)
    missing = {
        fact[1] for story in stories for fact in story.facts if fact[1] not in relations(task.the_world())
    }
    assert not missing, f"add to phrasing.yaml: {sorted(missing)}"


def test_facts_are_said_denied_and_asked():
    [story] = StoryWorld.from_text(ONE).sample(1)
    lost, told_uncle = told(StoryWorld.from_text(ONE), story, story.facts)
    assert lost.says == "Mia lost the red kite." and lost.denies == "Mia did not lose the red kite."
    assert lost.asks_what() == "What did Mia lose?" and lost.asks_what("she") == "What did she lose?"
    assert lost.asks_who() == "Who lost the red kite?" and lost.asks_whether() == "Did Mia lose the red kite?"
    assert told_uncle.name == "Mia's uncle" and told_uncle.says == "Mia's uncle told his teacher."


ONE = """
keywords: [because]
agreement: {she: {he: she, his: her}, he: {he: he, his: his}}
slots:
  hero: [{text: Mia, agreement: she}]
  relative: [{text: uncle, agreement: he}]
  object: [red kite]
  helper: [teacher]
plots:
  loss:
    scenes:
      only:
        ending: sad
        templates:
          - text: "{Hero} lost {a object}, and {hero.his} {relative} told the {helper} because {relative.he} cared."
            facts: ["{hero} | lost | {object}", "{relative} | told | {helper}"]
"""
