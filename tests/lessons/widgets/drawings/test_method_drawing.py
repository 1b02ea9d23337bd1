"""The drawing of a method shows what the method says of itself: its sites, its layers, the weights it replaces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from lessons.widgets.drawings import method_drawing, sites
from lessons.widgets.drawings.acting import action
from lessons.widgets.drawings.acting_words import EFFECTS
from lessons.widgets.drawings.model import SITES as DRAWN
from lessons.widgets.drawings.model import WEIGHTS
from minilm import MiniLM, ModelConfig, tuning
from minilm.model.sites import SITES
from minilm.tuning.method import Attachment, Method

SHAPE = ModelConfig(vocab_size=64, context_length=64, n_layer=3, n_head=2, d_model=32)


@pytest.fixture(scope="module")
def base():
    torch.manual_seed(0)
    return MiniLM(SHAPE)


def named_sites(read, drawing) -> list[str]:
    """The names that stand at markers."""
    texts = read(drawing).find("div/svg").findall("text")
    style = {"dr-strong", "dr-small", "dr-code"}
    return [each.text for each in texts if style <= set((each.get("class") or "").split())]


def tuned_boxes(read, drawing) -> int:
    """Boxes with the color of tuned weights, the legend's sample included."""
    return len(read(drawing).find("div/svg").findall("rect[@class='dr-tuned']"))


def test_every_site_and_every_weight_of_the_model_has_its_place(base):
    assert set(DRAWN) == set(SITES) == set(EFFECTS)
    modules = {
        re.sub(r"^blocks\.\d+", "blocks", name.rpartition(".")[0]) for name, _ in base.named_parameters()
    }
    assert set(WEIGHTS) == modules


def test_the_drawing_of_the_sites_names_them_all(read):
    assert sorted(named_sites(read, sites())) == sorted(SITES)


@pytest.mark.parametrize("name", tuning.METHODS)
def test_a_method_names_exactly_the_sites_at_which_it_has_a_delta(read, base, name):
    tuned = tuning.attach(base, tuning.METHODS[name]())
    used = {site for site, _ in tuned.sites().deltas}
    drawing = method_drawing(name)
    assert sorted(named_sites(read, drawing)) == sorted(used)
    assert method_drawing(tuned).caption == drawing.caption
    rings = read(drawing).findall("div/svg/circle[@class='dr-ring']")
    assert len(rings) == len(SITES) - len(used) + 1  # and the legend's
    tuned.detach()


def test_settings_show(read):
    assert named_sites(read, method_drawing(tuning.LoRA(targets=("up", "key")))) == ["key", "up"]
    assert named_sites(read, method_drawing(tuning.Adapter(placement="houlsby"))) == ["attention_out", "mlp"]
    assert named_sites(read, method_drawing(tuning.Inducer(query_rank=4))) == ["query", "attention"]


def test_replaced_weights_show(read):
    everything = method_drawing("fine-tuning")
    assert (
        tuned_boxes(read, everything) == len(WEIGHTS) + 1 + 1
    )  # the head is the embedding again; the legend
    assert everything.caption == "fine-tuning: replaces every weight."
    biases = method_drawing("bitfit")
    assert biases.caption == "bitfit: replaces every bias; all other weights stay frozen."
    assert tuned_boxes(read, biases) == sum("embedding" not in name for name in WEIGHTS) + 1
    no_norms = method_drawing(tuning.BitFit(layer_norm=False))
    assert "bias in 6 of 11 modules" in no_norms.caption


def test_several_methods_on_one_model(read, base):
    tuned = tuning.attach(base, [tuning.Prompt(2), tuning.BitFit()])
    drawing = method_drawing(tuned)
    assert named_sites(read, drawing) == ["embedding"]
    assert (
        drawing.caption
        == "prompt + bitfit: adds a delta at embedding and replaces every bias; all other weights stay frozen."
    )
    tuned.detach()


class OneLayer(Attachment):
    """A delta on one key map, and a query map of another layer replaced."""

    def __init__(self, base):
        super().__init__()
        self.row = torch.nn.Parameter(torch.zeros(base.config.d_model))
        self.name = next(
            name for name, _ in base.named_parameters() if name.endswith("1.attention.query.weight")
        )
        self.copy = torch.nn.Parameter(dict(base.named_parameters())[self.name].detach().clone())

    def deltas(self):
        return {("key", 0): lambda x, y: self.row}

    def weights(self):
        return {self.name: self.copy}


@dataclass(frozen=True)
class New(Method):
    """A method that nobody has drawn."""

    name: ClassVar[str] = "<new>"
    acts_at: ClassVar[str] = "key"

    def build(self, base):
        return OneLayer(base)


def test_a_new_method_has_its_drawing_for_free(read):
    drawing = method_drawing(New())
    acts = action(New())
    assert acts.sites == {"key": (0,)}
    assert acts.replaced == {"blocks.attention.query": ("weight",)}
    assert not acts.whole and not acts.every
    assert named_sites(read, drawing) == ["key"]
    assert drawing.description == (
        "The block of the model. A plus sign marks key (1 of 12 layers). 1 of 11 modules have replaced weights."
    )
    assert "added to x W + b, in 1 of 12 layers" in "".join(read(drawing).find("div/svg").itertext())
    assert tuned_boxes(read, drawing) == 1 + 1


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(ValueError, match="method must be one of fine-tuning, .*, not 'lora-2'"):
        method_drawing("lora-2")


class NeedsNumbers(tuning.LoRA):
    """A method that looks at the numbers of its base."""

    def build(self, base):
        float(base.token_embedding.weight.sum())
        return super().build(base)


def test_a_method_that_needs_a_real_model_says_so(base):
    with pytest.raises(ValueError, match="draw the tuned model"):
        method_drawing(NeedsNumbers(2))
    tuned = tuning.attach(base, NeedsNumbers(2))
    assert method_drawing(tuned).caption == method_drawing("lora").caption
    tuned.detach()


def test_a_prefix_of_words_is_drawn_as_any_prefix():
    words = tuning.Prefix(2, reparameterize=False, init=(1, 2))
    assert method_drawing(words).caption == method_drawing("prefix").caption
