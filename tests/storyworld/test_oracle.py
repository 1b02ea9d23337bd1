"""What must hold of the oracle on the course's own world, whose stories are too many to list."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from minilm.storyworld import Oracle, StoryWorld
from minilm.storyworld.filtering import Filter
from minilm.storyworld.units import Encoder


@pytest.fixture(scope="module")
def oracle(course, course_tokenizer) -> Oracle:
    return Oracle(course, course_tokenizer(1024))


@pytest.mark.parametrize("vocab_size", [300, 1024, 4096])
def test_rows_sum_to_one_at_every_position_of_1000_stories(course, course_tokenizer, vocab_size: int) -> None:
    tokenizer = course_tokenizer(vocab_size)
    assert tokenizer.vocab_size == vocab_size
    oracle = Oracle(course, tokenizer)
    for story in course.sample(1000, seed=20):
        table = oracle.log_probs(tokenizer.encode(story.text)).numpy()  # (T + 1, vocab)
        positions, tokens = np.nonzero(table > -np.inf)  # few: exp of them alone keeps the test short
        sums = np.bincount(positions, weights=np.exp(table[positions, tokens]), minlength=len(table))
        assert abs(sums - 1).max() < 1e-9
        assert table[-1].argmax() == tokenizer.end_of_text
        assert abs(table[-1].max()) < 1e-9  # after a full story, end-of-text is certain


@pytest.mark.parametrize("name", ["keyword", "ending", "plot", "hero"])
def test_conditional_rows_sum_to_one(course, oracle, name: str) -> None:
    for value in list(course.attributes()[name])[:3]:
        for story in course.sample(5, seed=21, attribute=(name, value)):
            table = oracle.log_probs(oracle.encode(story.text), (name, value))
            assert (table.exp().sum(-1) - 1).abs().max() < 1e-9


def test_rejection_sampling_agrees(mini: StoryWorld, mini_tokenizer) -> None:
    """Among those of 200,000 stories that have it, next tokens are as frequent as the oracle says."""
    oracle, attribute, n = Oracle(mini, mini_tokenizer), ("keyword", "however"), 200_000
    told = Counter(s.text for s in mini.sample(n, seed=6) if "however" in s.attributes["keyword"])
    kept = {tuple(oracle.encode(text)): count for text, count in told.items()}
    path = oracle.encode(mini.sample(1, seed=9, attribute=attribute)[0].text)
    table, compared = oracle.log_probs(path, attribute).exp().numpy(), 0  # (T + 1, vocab)
    for t, chances in enumerate(table[:-1]):
        seen = np.zeros_like(chances)
        for ids, count in kept.items():
            seen[ids[t]] += count
        expected = seen.sum() * chances
        error = np.sqrt(expected * (1 - chances).clip(0))
        assert (seen[chances < 1e-12] == 0).all()
        usual = (expected >= 20) & (error > 1e-3)
        compared += usual.sum()
        assert (abs(seen - expected)[usual] <= 4 * error[usual]).all(), t
        kept = {ids: count for ids, count in kept.items() if ids[t] == path[t]}
    assert compared > 10
    assert abs(told.total() / n - mini.attributes()["keyword"]["however"]) < 4 * 0.5 / math.sqrt(n)


@pytest.mark.parametrize("name", ["keyword", "ending", "plot", "hero"])
def test_posterior_is_a_martingale(course, oracle, name: str) -> None:
    """Averaged over stories P(a | x_<t) stays what it is at t = 0, and ends as 0 or 1, rightly."""
    value, prior = max(course.attributes()[name].items(), key=lambda item: item[1] * (1 - item[1]))
    stories = course.sample(800, seed=22)
    tracks = []
    for story in stories:
        track = oracle.posterior(oracle.tokenizer.encode(story.text), (name, value)).numpy()
        has = value in story.attributes[name] if name == "keyword" else story.attributes[name] == value
        assert track[-1] == pytest.approx(float(has), abs=1e-9)
        tracks.append(track)
    for t in (0, 1, 2, 5, 10, 20, 40, 80, 10_000):
        at_t = np.array([track[min(t, len(track) - 1)] for track in tracks])
        assert abs(at_t.mean() - prior) <= 4 * at_t.std() / math.sqrt(len(at_t)) + 1e-12, t


def test_posterior_is_h_summed_over_the_live_states(course, oracle) -> None:
    """P(a | x_<t) by Bayes' rule and as the mean of h over the derivations between two pieces of text."""
    condition = course.condition(("ending", "sad"))
    free = Filter(course.automaton, Encoder(oracle.tokenizer))
    ids = oracle.tokenizer.encode(course.sample(1, seed=23)[0].text)
    posterior, belief, checked = oracle.posterior(ids, ("ending", "sad")), free.start(), 0
    for t, token in enumerate(ids):
        if not belief.inside:
            h = sum(weight * condition.h(state.node) for state, weight in belief.between.items())
            assert h == pytest.approx(posterior[t].item(), abs=1e-9)
            checked += 1
        belief = free.read(belief, token, free.next_tokens(belief)[token])
    assert checked > 10


