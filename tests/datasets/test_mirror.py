"""The data sets of the offline mirror: exact counts, and what their cards claim of them."""

from __future__ import annotations

from minilm import datasets
from minilm.datasets import registry
from minilm.datasets.readers.webnlg import SEEN


def test_tinyshakespeare_is_whole_and_its_splits_are_its_parts(mirrored):
    whole = datasets.load("tinyshakespeare")
    assert len(whole.encode()) == 1_115_394
    assert whole == datasets.load("tinyshakespeare", split="all")
    train, dev, test = (datasets.load("tinyshakespeare", split=split) for split in ("train", "dev", "test"))
    assert train + dev + test == whole
    assert 0.899 < len(train) / len(whole) < 0.901
    assert 0.049 < len(dev) / len(whole) < 0.051
    assert train.endswith("\n\n") and dev.endswith("\n\n")


def test_webnlg_counts(mirrored):
    train, dev, test = (datasets.load("webnlg", split=split) for split in ("train", "dev", "test"))
    assert [len(train), len(dev), len(test)] == [6940, 872, 1862]
    assert sum(entry.seen for entry in test) == 971
    assert sum(not entry.seen for entry in test) == 891
    assert sum(len(entry.references) for entry in train) == 18_102
    assert {entry.category for entry in train} == {entry.category for entry in dev} == SEEN
    assert len({entry.category for entry in test} - SEEN) == 5


def test_webnlg_entry_reads_as_written(mirrored):
    first = next(entry for entry in datasets.load("webnlg", split="dev") if len(entry.triples) == 2)
    assert first.prompt.count(" | ") == 1
    assert first.targets[0] == "Abilene is in Texas and is served by the Abilene regional airport."


def test_sst2_counts(mirrored):
    train, dev = datasets.load("sst2"), datasets.load("sst2", split="dev")
    assert [len(train), len(dev)] == [6920, 872]
    assert sum(sentence.label for sentence in train) == 3610
    assert {sentence.targets for sentence in dev} == {("negative",), ("positive",)}


def test_e2e_counts(mirrored):
    dev = datasets.load("e2e", split="dev")
    assert len(dev) == 4672
    assert len({record.slots for record in dev}) == 547
    assert dict(dev[0].slots) == {"name": "Alimentum", "area": "city centre", "familyFriendly": "no"}


def test_every_mirrored_file_has_the_sha256_of_the_register(mirrored):
    for name in ("tinyshakespeare", "webnlg", "sst2"):
        card = datasets.card(name)
        assert set(card.checked.values()) == {"bytes"}
        for split in card.splits:
            assert len(datasets.load(name, split=split)) > 0


def test_the_first_records_are_the_first(mirrored):
    assert datasets.load("sst2", split="dev", n=7) == datasets.load("sst2", split="dev")[:7]


def test_every_card_is_complete():
    for name in datasets.names():
        card = datasets.card(name)
        assert all([card.title, card.origin, card.licence, card.record, card.splits])
        assert str(card).count("\n") >= 4 + len(card.files)
        for file in card.files:
            assert file.url.startswith("https://")
            assert card.checked[file.split] in ("bytes", "published")
            assert file.sha256 in str(card)
    assert set(registry.files()) <= set(datasets.names())
