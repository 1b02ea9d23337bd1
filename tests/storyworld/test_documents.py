"""All kinds of document against their enumeration: every row, every target, every attribute, every draw."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from document_enumeration import Document, Documents
from story_enumeration import PrefixTable
from test_enumeration import assert_equal_rows

from minilm import BPETokenizer
from minilm.storyworld import Oracle, StoryWorld

FILE = Path(__file__).with_name("documents.yaml")
KINDS = ["story", "told", "few", "after", "asked", "few asked", "word", "words", "mood", "end"]


@pytest.fixture(scope="module")
def world() -> StoryWorld:
    return StoryWorld(FILE)


@pytest.fixture(scope="module")
def listed() -> list[Document]:
    return list(Documents(FILE.read_text()).documents())


@pytest.fixture(scope="module")
def tokenizer(listed: list[Document]) -> BPETokenizer:
    return BPETokenizer.train([document.text for document in listed[::9]], vocab_size=330)


def test_the_enumeration_is_complete(world: StoryWorld, listed: list[Document]) -> None:
    assert math.isclose(sum(document.chance for document in listed), 1.0, abs_tol=1e-12)
    assert {document.kind for document in listed} == set(KINDS) == set(world.kinds)
    known = {document.text for document in listed}
    assert {document.text for document in world.sample(3000, seed=1)} <= known


def test_kinds_are_shares(world: StoryWorld, listed: list[Document]) -> None:
    shares = defaultdict(float)
    for document in listed:
        shares[document.kind] += document.chance
    assert world.kinds == pytest.approx(dict(shares))
    assert world.attributes()["kind"] == pytest.approx(dict(shares))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attribute", [None, ("keyword", "but"), ("ending", "sad"), ("hero", "Tom")])
def test_rows_of_each_kind_equal_enumeration(world, listed, tokenizer, kind: str, attribute) -> None:
    """In the world of all kinds: a text may still be a document of several kinds."""
    possible = [d for d in listed if d.kind == kind and d.has(attribute)]
    oracle, table = Oracle(world, tokenizer), PrefixTable(listed, tokenizer, attribute)
    for document in possible[:: max(1, len(possible) // 7)]:
        assert_equal_rows(oracle, table, tokenizer.encode(document.text), attribute)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_one_kind_alone(world, tokenizer, kind: str) -> None:
    listed = list(Documents(FILE.read_text()).documents(kind))
    oracle, table = Oracle(world.only(kind), tokenizer), PrefixTable(listed, tokenizer)
    for document in listed[:: max(1, len(listed) // 7)]:
        assert_equal_rows(oracle, table, tokenizer.encode(document.text))


@pytest.mark.parametrize(("kind", "notation"), [*((kind, None) for kind in KINDS[1:]), ("told", "held")])
def test_targets_equal_enumeration(world, tokenizer, kind: str, notation: str | None) -> None:
    listed = list(Documents(FILE.read_text()).documents(kind, notation))
    oracle = Oracle(world.only(kind, notation=notation), tokenizer)
    mass, both = defaultdict(float), defaultdict(float)
    for document in listed:
        mass[document.prompt] += document.chance
        both[document.prompt, document.target] += document.chance
    pairs = list(both)[:: max(1, len(both) // 60)]
    for prompt, target in pairs:
        exact = math.log(both[prompt, target] / mass[prompt])
        assert math.isclose(oracle.target_log_prob(prompt, target), exact, abs_tol=1e-9), (prompt, target)


def test_a_target_among_all_kinds(world, listed, tokenizer) -> None:
    """The last answer is the target, though a document may go on to another question."""
    oracle, mass, both = Oracle(world, tokenizer), defaultdict(float), defaultdict(float)
    for document in listed:
        if document.kind == "asked":
            mass[document.prompt] += document.chance
            both[document.prompt, document.target] += document.chance
    for prompt, target in list(both)[::97]:
        if prompt.count("Q:") == 1:
            exact = math.log(both[prompt, target] / mass[prompt])
            assert math.isclose(oracle.target_log_prob(prompt, target), exact, abs_tol=1e-9)


def test_prompt_and_target_are_those_of_the_draw(world, listed) -> None:
    known = {(document.kind, document.prompt, document.target) for document in listed}
    for document in world.sample(2000, seed=4):
        assert document.prompt + document.target == document.text
        assert (document.attributes["kind"], document.prompt, document.target) in known


@pytest.mark.parametrize("kind", [None, "asked", "few", "end"])
def test_frequencies_are_the_exact_probabilities(world, kind: str | None) -> None:
    """Pearson's chi-squared statistic over the common texts lies within 4 standard deviations of its mean."""
    chance, n = Counter(), 8_000
    for document in Documents(FILE.read_text()).documents(kind):
        chance[document.text] += document.chance
    drawn = Counter(document.text for document in world.sample(n, seed=11, kind=kind))
    assert drawn.keys() <= chance.keys()
    common = {text: n * p for text, p in chance.items() if n * p >= 5}
    rare = (n - sum(common.values()), n - sum(drawn[text] for text in common))
    cells = [(e, drawn[text]) for text, e in common.items()] + [rare] * (rare[0] > 5)
    statistic, freedom = sum((o - e) ** 2 / e for e, o in cells), len(cells) - 1
    assert abs(statistic - freedom) < 4 * math.sqrt(2 * freedom)


