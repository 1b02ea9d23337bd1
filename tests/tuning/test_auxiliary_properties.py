"""The table of methods says what is known of them from their equations."""

from __future__ import annotations

import torch

from minilm.evaluation.comparison import PROBE, RELATIVES, comparison, properties
from minilm.tuning import METHODS, LoRA, Prefix, count_on


def test_every_method_and_relative_is_in_the_table_as_its_equations_have_it():
    table = comparison()
    assert list(table) == [*METHODS, *RELATIVES]

    def having(name: str) -> set[str]:
        return {each for each, row in table.items() if getattr(row, name)}

    assert having("share_changed") == {"fine-tuning", "bitfit", "from scratch"}
    adds_none = {"fine-tuning", "bitfit", "from scratch", "few-shot", "pplm"}
    assert having("adds_parameters") == set(table) - adds_none
    assert having("outside_the_base") == {"auxiliary", "side", "experts"}
    assert having("takes_attribute") == {"auxiliary", "from scratch", "few-shot", "pplm"}
    assert having("keeps_window") == set(table) - {"prompt", "from scratch", "few-shot"}
    assert having("merges") == {"fine-tuning", "bitfit", "lora"}


def test_the_share_that_changes_is_counted():
    assert properties(METHODS["fine-tuning"]()).share_changed == 1
    bitfit = METHODS["bitfit"]()
    assert properties(bitfit).share_changed == count_on(PROBE, bitfit).trained / count_on(PROBE, bitfit).base


def test_it_hangs_on_the_settings_and_leaves_the_random_numbers_alone():
    state = torch.random.get_rng_state()
    assert not properties(Prefix(shift_positions=True)).keeps_window
    assert properties(LoRA(bias=True)).merges
    assert torch.equal(state, torch.random.get_rng_state())
