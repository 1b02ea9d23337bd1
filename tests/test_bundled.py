"""The checkpoint that comes with the course: small, near the floor, and a teller of stories that its world can tell."""

from __future__ import annotations

import pytest
import torch

from minilm import generate, load_pretrained
from minilm.checkpoints.folders import BUNDLED
from minilm.pretraining.corpus import StoryCorpus
from minilm.storyworld import Oracle, StoryWorld
from minilm.system.manifest import MANIFEST, read_manifest

FOLDER = BUNDLED / "storyworld"


@pytest.fixture(scope="module")
def bundled():
    return load_pretrained("storyworld")


def test_it_is_small():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 10e6


def test_its_manifest_names_the_bytes_of_its_files():
    manifest = read_manifest(FOLDER)
    assert manifest.files.keys() == {file.name for file in FOLDER.iterdir()} - {MANIFEST}
    for name, entry in manifest.files.items():
        assert entry.matches(FOLDER / name), name


def test_it_stands_within_one_percent_of_the_floor(bundled):
    model, tok = bundled
    world = StoryWorld()
    held_out = [tok.encode(story.text) for story in world.sample(120, seed=20_000)]
    corpus = StoryCorpus(tok, [], held_out, world)
    assert 1 < corpus.loss(model) / corpus.floor < 1.01


@pytest.mark.parametrize(("top_p", "expected"), [(None, 0.9), (0.99, 0.95)])
def test_its_stories_are_possible(bundled, top_p, expected):
    model, tok = bundled
    oracle, end = Oracle(StoryWorld(), tok), tok.end_of_text
    start = torch.full((200, 1), end)
    told = generate(model, start, 160, top_p=top_p, seed=7, stop_token=end)[:, 1:].tolist()
    stories = [ids[: ids.index(end) + 1] for ids in told if end in ids]
    possible = [story for story in stories if oracle.left_world(story) is None]
    assert len(possible) >= expected * len(told)
