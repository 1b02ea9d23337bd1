"""The tuning lab: every method runs, shows its own sliders, leaves the base as it was, and can be stopped."""

import pytest
import torch

from lessons.widgets import TuningLab, TuningSettings
from lessons.widgets.tuning_lab import KNOBS, RATES, method_of
from minilm import MiniLM, ModelConfig

EXAMPLES = [([1, 2, 3], [4, 5, 0]), ([1, 3], [6, 0]), ([2, 2, 1], [4, 0])]


@pytest.fixture
def base():
    torch.manual_seed(0)
    return MiniLM(ModelConfig(vocab_size=12, context_length=40, n_layer=1, n_head=2, d_model=16)).eval()


@pytest.fixture
def lab(base):
    settings = TuningSettings(rank=2, length=2, bottleneck=2, steps=12)
    return TuningLab(
        base, EXAMPLES, EXAMPLES[:2], sample=lambda model: "text", settings=settings, device="cpu"
    )


def shown(lab):
    return {name for name, slider in lab.sliders.items() if slider.layout.display != "none"}


@pytest.mark.parametrize("name", KNOBS)
def test_every_method_learns_and_leaves_the_base_as_it_was(lab, base, name):
    before = {key: tensor.clone() for key, tensor in base.state_dict().items()}
    run = lab.run(method=name, network=False)
    losses = [each.loss for each in run.result.evaluations]
    assert run.model.methods.keys() == {name} and run.settings.learning_rate == RATES[name]
    assert min(losses) < losses[0]
    assert all(torch.equal(tensor, before[key]) for key, tensor in base.state_dict().items())


@pytest.mark.parametrize("name", KNOBS)
def test_a_method_shows_its_own_sliders_and_a_rate_that_suits_it(lab, name):
    lab.sliders["method"].value = name
    assert shown(lab) == {"method", "learning_rate", "steps", *KNOBS[name]}
    assert lab.sliders["learning_rate"].value == pytest.approx(RATES[name])


def test_sliders_reach_the_method(base):
    settings = TuningSettings(
        rank=3, alpha=5.0, length=4, network=False, bottleneck=7, key_bottleneck=5, value_bottleneck=6
    )
    of = {name: method_of(TuningSettings(**{**vars(settings), "method": name})) for name in KNOBS}
    assert (of["lora"].rank, of["lora"].alpha) == (3, 5.0)
    assert (of["prefix"].length, of["prefix"].reparameterize, of["prompt"].length) == (4, False, 4)
    assert of["adapter"].bottleneck == of["parallel-adapter"].bottleneck == of["mam"].bottleneck == 7
    assert (of["inducer"].key_bottleneck, of["inducer"].value_bottleneck) == (5, 6)
    assert (of["mam-inducer"].value_bottleneck, of["mam-inducer"].bottleneck) == (6, 7)


def test_runs_are_compared_in_a_table(lab):
    lab.run(method="lora", rank=1)
    lab.run(method="lora", rank=4)
    table = lab.table()
    assert list(table.index) == ["run 1", "run 2"]
    assert table["stored"].tolist() == [2 * 2 * 16 * 1, 2 * 2 * 16 * 4]
    assert table["settings"].iloc[1] == "lora · rank 4 · alpha 16.0 · rate 0.02"
    assert table["held-out loss"].max() < lab.loss(lab.base)


def test_a_rate_of_the_readers_own_is_kept(lab):
    assert lab.run(method="prompt", learning_rate=0.02).settings.learning_rate == 0.02


def test_what_cannot_be_is_told(lab):
    lab.sliders["rank"].max = 99
    with pytest.raises(ValueError, match="rank 50 exceeds 16"):
        lab.run(rank=50)
    with pytest.raises(ValueError, match="no method 'magic'"):
        lab.run(method="magic")
    lab.run(method="bitfit")  # and the lab goes on


def test_run_and_stop_in_the_background(lab):
    lab.sliders["steps"].max = 100_000
    lab.sliders["steps"].value = 100_000
    lab.start()
    while not (lab.runs and lab.newest.records):
        assert not lab.wait(0.01)
    lab.stop()
    assert lab.wait(20) and lab.error is None
    assert lab.kept[0].result.stopped and 0 < lab.kept[0].result.steps < 100_000
