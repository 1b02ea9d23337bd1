"""pyproject.toml says what the code needs, requirements.lock which one version of each, environment.yml repeats neither."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [Requirement(line) for lines in (PROJECT["dependencies"], *EXTRAS.values()) for line in lines]
PYTHONS = ("3.11", "3.12", "3.13")
ACCELERATOR = re.compile(r"(nvidia|cuda|triton)\b.*")
"""What torch's build for a platform brings along; it is not pinned, for torch names its own versions."""


def read_lock() -> dict[str, Version]:
    """Name -> the version it is pinned at; a line that is no exact pin is an error here."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins: dict[str, Version] = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()
            assert canonicalize_name(name) not in pins, f"{name} is pinned twice"
            pins[canonicalize_name(name)] = Version(version)
    return pins


PINS = read_lock()


def needed(root: str, extras: set[str]) -> set[str]:
    """Names of all distributions that one needs here, directly or through others."""
    seen: set[tuple[str, str]] = set()
    queue = [(root, extra) for extra in ("", *extras)]
    while queue:
        name, extra = queue.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for requirement in map(Requirement, metadata.requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                child = canonicalize_name(requirement.name)
                queue += [(child, part) for part in ("", *requirement.extras)]
    return {name for name, _ in seen} - {root}


def test_every_requirement_is_pinned_at_a_version_that_it_admits():
    outside = [
        r
        for r in DECLARED
        if r.name != "minilm" and not r.specifier.contains(PINS[canonicalize_name(r.name)])
    ]
    assert outside == []


def test_what_the_requirements_need_in_turn_is_pinned_and_nothing_else_is():
    names = {name for name in needed("minilm", {"test"}) if not ACCELERATOR.fullmatch(name)}
    assert names - PINS.keys() == set()
    assert PINS.keys() - names <= {"setuptools"}, "pinned, and needed by nothing: renew the lock"


def test_the_pinned_set_is_the_one_under_test():
    other = {
        name: str(pin) for name, pin in PINS.items() if Version(metadata.version(name)).public != pin.public
    }
    assert other == {}


def test_torch_may_be_older_than_its_pin():
    admitted = next(requirement for requirement in DECLARED if requirement.name == "torch").specifier
    assert admitted.contains("2.9.0")
    assert PINS["torch"] == Version("2.13.0")


@pytest.mark.parametrize("wanted", PYTHONS)
def test_the_pythons_are_those_that_every_file_names(wanted):
    assert SpecifierSet(PROJECT["requires-python"]).contains(wanted)
    bounds = re.search(r"\((\d+), (\d+)\) <= sys\.version_info < \((\d+), (\d+)\)", makefile())
    low, high = (tuple(map(int, bounds.groups()[at : at + 2])) for at in (0, 2))
    assert low <= tuple(map(int, wanted.split("."))) < high
    assert low <= sys.version_info < high


def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def test_conda_takes_its_python_from_the_range_and_all_else_from_the_lock():
    python, pip, installed = ENVIRONMENT["dependencies"]
    version = python.removeprefix("python=")
    assert version in PYTHONS
    assert pip == "pip"
    assert installed == {"pip": ["-r requirements.lock", "-e .[test]"]}


def test_make_installs_what_conda_installs():
    assert "-r requirements.lock -e '.[test]'" in makefile()


def test_no_lesson_installs_anything():
    sources = [*ROOT.glob("lessons/*.py"), *ROOT.glob("notebooks/*.ipynb")]
    assert sources
    assert [
        path.name for path in sources if re.search(r"\bpip install\b", path.read_text(encoding="utf-8"))
    ] == []
