"""The doctor looks at everything, raises for nothing, and says what to do about each thing that falls short."""

import os
import sys
from collections import namedtuple
from importlib import metadata

import pytest
import torch

from minilm import doctor
from minilm.checkpoints.tensors import CheckpointError


def test_every_fact_has_a_name_of_its_own_and_a_value():
    facts = doctor.examine()
    assert len({fact.name for fact in facts}) == len(facts) == len(doctor.LOOKS)
    assert all(fact.value for fact in facts)


def test_the_report_shows_every_fact_and_sets_advice_apart(monkeypatch):
    facts = (doctor.Fact("Python", "3.10", "use a newer one"), doctor.Fact("memory", "24 GiB"))
    monkeypatch.setattr(doctor, "LOOKS", [lambda fact=fact: fact for fact in facts])
    assert doctor.report() == "! Python  3.10\n          use a newer one\n✓ memory  24 GiB"


Version = namedtuple("Version", "major minor micro releaselevel serial")


@pytest.mark.parametrize("minor, fits", [(10, False), (11, True), (13, True), (14, False)])
def test_python(monkeypatch, minor, fits):
    monkeypatch.setattr(sys, "version_info", Version(3, minor, 0, "final", 0))
    assert (doctor.python().advice == "") is fits


@pytest.mark.parametrize(
    "version, fits", [("2.8.0", False), ("2.9.1+cpu", True), ("2.13.0a0+git", True), ("3.0", True)]
)
def test_torch(monkeypatch, version, fits):
    monkeypatch.setattr(torch, "__version__", version)
    assert (doctor.pytorch().advice == "") is fits


def test_too_few_cores_and_too_many_threads_are_told(monkeypatch):
    monkeypatch.setattr(doctor, "_usable_cores", lambda: 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert "2 cores" in doctor.cores().advice
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert "OMP_NUM_THREADS=1" in doctor.cores().advice
    monkeypatch.setattr(doctor, "_usable_cores", lambda: 8)
    assert doctor.cores() == ("CPU cores", "8 (8 threads)", "")


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert doctor.memory() == ("memory", "unknown", "")


PAGES = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**19}
"""Two GiB."""


def test_little_memory_is_told(monkeypatch):
    monkeypatch.setattr(os, "sysconf", PAGES.__getitem__)
    monkeypatch.setattr(doctor, "_free_memory", lambda: None)
    assert doctor.memory() == ("memory", "2 GiB", "the lessons need 4 GiB")


def test_memory_that_other_programs_hold_is_told(monkeypatch):
    monkeypatch.setattr(os, "sysconf", {**PAGES, "SC_PHYS_PAGES": 2**22}.__getitem__)
    monkeypatch.setattr(doctor, "_free_memory", lambda: 9.0)
    assert doctor.memory() == ("memory", "16 GiB, 9 GiB free", "")
    monkeypatch.setattr(doctor, "_free_memory", lambda: 1.0)
    assert "close other programs" in doctor.memory().advice


def test_free_memory_is_read_where_the_system_tells(monkeypatch):
    told = doctor._free_memory()
    assert told is None or told > 0
    monkeypatch.setattr(
        doctor.Path, "read_text", lambda *_, **__: "MemTotal: 5 kB\nMemAvailable: 3145728 kB\n"
    )
    assert doctor._free_memory() == 3.0
    monkeypatch.setattr(doctor.Path, "read_text", lambda *_, **__: "nothing")
    assert doctor._free_memory() is None


def test_a_full_disk_is_told_for_the_course_and_for_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MINILM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "free_space", lambda folder: 7 * 2**30)
    assert doctor.cache() == ("cache", f"{tmp_path / 'cache'}, 7 GiB free", "")
    monkeypatch.setattr(doctor, "free_space", lambda folder: 2**30)
    assert "free 2 GiB" in doctor.disk().advice
    assert "MINILM_CACHE" in doctor.cache().advice


@pytest.mark.parametrize("error, found", [(FileNotFoundError, "absent"), (CheckpointError, "damaged")])
def test_a_bundled_model_that_does_not_open_is_told_with_its_remedy(monkeypatch, error, found):
    def fail(name):
        raise error("no")

    monkeypatch.setattr(doctor, "load_pretrained", fail)
    fact = doctor.checkpoint()
    assert (fact.value, "git checkout" in fact.advice) == (found, True)


def test_a_mirror_that_is_not_a_folder_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("MINILM_DATA", str(tmp_path))
    assert doctor.data().advice == ""
    monkeypatch.setenv("MINILM_DATA", str(tmp_path / "nowhere"))
    assert "does not name a folder" in doctor.data().advice


def test_absent_libraries_are_named(monkeypatch):
    def version(name):
        if name == "peft":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)
    assert doctor.reference_libraries() == (
        "reference libraries",
        "transformers 1.0, tokenizers 1.0",
        "make lab installs peft",
    )
