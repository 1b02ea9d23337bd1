"""The checkpoints that come with the course: small, near the floor, and one tells stories that its world can tell."""

from __future__ import annotations

import pytest
import torch

from minilm import BPETokenizer, generate, load_pretrained
from minilm.checkpoints.folders import BUNDLED
from minilm.pretraining.corpus import StoryCorpus
from minilm.storyworld import Oracle, StoryWorld
from minilm.system.manifest import MANIFEST, read_manifest

FARTHEST = 1.07
"""Most that the base's loss may be of the floor."""
FOLDERS = pytest.mark.parametrize(
    "folder", [BUNDLED / "storyworld", BUNDLED / "stories"], ids=lambda path: path.name
)


@pytest.fixture(scope="module")
def bundled():
    return load_pretrained("storyworld")


@pytest.fixture(scope="module")
def teller():
    """The small model that has read plain stories alone."""
    return load_pretrained("stories")


@FOLDERS
def test_it_is_small(folder):
    assert sum(file.stat().st_size for file in folder.iterdir()) < 8e6


@FOLDERS
def test_its_manifest_names_the_bytes_of_its_files(folder):
    manifest = read_manifest(folder)
    assert manifest.files.keys() == {file.name for file in folder.iterdir()} - {MANIFEST}
    for name, entry in manifest.files.items():
        assert entry.matches(folder / name), name


def corpus(world: StoryWorld, tok: BPETokenizer, n: int, seed: int) -> StoryCorpus:
    """Documents that nobody has trained on."""
    held_out = world.sample(n, seed=seed)
    kinds = tuple(document.attributes["kind"] for document in held_out)
    return StoryCorpus(tok, [], [tok.encode(document.text) for document in held_out], world, kinds=kinds)


def test_the_teller_of_stories_stands_within_one_percent_of_the_floor(teller):
    model, tok = teller
    held_out = corpus(StoryWorld("stories"), tok, 120, 20_000)
    assert 1 < held_out.loss(model) / held_out.floor < 1.01


def test_the_base_stands_near_the_floor(bundled):
    model, tok = bundled
    held_out = corpus(StoryWorld(), tok, 300, 20_000)
    assert 1 < held_out.loss(model) / held_out.floor < FARTHEST


@pytest.mark.parametrize(("top_p", "expected"), [(None, 0.9), (0.99, 0.95)])
def test_its_stories_are_possible(teller, top_p, expected):
    model, tok = teller
    oracle, end = Oracle(StoryWorld("stories"), tok), tok.end_of_text
    start = torch.full((200, 1), end)
    told = generate(model, start, 160, top_p=top_p, seed=7, stop_token=end)[:, 1:].tolist()
    stories = [ids[: ids.index(end) + 1] for ids in told if end in ids]
    possible = [story for story in stories if oracle.left_world(story) is None]
    assert len(possible) >= expected * len(told)
