"""The tuning lab: every method runs, shows its own sliders, leaves the base as it was, and can be stopped."""

import pytest
import torch

from lessons.widgets import TuningLab, TuningSettings
from lessons.widgets.tuning_settings import FIELDS, RATES, docs, method_of
from minilm import MiniLM, ModelConfig, tuning
from minilm.tuning import METHODS, attach

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


@pytest.mark.parametrize("name", FIELDS)
def test_every_method_learns_and_leaves_the_base_as_it_was(lab, base, name):
    before = {key: tensor.clone() for key, tensor in base.state_dict().items()}
    run = lab.run(method=name, reparameterize=False)
    losses = [each.loss for each in run.result.evaluations]
    assert run.model.methods.keys() == {name} and run.settings.learning_rate == RATES[name]
    assert min(losses) < losses[0]
    assert all(torch.equal(tensor, before[key]) for key, tensor in base.state_dict().items())


@pytest.mark.parametrize("name", FIELDS)
def test_a_method_shows_its_own_sliders_and_a_rate_that_suits_it(lab, name):
    lab.sliders["method"].value = name
    assert shown(lab) == {"method", "learning_rate", "steps", *FIELDS[name]}
    assert lab.sliders["learning_rate"].value == pytest.approx(RATES[name])


def test_sliders_reach_the_method(base):
    settings = TuningSettings(
        rank=3, alpha=5.0, length=4, reparameterize=False, bottleneck=7, key_bottleneck=5, value_bottleneck=6
    )
    of = {name: method_of(TuningSettings(**{**vars(settings), "method": name})) for name in FIELDS}
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
    assert table["settings"].iloc[1] == "lora · rank 4 · alpha 16 · rate 0.01"
    assert table["held-out loss"].max() < lab.loss(lab.base)


def test_every_control_is_for_a_field_that_the_method_documents():
    for name in FIELDS:
        told = docs(name)
        assert set(told) == set(FIELDS[name]) <= set(METHODS[name].__dataclass_fields__)
        assert all(text.endswith(".") and "\n" not in text for text in told.values())
    assert docs("inducer")["key_bottleneck"].startswith("r_k, width inside f_k")


def test_a_slider_says_what_the_picked_method_says_about_it(lab):
    lab.sliders["method"].value = "mam"
    assert lab.sliders["length"].tooltip == "Slots of the prefix; 30 for summarisation in the paper."
    lab.sliders["method"].value = "prompt"
    assert lab.sliders["length"].tooltip == "Virtual tokens before the text."
    assert "Virtual tokens before the text." in lab.output.value


@pytest.mark.parametrize("name", FIELDS)
def test_parameters_are_counted_as_the_sliders_turn_and_truly(lab, base, name):
    lab.sliders["method"].value = name
    for length in (1, 5):
        lab.sliders["length"].value = length
        count = attach(base, method_of(lab.settings)).count()
        assert f"<b>{count.trained:,}</b> parameters trained" in lab.output.value
        assert f"<b>{count.stored:,}</b> stored" in lab.output.value


def test_what_cannot_be_run_is_said_before_it_is(lab):
    lab.sliders["rank"].max = 99
    lab.sliders["rank"].value = 50
    assert lab.error is None
    assert "rank 50 exceeds 16" in lab.output.value


def test_each_method_begins_at_a_rate_that_suits_it(base):
    for name in FIELDS:
        settings = TuningSettings(method=name)
        lab = TuningLab(base, EXAMPLES, EXAMPLES, sample=lambda m: "", settings=settings, methods=[name])
        assert lab.settings.rate == pytest.approx(RATES[name])


def test_the_second_run_brings_a_plot_of_quality_over_parameters(lab, read):
    lab.run(method="lora", rank=1)
    assert "Lowest held-out loss over stored parameters" not in lab.output.value
    lab.run(method="lora", rank=4)
    page = read(lab.output.value)
    label = next(value for _, value in page.attributes if str(value).startswith("Held-out loss over stored"))
    stored = [run.model.count().stored for run in lab.kept]
    losses = [min(each.loss for each in run.result.evaluations) for run in lab.kept]
    for index, (n, loss) in enumerate(zip(stored, losses, strict=True)):
        assert f"{n:,} stored · run {index + 1} lora: {loss:.3f}"[:-1] in label


def test_a_run_comes_back_from_its_folder_with_model_and_curves(lab, base, tmp_path):
    run = lab.run(method="lora", rank=3)
    lab.folder.value = str(tmp_path / "kept")
    lab.save_button.click()
    assert lab.error is None and "run 1 is saved in" in lab.output.value
    lab.load_button.click()
    assert lab.error is None and "run 2 comes from" in lab.output.value
    back = lab.last
    assert back.settings == run.settings and back.result == run.result
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.equal(back.model(tokens).logits, run.model(tokens).logits)
    assert lab.table()["held-out loss"].nunique() == 1
    exported = tuning.load(base, tmp_path / "kept")
    assert torch.equal(exported(tokens).logits, run.model(tokens).logits)


def test_a_saved_run_is_replaced_and_nothing_else_is(lab, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    lab.run(method="lora", rank=1)
    for folder, told in ((str(tmp_path / "mine"), "holds something else"), ("  ", "no name")):
        with pytest.raises(ValueError, match=told):
            lab.save(folder)
    lab.save(str(tmp_path / "kept"))
    lab.run(method="lora", rank=2)
    lab.save(str(tmp_path / "kept"))
    assert lab.load(str(tmp_path / "kept")).settings.rank == 2
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_a_folder_without_a_run_is_told_in_the_status_line(lab, tmp_path):
    lab.folder.value = str(tmp_path / "nothing")
    lab.load_button.click()
    assert "there is no saved run in" in lab.output.value
    lab.save_button.click()
    assert "no run has ended yet" in lab.output.value


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
