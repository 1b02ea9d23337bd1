"""The explorers without a browser: callbacks do what the controls say, errors are told, nothing is ever blank."""

import json
import threading
import time

import pytest
import torch

from lessons.widgets import (
    Explorer,
    Playground,
    PretrainingLab,
    PretrainingSettings,
    TrainingDashboard,
    controls,
)
from lessons.widgets.dashboard import SHARE
from minilm import BPETokenizer, MiniLM, ModelConfig, TrainingConfig, generate, load_pretrained, train, tuning
from minilm.objectives import NextToken
from minilm.training import DivergenceError

TEXT = "the keeper counted the boats because the sea was calm. " * 60
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train([TEXT], vocab_size=280)


@pytest.fixture
def model(tokenizer):
    return MiniLM(
        ModelConfig(vocab_size=tokenizer.vocab_size, context_length=48, n_layer=1, n_head=2, d_model=16)
    ).eval()


@pytest.fixture
def lab(tokenizer):
    ids = tokenizer.encode(TEXT)
    settings = PretrainingSettings(n_layer=1, d_model=32, batch_size=4, steps=20)
    return PretrainingLab(tokenizer, ids, ids[:300], settings=settings, floor=0.1, context_length=16)


class Counter(Explorer):
    """Shows a number, and cannot show 3."""

    def __init__(self):
        super().__init__()
        self.number = controls.whole("number", 1, 0, 9)
        self.arrange([self.number])

    def view(self):
        if self.number.value == 3:
            raise KeyError("three")
        return f"<p>number {self.number.value}</p>"


def test_every_explorer_has_a_live_view_a_static_one_and_a_line_of_text(lab, model, tokenizer):
    for explorer in (Counter(), TrainingDashboard(), lab, Playground(model, tokenizer, length=5)):
        bundle = explorer._repr_mimebundle_()
        assert bundle[WIDGET]["model_id"] == explorer.box.model_id
        assert "<" in bundle["text/html"]
        assert bundle["text/plain"] == repr(explorer)
        assert "0x" not in repr(explorer) and "\n" not in repr(explorer)
        assert explorer.error is None


def test_a_control_redraws_and_an_error_keeps_the_last_good_view():
    explorer = Counter()
    explorer.number.value = 2
    assert explorer.output.value == "<p>number 2</p>"
    explorer.number.value = 3
    assert isinstance(explorer.error, KeyError)
    assert "KeyError: &#39;three&#39;" in explorer.output.value
    assert "<p>number 2</p>" in explorer.output.value
    explorer.number.value = 4
    assert explorer.error is None
    assert explorer.output.value == "<p>number 4</p>"


def test_what_a_button_raises_is_told():
    explorer = Counter()
    explorer.guard(lambda: 1 / 0)()
    assert isinstance(explorer.error, ZeroDivisionError)
    assert "division by zero" in explorer.output.value


def test_controls_wait_until_they_are_let_go(lab, model, tokenizer):
    for explorer in (lab, Playground(model, tokenizer)):
        for row in explorer.box.children[:-1]:
            assert not any(getattr(control, "continuous_update", False) for control in row.children)


def a_training(model, tokenizer, dashboard, steps=12, **changes):
    batches = NextToken(tokenizer.encode(TEXT), 16, 4)
    config = TrainingConfig(**{"steps": steps, "evaluate_every": 4, "warmup_steps": 2, **changes})
    return train(
        model,
        batches,
        config,
        evaluate=lambda m: 2.0,
        sample=lambda m: "the sea",
        callbacks=[dashboard],
        progress=False,
    )


def test_the_dashboard_follows_a_run_and_keeps_it_for_the_next(model, tokenizer):
    dashboard = TrainingDashboard(floor=1.0)
    dashboard.next_run("first", "as it was")
    result = a_training(model, tokenizer, dashboard)
    assert dashboard.newest.records == result.records
    assert dashboard.newest.evaluations == result.evaluations
    assert dashboard.newest.name == "first"
    a_training(model, tokenizer, dashboard)
    assert [run.state for run in dashboard.runs] == ["finished", "finished"]
    assert dashboard.newest.name == "run 2"
    assert dashboard.error is None
    assert "step 12 of 12" in dashboard.output.value


def test_a_dashboard_draws_rarely_when_drawing_is_slow(model, tokenizer):
    dashboard = TrainingDashboard()
    drawn = []

    def slow_view():
        drawn.append(time.perf_counter())
        time.sleep(0.05)
        return "<p>slow</p>"

    dashboard.view = slow_view
    began = time.perf_counter()
    a_training(model, tokenizer, dashboard, steps=100)
    assert len(drawn) <= 2 + (time.perf_counter() - began) / (SHARE * 0.05)


