"""The four words, against intervals computed by hand and by simulation."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons.verdicts import gains, in_words, interval, verdict


def test_the_interval_is_students():
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.303 / 3**0.5)


def test_it_holds_the_true_mean_in_nineteen_of_twenty_experiments():
    draw = random.Random(0)
    experiments = [[draw.gauss(0.3, 1.0) for _ in range(5)] for _ in range(2000)]
    held = [abs(interval(each)[0] - 0.3) <= interval(each)[1] for each in experiments]
    assert statistics.mean(held) == pytest.approx(0.95, abs=0.015)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12), st.floats(-1, 1))
def test_the_opposite_claim_has_the_opposite_verdict(values, margin):
    opposite = {"confirmed": "refuted", "refuted": "confirmed", "not shown": "not shown"}
    assert verdict([-value for value in values], -margin) == opposite[verdict(values, margin)]


def test_one_run_shows_nothing_and_none_tests_nothing():
    assert in_words([0.5]) == "not shown, +0.500, 1 run"
    assert in_words([]) == "not tested"
    assert in_words([0.5, 0.5, 0.5], unit="nats") == "confirmed, +0.500 ± 0.000 nats, 3 runs"


def test_gains_are_paired_by_seed():
    rows = {"a seed=0": {"x": 3.0}, "a seed=1": {"x": 5.0}, "b seed=1": {"x": 1.0}, "ab seed=0": {"x": 9.0}}
    assert gains(rows, "a", "b", "x") == [4.0]
    assert gains(rows, "a", "c", "x") == []
