"""What holds for every explorer: small, safe with any text, never blank, and honest when its own code fails."""

from __future__ import annotations

import pytest
import torch

import lessons.widgets
from lessons.widgets import (
    AttentionExplorer,
    BPEStepper,
    Explorer,
    GateExplorer,
    Lab,
    LensExplorer,
    Playground,
    PretrainingLab,
    PretrainingSettings,
    ShiftExplorer,
    SmoothingExplorer,
    TrainingDashboard,
    TruthExplorer,
    TuningLab,
    TuningSettings,
)
from minilm import BPETokenizer, MiniLM, ModelConfig, TrainingConfig, train, tuning
from minilm.objectives import NextToken
from minilm.storyworld import Oracle, StoryWorld

HOSTILE = "<script>alert(1)</script> \"'>& \n\t\x00 שלום \u202e\u200b 🎉👩\u200d💻 \u0301x <|endoftext|> </style><b>"
LONGEST = 150_000
"""Bytes of a static view."""


@pytest.fixture(scope="module")
def tokenizer():
    """Of few merges, so that 64 tokens are soon reached."""
    return BPETokenizer.train(
        ["the keeper counted the boats because the sea was calm. " * 20], vocab_size=280
    )


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    shape = ModelConfig(vocab_size=tokenizer.vocab_size, context_length=64, n_layer=4, n_head=4, d_model=32)
    model = MiniLM(shape).eval()
    for weight in model.parameters():
        if weight.dim() == 2:  # no two weights of attention alike: the largest view there is
            torch.nn.init.normal_(weight, std=0.3)
    return model


@pytest.fixture(scope="module")
def tuned(model):
    """Models on the same base, by name, the names no safer than the text."""
    methods = {"<i>prefix": tuning.Prefix(4, False), "lora": tuning.LoRA(rank=2)}
    made = {name: tuning.attach(model, method).eval() for name, method in methods.items()}
    for each in made.values():
        for parameter in each.parameters_to_train():
            torch.nn.init.normal_(parameter, std=0.5)
    return made


@pytest.fixture(scope="module")
def oracle():
    world = StoryWorld().only("story")
    return Oracle(
        world, BPETokenizer.train([each.text for each in world.sample(200, seed=0)], vocab_size=500)
    )


@pytest.fixture(scope="module")
def make(tokenizer, model, tuned, oracle):
    """An explorer by the name of its class, made with a text where it shows one."""
    ids = tokenizer.encode("the keeper counted the boats. " * 30)
    shape = ModelConfig(
        vocab_size=oracle.tokenizer.vocab_size, context_length=64, n_layer=1, d_model=16, n_head=2
    )
    examples = [(ids[:4], ids[4:8]), (ids[:3], ids[3:9])]

    def dashboard(text):
        made = TrainingDashboard(floor=1.0, title="<script>")
        for _ in range(6):
            made.next_run("<i>prefix", "<script>")
            config = TrainingConfig(steps=30, evaluate_every=3, warmup_steps=2)
            train(MiniLM(model.config), NextToken(ids, 16, 2), config, evaluate=lambda m: 2.0,
                  sample=lambda m: text, callbacks=[made], progress=False)  # fmt: skip
        return made

    def pretraining(text):
        settings = PretrainingSettings(n_layer=1, d_model=32, batch_size=4, steps=20)
        lab = PretrainingLab(
            tokenizer, ids, ids, settings=settings, floor=0.1, context_length=16, title="<script>"
        )
        lab.sample = lambda m: text
        for _ in range(3):
            lab.run()
        return lab

    def tuning_lab(text):
        lab = TuningLab(model, examples, examples, sample=lambda m: text, device="cpu", title="<script>",
                        settings=TuningSettings(steps=20, rank=2))  # fmt: skip
        for method in ("lora", "prefix", "bitfit"):
            lab.run(method=method)
        return lab

    makers = {
        "AttentionExplorer": lambda text: AttentionExplorer({"base": model, **tuned}, tokenizer, text),
        "BPEStepper": lambda text: BPEStepper(tokenizer, text[:70]),
        "GateExplorer": lambda text: GateExplorer({"<i>prefix": tuned["<i>prefix"]}, tokenizer, text),
        "LensExplorer": lambda text: LensExplorer({"base": model, **tuned}, tokenizer, text),
        "Playground": lambda text: Playground({"base": model, **tuned}, tokenizer, text, length=100, temperature=2.0),
        "PretrainingLab": pretraining,
        "ShiftExplorer": lambda text: ShiftExplorer(
            tuned, tokenizer, text, exact=lambda ids, _: torch.ones(len(ids) + 1, tokenizer.vocab_size)
        ),
        "SmoothingExplorer": lambda text: SmoothingExplorer("fixed", n=400),
        "TrainingDashboard": dashboard,
        "TruthExplorer": lambda text: TruthExplorer(MiniLM(shape).eval(), oracle.tokenizer, oracle, text),
        "TuningLab": tuning_lab,
    }  # fmt: skip
    return lambda name, text="the keeper counted the boats": makers[name](text)


def names() -> list[str]:
    """Every explorer that the package offers."""
    offered = {name: getattr(lessons.widgets, name) for name in lessons.widgets.__all__}
    kinds = {name: each for name, each in offered.items() if isinstance(each, type)}
    return [
        name for name, each in kinds.items() if issubclass(each, Explorer) and each not in (Explorer, Lab)
    ]


def static(explorer: Explorer) -> str:
    """What a saved notebook shows."""
    return explorer._repr_mimebundle_()["text/html"]


every_explorer = pytest.mark.parametrize("name", names())


@every_explorer
def test_a_static_view_of_a_long_text_is_small_and_whole(make, name, read):
    text = "One" if name == "TruthExplorer" else "the sea was calm. zqxj " * 30
    explorer = make(name, text)
    assert explorer.error is None
    assert len(static(explorer).encode()) <= LONGEST
    read(static(explorer))


@every_explorer
def test_a_hostile_text_is_disarmed_and_shown(make, name, read):
    explorer = make(name, HOSTILE)
    for view in (explorer.output.value, static(explorer)):
        assert "<script" not in view and "alert(1)</" not in view and "<i>prefix" not in view
        assert not any(sign in view for sign in "\u202e\u200b\x00")
    if name == "TruthExplorer":  # no story of the world says such things
        assert "no story of this world goes on with" in explorer.output.value
    else:
        assert explorer.error is None
        read(static(explorer))


@every_explorer
def test_what_its_code_raises_is_told_live_and_in_the_saved_notebook(make, name):
    explorer = make(name, "One")
    good = static(explorer)
    explorer.view = lambda: {}["<b>missing"]
    explorer.draw()
    assert isinstance(explorer.error, KeyError)
    for view in (explorer.output.value, static(explorer)):
        assert 'role="alert"' in view and "KeyError: &#x27;&lt;b&gt;missing&#x27;" in view
        assert (
            explorer.output.value.count("<section") == good.count("<section") + 1
        )  # the last good view stays


@every_explorer
def test_it_shows_itself_live_as_html_and_as_one_stable_line(make, name):
    one, other = make(name), make(name)
    bundle = one._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == one.box.model_id
    assert bundle["text/plain"] == repr(one) == repr(other)
    assert "\n" not in repr(one) and "0x" not in repr(one)