def test_shift_is_the_difference_of_the_tables(course, oracle) -> None:
    attribute = ("ending", "happy")
    ids = oracle.tokenizer.encode(course.sample(1, seed=24, attribute=attribute)[0].text)
    base, steered, shift = (
        oracle.log_probs(ids),
        oracle.log_probs(ids, attribute),
        oracle.shift(ids, attribute),
    )
    possible = base > -torch.inf
    assert torch.equal(shift[possible], (steered - base)[possible])
    assert (shift[~possible] == 0).all()
    assert not shift.isnan().any()


def test_the_stream_goes_on_into_the_next_story(course, oracle) -> None:
    first, second = (oracle.encode(story.text) for story in course.sample(2, seed=25))
    table = oracle.log_probs([*first, *second])
    assert torch.allclose(table[: len(first)], oracle.log_probs(first)[:-1], atol=1e-12)
    assert torch.allclose(table[len(first) :], oracle.log_probs(second), atol=1e-12)
    track = oracle.posterior([*first, *second], ("ending", "happy"))
    assert len(track) == len(table)
    assert track[len(first)].item() == pytest.approx(course.attributes()["ending"]["happy"])
    assert oracle.log_prob([*first, *second]) == pytest.approx(
        oracle.log_prob(first) + oracle.log_prob(second)
    )


def test_leaving_the_world(course, oracle) -> None:
    ids = oracle.encode(course.sample(1, seed=26)[0].text)
    assert oracle.left_world(ids) is None
    strange = [*ids[:9], *oracle.tokenizer.encode(" zebra zebra"), *ids[9:]]
    left = oracle.left_world(strange)
    assert left is not None and left >= 9
    table = oracle.log_probs(strange)
    assert table[left, strange[left]] == -torch.inf
    assert (table[left + 1 :] == -torch.inf).all()
    assert oracle.log_prob(strange) == -math.inf
    track = oracle.posterior(strange[:-1], ("ending", "happy"))  # end-of-text would begin anew
    assert track[left + 1 :].isnan().all() and not track[: left + 1].isnan().any()
    assert oracle.left_world([10**9]) == oracle.left_world([-1]) == 0


def test_an_attribute_that_can_no_longer_come_true(course, oracle) -> None:
    ids = oracle.encode(course.sample(1, seed=27, attribute=("ending", "happy"))[0].text)
    assert oracle.left_world(ids) is None
    left = oracle.left_world(ids, ("ending", "sad"))
    assert left is not None
    assert oracle.posterior(ids[:-1], ("ending", "sad"))[-1] == 0


def test_entropy_rate_is_the_mean_loss_of_the_oracle(course, oracle) -> None:
    bits, error = oracle.entropy_rate(n=100, seed=1)
    assert error <= 0.005 * bits
    paths = [oracle.log_prob(s.text) for s in course.sample(1500, seed=28)]
    lengths = [len(oracle.encode(s.text)) for s in course.sample(1500, seed=28)]
    residual = -np.array(paths) / math.log(2) - bits * np.array(lengths)  # mean 0 if the rate is right
    assert abs(residual.mean()) < 4 * residual.std() / math.sqrt(len(residual))


def test_floor(course, oracle) -> None:
    stories = course.sample(20, seed=29)
    nats, tokens = (
        sum(oracle.log_prob(s.text) for s in stories),
        sum(len(oracle.encode(s.text)) for s in stories),
    )
    assert oracle.floor(stories) == pytest.approx(-nats / tokens)
    assert oracle.floor([s.text for s in stories]) == oracle.floor(stories)
    sad = course.sample(20, seed=29, attribute=("ending", "sad"))
    assert oracle.floor(sad, ("ending", "sad")) < oracle.floor(sad)


def test_bad_input(oracle) -> None:
    with pytest.raises(ValueError, match="no story continues like this"):
        oracle.floor(["Once there was a zebra."])
    with pytest.raises(ValueError, match="at least one"):
        oracle.floor([])
    with pytest.raises(ValueError, match="at least 2"):
        oracle.entropy_rate(n=1)
    with pytest.raises(ValueError, match="tokenizer.encode"):
        oracle.log_probs("Mia")
    with pytest.raises(ValueError, match="shape"):
        oracle.log_probs(torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="unknown attribute 'mood'"):
        oracle.log_probs([], ("mood", "glad"))
