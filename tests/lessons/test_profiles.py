"""Profiles: which one is chosen, and what a lesson asks of it."""

import pytest

from lessons import profiles
from lessons.profiles import PROFILES, VARIABLE, Profile, profile


@pytest.mark.parametrize("cuda, chosen", [(False, "cpu"), (True, "gpu")])
def test_the_machine_chooses_when_the_variable_is_unset(monkeypatch, cuda, chosen):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(profiles, "_cuda", lambda: cuda)
    assert profile().name == chosen


def test_the_variable_chooses_and_a_name_overrides_it(monkeypatch):
    monkeypatch.setenv(VARIABLE, "smoke")
    assert profile().name == "smoke"
    assert profile("cpu").name == "cpu"


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    assert profile().name in ("cpu", "gpu")


def test_an_unknown_name_is_an_error_that_lists_the_known(monkeypatch):
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(ValueError, match="'fast'.*smoke, cpu, gpu"):
        profile()


def test_gpu_without_cuda_is_an_error(monkeypatch):
    monkeypatch.setattr(profiles, "_cuda", lambda: False)
    with pytest.raises(ValueError, match="needs a CUDA device"):
        profile("gpu")


def test_pick_takes_its_own_value():
    assert [each.pick(smoke=1, cpu=2, gpu=3) for each in PROFILES.values()] == [1, 2, 3]


def test_it_prints_the_minutes_to_expect():
    text = str(PROFILES["cpu"])
    assert "cpu" in text
    assert "3 minutes a lesson" in text


def test_a_lesson_cannot_last_longer_than_the_course():
    with pytest.raises(ValueError, match="at most course_minutes=2, not 5"):
        Profile("odd", "cpu", minutes=5, course_minutes=2, purpose="none")
