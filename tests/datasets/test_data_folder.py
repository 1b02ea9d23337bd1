"""What the folder `data/` says of the data sets agrees with the register."""

from __future__ import annotations

import re
from pathlib import Path

from minilm import datasets
from minilm.datasets import commands

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_readme_lists_every_downloaded_set_with_its_licence_and_size():
    text = (REPOSITORY / "data" / "README.md").read_text(encoding="utf-8")
    rows = {row[1]: row[0] for row in re.finditer(r"^\| `([a-z0-9-]+)` .*$", text, re.MULTILINE)}
    cards = [datasets.card(name) for name in datasets.names()]
    downloaded = {card.name: card for card in cards if card.files}
    assert rows.keys() == downloaded.keys()
    for name, card in downloaded.items():
        assert f"| {commands.size(card)} |" in rows[name]
        assert card.licence.split(":")[0].split(";")[0] in rows[name]