def test_attributes_equal_enumeration(world, listed) -> None:
    for name, values in world.attributes().items():
        for value, prior in values.items():
            exact = sum(document.chance for document in listed if document.has((name, value)))
            assert math.isclose(prior, exact, abs_tol=1e-12), (name, value)


def test_log_probability_is_that_of_the_derivation(world, listed) -> None:
    chance, ways = defaultdict(float), Counter(document.text for document in listed)
    for document in listed:
        chance[document.text] += document.chance
    checked = 0
    for document in world.sample(800, seed=5):
        if ways[document.text] == 1:
            checked += 1
            assert math.isclose(document.log_probability, math.log(chance[document.text]), abs_tol=1e-9)
        assert document.log_probability <= math.log(chance[document.text]) + 1e-9
    assert checked > 100


def test_entropy_rate_of_all_kinds(world, listed, tokenizer) -> None:
    chance = defaultdict(float)
    for document in listed:
        chance[document.text] += document.chance
    bits = -sum(p * math.log2(p) for p in chance.values())
    tokens = sum(p * (len(tokenizer.encode(text)) + 1) for text, p in chance.items())
    rate, error = Oracle(world, tokenizer).entropy_rate(n=1500, seed=4)
    assert 0 < error < 0.05 * rate
    assert abs(rate - bits / tokens) < 4 * error


def test_the_floor_is_the_mean_over_all_documents(world, tokenizer) -> None:
    oracle, documents = Oracle(world, tokenizer), world.sample(40, seed=6)
    paths = [oracle.log_prob(document.text) for document in documents]
    tokens = sum(len(tokenizer.encode(document.text)) + 1 for document in documents)
    assert oracle.floor(documents) == pytest.approx(-sum(paths) / tokens)
    pairs = [(document.prompt, document.target) for document in documents if document.target_start]
    nats = [oracle.target_log_prob(*pair) for pair in pairs]
    sizes = [len(tokenizer.encode(target)) + 1 for _, target in pairs]
    assert oracle.target_floor(pairs) == pytest.approx(-np.sum(nats) / np.sum(sizes))


def test_bad_targets_name_their_place(world, tokenizer) -> None:
    oracle = Oracle(world.only("told", notation="held"), tokenizer)
    prompt, good = "Mia : went to : park , kite : has : Mia =", " Mia took the kite to the park."
    assert oracle.target_log_prob(prompt, good) < 0
    with pytest.raises(
        ValueError, match=r"no document has this target: after ' Mia took the' cannot come ' dog'"
    ):
        oracle.target_log_prob(prompt, " Mia took the dog")
    with pytest.raises(ValueError, match="no document has this prompt: after 'Mia :' cannot come ' flew"):
        oracle.target_log_prob("Mia : flew to : park =", good)
    with pytest.raises(ValueError, match="must end where a token does"):
        oracle.target_log_prob(f"{prompt} Mi", "a took the kite to the park.")
    with pytest.raises(ValueError, match="pass at least one"):
        oracle.target_floor([])


def test_unknown_kinds_and_notations_list_the_known(world) -> None:
    with pytest.raises(ValueError, match="no kind of document is called 'tale'; known: story, told"):
        world.only("tale")
    with pytest.raises(ValueError, match="kind 'told' has no notation 'dots'; known: bars, said, held"):
        world.only("told", notation="dots")
    with pytest.raises(ValueError, match="no plot is called 'war'; known: lost, count"):
        world.only("told", plots=("war",))
    with pytest.raises(ValueError, match="no kind of document is called 'tale'"):
        world.sample(1, kind="tale")