def test_the_lab_runs_in_the_cell_with_what_the_sliders_say(lab):
    lab.sliders["steps"].value = 30
    run = lab.run(n_layer=2)
    assert run.result.steps == 30
    assert len(lab.model.blocks) == 2
    assert lab.kept == [run]
    assert "2 layers" in lab.output.value
    assert not lab.run_button.disabled and lab.stop_button.disabled


def test_equal_settings_give_equal_models(lab):
    first, second = lab.run(), lab.run()
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_stop_keeps_what_was_learnt(lab):
    lab.sliders["steps"].value = 2000
    lab.run_button.click()
    while not (lab.runs and lab.runs[0].records):
        time.sleep(0.01)
    with pytest.raises(ValueError, match="a run is in progress"):
        lab.run()
    lab.run_button.click()
    assert "a run is in progress" in lab.output.value
    lab.stop_button.click()
    assert lab.wait(60)
    run = lab.kept[0]
    assert run.result.stopped and 0 < run.result.steps < 2000
    assert lab.runs[0].state == "stopped"
    untrained = lab.experiment(run.settings).model
    pairs = zip(run.model.parameters(), untrained.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in pairs)
    assert generate(lab.model, torch.tensor([[1]]), 3).shape == (1, 4)


def test_a_run_that_diverges_is_told_and_the_lab_goes_on(lab):
    lab.config = TrainingConfig(optimizer="adamw", gradient_clip=1e9, warmup_steps=0)
    with pytest.raises(DivergenceError):
        lab.run(learning_rate=1e30)
    assert lab.runs[-1].state == "failed"
    assert lab.kept == []
    lab.config = TrainingConfig()
    assert lab.run().result.steps == 20


def test_a_training_that_raises_is_shown_as_failed(model, tokenizer):
    dashboard = TrainingDashboard()
    with pytest.raises(DivergenceError):
        a_training(model, tokenizer, dashboard, optimizer="adamw", learning_rate=1e30, gradient_clip=1e9)
    assert dashboard.newest.state == "failed"
    assert "failed" in dashboard._repr_mimebundle_()["text/html"]


def test_while_a_cell_trains_stop_cannot_be_pressed_and_says_what_can(lab):
    seen = []
    lab.evaluate = lambda model: seen.append((lab.stop_button.disabled, lab.stop_button.tooltip)) or 2.0
    lab.run()
    assert {(disabled, "interrupt" in told) for disabled, told in seen} == {(True, True)}
    seen.clear()
    lab.start()
    assert lab.wait(60)
    assert {(disabled, "interrupt" in told) for disabled, told in seen} == {(False, False)}


def test_a_pretraining_run_is_kept_in_a_folder_and_comes_back(lab, tokenizer, tmp_path):
    run = lab.run()
    lab.save(str(tmp_path / "kept"))
    back = lab.load(str(tmp_path / "kept"))
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.equal(back.model(tokens).logits, run.model(tokens).logits)
    assert (back.settings, back.result) == (run.settings, run.result)
    model, _ = load_pretrained(tmp_path / "kept")
    assert torch.equal(model(tokens).logits, run.model(tokens).logits)
    assert [each.state for each in lab.runs] == ["finished", "finished"]


def test_a_run_of_another_lab_is_refused(lab, tmp_path):
    lab.run()
    lab.save(str(tmp_path / "kept"))
    about = json.loads((tmp_path / "kept" / "run.json").read_text())
    (tmp_path / "kept" / "run.json").write_text(json.dumps({**about, "lab": "TuningSettings"}))
    with pytest.raises(ValueError, match="made with TuningSettings, not PretrainingSettings"):
        lab.load(str(tmp_path / "kept"))


@pytest.mark.parametrize(
    "text, complaint",
    [
        ('{"lab": "Pret', "run.json is damaged"),
        ("3", "run.json is damaged"),
        ("{}", "run.json is damaged at lab: Field required; save"),
    ],
)
def test_a_damaged_run_is_refused(lab, tmp_path, text, complaint):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        lab.load(str(tmp_path))
    assert not lab.runs


def test_errors_of_a_run_in_a_thread_reach_the_status_line(lab):
    lab.experiment = lambda settings: 1 / 0
    lab.start()
    assert lab.wait(60)
    lab._thread.join()
    assert "ZeroDivisionError" in lab.output.value
    assert not lab.run_button.disabled


@pytest.mark.parametrize(
    "changes, named", [({"depth": 3}, "'depth'"), ({"d_model": 30}, "d_model=30"), ({"steps": 0}, "steps")]
)
def test_impossible_settings_are_named(lab, changes, named):
    with pytest.raises(ValueError, match=named):
        lab.run(**changes)
    assert lab.runs == []
    assert lab.run().result.steps == 20


def test_before_the_first_run_there_is_no_model(lab):
    with pytest.raises(ValueError, match="press Run"):
        lab.model  # noqa: B018


def test_documents_and_one_long_text_both_train(tokenizer):
    documents = [tokenizer.encode(sentence) for sentence in TEXT.split(". ")[:20]]
    settings = PretrainingSettings(n_layer=1, d_model=32, batch_size=4, steps=10)
    lab = PretrainingLab(tokenizer, documents, documents[:4], settings=settings, context_length=16)
    assert lab.run().result.steps == 10
    long = torch.tensor(tokenizer.encode(TEXT))
    assert (
        PretrainingLab(tokenizer, long, long, settings=settings, context_length=16).run().result.steps == 10
    )


def test_the_playground_draws_what_generate_draws(model, tokenizer):
    playground = Playground(
        model, tokenizer, prompt="the keeper", length=12, temperature=0.7, top_k=20, seed=3
    )
    prompt = tokenizer.encode("the keeper")
    steps = playground.steps(prompt)
    expected = generate(
        model, torch.tensor([prompt]), 12, temperature=0.7, top_k=20, seed=3, stop_token=tokenizer.end_of_text
    )
    assert [int(step.token) for step in steps] == expected[0, len(prompt) :].tolist()[: len(steps)]
    for step in steps:
        look = playground.candidates(step)
        assert look.token.drawable == pytest.approx(step.probability.item(), abs=1e-5)
        assert [c.believed for c in look.others] == sorted((c.believed for c in look.others), reverse=True)


def test_greedy_choice_is_drawn_with_certainty(model, tokenizer):
    playground = Playground(model, tokenizer, temperature=0.0, length=3)
    for step in playground.steps([1]):
        look = playground.candidates(step)
        assert look.token.drawable == 1
        assert look.others[0].text == look.token.text


@pytest.mark.parametrize(
    "prompt", ["<script>alert(1)</script>", "שלום \u202e", "🎉\u200d", "a" * 300, "\x00\n\t"]
)
def test_no_prompt_breaks_the_playground(model, tokenizer, prompt, read):
    playground = Playground(model, tokenizer, length=8)
    playground.prompt.value = prompt
    assert playground.error is None
    read(playground.output.value)


def test_a_prompt_that_cannot_be_encoded_or_is_empty_is_told(model, tokenizer):
    playground = Playground(model, tokenizer, length=4)
    for prompt, told in (("", "the prompt is empty"), ("\ud800", "surrogate")):
        playground.prompt.value = prompt
        assert isinstance(playground.error, ValueError)
        assert told in playground.output.value
    playground.prompt.value = "the"
    assert playground.error is None


def test_two_models_can_be_compared(model, tokenizer):
    other = MiniLM(model.config).eval()
    playground = Playground({"base": model, "tuned": other}, tokenizer, length=10)
    before = playground.output.value
    playground.which.value = "tuned"
    assert playground.output.value != before


def test_strength_turns_the_shift_of_a_model_that_has_one(model, tokenizer):
    tuned = tuning.attach(model, tuning.Auxiliary(n_layer=1, d_model=16, n_head=2))
    for parameter in tuned.parameters_to_train():
        torch.nn.init.normal_(parameter, std=0.5)
    playground = Playground(
        {"base": model, "tuned": tuned}, tokenizer, "the", length=12, attributes={"sea": [7, 8]}
    )
    base = [int(step.token) for step in playground.steps([1])]
    playground.which.value, playground.attribute.value, playground.strength.value = "tuned", "sea", 0.0
    assert [int(step.token) for step in playground.steps([1])] == base
    playground.strength.value = 3.0
    with tuning.strength(tuned, 3.0):
        expected = generate(tuned, torch.tensor([[1]]), 12, temperature=0.8, seed=0,
                            stop_token=tokenizer.end_of_text, attribute=torch.tensor([[7, 8]]))  # fmt: skip
    made = [int(step.token) for step in playground.steps([1])]
    assert made == expected[0, 1:].tolist()[: len(made)] != base[: len(made)]
    assert "attribute sea · strength 3" in playground.output.value
    assert tuned.attachments["auxiliary"].strength == 1.0
    assert playground.strength not in Playground(model, tokenizer, length=3).box.children[1].children


def test_explorers_can_be_turned_from_several_threads(model, tokenizer):
    playground = Playground(model, tokenizer, length=5)
    seeds = [threading.Thread(target=setattr, args=(playground.seed, "value", seed)) for seed in range(1, 6)]
    for thread in seeds:
        thread.start()
    for thread in seeds:
        thread.join()
    assert playground.error is None
