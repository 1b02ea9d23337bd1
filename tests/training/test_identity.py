"""A checkpoint is of one run: whatever else decides a run's course is refused by its name, and nothing is touched."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from minilm.model import MiniLM
from minilm.model.config import ModelConfig
from minilm.objectives import Batch, Completions, Documents, NextToken
from minilm.system.content_digests import digest
from minilm.training import OtherRunError, TrainingConfig, train
from minilm.tuning import METHODS, attach

SHAPE = ModelConfig(vocab_size=40, context_length=16, n_layer=1, n_head=2, d_model=16)
SETTINGS = TrainingConfig(steps=4, warmup_steps=1)
TEXT = [place * place % 37 for place in range(2000)]
DOCUMENTS = [[number % 7 + 1] * (number % 5 + 1) for number in range(60)]
EXAMPLES = [([1 + number % 30, 2, 3], [4, 5 + number % 3]) for number in range(200)]
TOLD = [[number % 7 + 1] for number in range(200)]


class HeldOut:
    """An evaluation that says what it looks at."""

    def __init__(self, text: list[int]):
        self.text = text

    def __call__(self, model: nn.Module) -> float:
        return float(sum(self.text))

    def identity(self) -> dict[str, Any]:
        return {"tokens": digest(self.text)}


@dataclass(frozen=True)
class Setup:
    """A run, made anew each time from values that a test can replace."""

    model: Callable[[], nn.Module]
    batches: Callable[[], object]
    config: TrainingConfig = SETTINGS
    evaluate: Callable[[nn.Module], float] | None = None

    def train(self, folder: Path, steps: int | None = None) -> None:
        """The run; or its beginning only, cut off by an error after some steps."""

        def cut(record) -> None:
            if record.step == steps:
                raise InterruptedError

        listener = type("Cut", (), {"__getattr__": lambda self, name: lambda news: None, "on_step": None})()
        listener.on_step = cut
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train(
                self.model(), self.batches(), self.config, evaluate=self.evaluate,
                callbacks=[listener], progress=False, folder=folder,
            )  # fmt: skip


def plain(seed: int = 0, **changes: Any) -> Callable[[], nn.Module]:
    """A fresh model."""

    def make() -> nn.Module:
        torch.manual_seed(seed)
        return MiniLM(replace(SHAPE, **changes))

    return make


def half_frozen(seed: int) -> Callable[[], nn.Module]:
    """A model of which a block is frozen: no checkpoint keeps its weights."""

    def make() -> nn.Module:
        model = plain(seed)()
        model.blocks.requires_grad_(False)
        return model

    return make


def tuned(
    method: str, base_seed: int = 0, shape: dict | None = None, flip: bool = False, **settings: Any
) -> Callable[[], nn.Module]:
    """A frozen base with a method attached."""

    def make() -> nn.Module:
        base = plain(base_seed, **(shape or {}))().eval()
        if flip:
            with torch.no_grad():
                base.blocks[0].mlp.down.weight[3, 5] += 1e-6
        torch.manual_seed(1)
        return attach(base, METHODS[method](**settings))

    return make


AUXILIARY = {"d_model": 16, "n_head": 2, "n_layer": 1}


def windows(text: list[int] = TEXT, **changes: int) -> Callable[[], NextToken]:
    return lambda: NextToken(text, **{"context_length": 8, "batch_size": 2, "seed": 0, **changes})


def packed(documents: list = DOCUMENTS, separator: int = 0, **changes: int) -> Callable[[], Documents]:
    return lambda: Documents(
        documents, separator, **{"context_length": 8, "batch_size": 2, "seed": 0, **changes}
    )


def pairs(examples: list = EXAMPLES, told: list | None = TOLD, **changes: int) -> Callable[[], Completions]:
    return lambda: Completions(
        examples, attributes=told, **{"batch_size": 2, "window": 16, "seed": 0, **changes}
    )


def changed(items: list, place: int, value: Any) -> list:
    """A copy of a list with one item replaced."""
    return [*items[:place], value, *items[place + 1 :]]


PRETRAINING = Setup(plain(), windows())
PACKED = Setup(plain(), packed())
FROZEN = Setup(half_frozen(0), windows())
LORA = Setup(tuned("lora"), pairs(told=None))
AUXILIARY_RUN = Setup(tuned("auxiliary", **AUXILIARY), pairs())
PATIENT = Setup(plain(), windows(), replace(SETTINGS, patience=3, evaluate_every=2), HeldOut([1, 2, 3]))


def settings(**changes: Any) -> Setup:
    return replace(PRETRAINING, config=replace(SETTINGS, **changes))


CHANGES = [
    ("n_head", PRETRAINING, Setup(plain(n_head=4), windows()), r"n_head=2, this one has 4"),
    ("dropout", PRETRAINING, Setup(plain(dropout=0.5), windows()), r"dropout=0.0, this one has 0.5"),
    ("epsilon", PRETRAINING, Setup(plain(layer_norm_epsilon=1e-3), windows()), "layer_norm_epsilon=1e-05"),
    ("n_layer", PRETRAINING, Setup(plain(n_layer=2), windows()), "n_layer=1, this one has 2"),
    ("d_model", PRETRAINING, Setup(plain(d_model=32), windows()), "d_model=16, this one has 32"),
    ("vocab_size", PRETRAINING, Setup(plain(vocab_size=41), windows()), "vocab_size=40, this one has 41"),
    ("context_length", PRETRAINING, Setup(plain(context_length=17), windows()), "context_length=16, this one"),
    ("half precision", PRETRAINING, Setup(lambda: plain()().double(), windows()), r"trained\..*float32"),
    ("trained weights", PRETRAINING, FROZEN, r"trained\.blocks"),
    ("frozen weights", FROZEN, Setup(half_frozen(1), windows()), "other frozen weights"),
    ("last token", PRETRAINING, Setup(plain(), windows(changed(TEXT, 1999, 38))), r"other batches\.tokens"),
    ("window", PRETRAINING, Setup(plain(), windows(context_length=9)), r"batches\.context_length=8"),
    ("batch_size", PRETRAINING, Setup(plain(), windows(batch_size=3)), r"batches\.batch_size=2"),
    ("data seed", PRETRAINING, Setup(plain(), windows(seed=5)), r"batches\.seed=0, this one has 5"),
    ("kind of batches", PRETRAINING, PACKED, r"batches\.class='NextToken', this one has 'Documents'"),
    ("a document", PACKED, Setup(plain(), packed(changed(DOCUMENTS, 59, [9] * 5))), r"other batches\.tokens"),
    ("separator", PACKED, Setup(plain(), packed(separator=39)), r"other batches\.tokens"),
    ("a document's end", PACKED, Setup(plain(), packed([[0, 1, 0], *DOCUMENTS])), r"other batches\.tokens"),
    ("order's seed", PACKED, Setup(plain(), packed(seed=2)), r"batches\.seed=0, this one has 2"),
    ("a base's bit", LORA, Setup(tuned("lora", flip=True), pairs(told=None)), r"other base\.weights"),
    ("another base", LORA, Setup(tuned("lora", base_seed=3), pairs(told=None)), r"other base\.weights"),
    ("a base's n_head", LORA, Setup(tuned("lora", shape={"n_head": 4}), pairs(told=None)), r"base\.n_head=2"),
    ("alpha", LORA, Setup(tuned("lora", alpha=64.0), pairs(told=None)), r"methods\.lora\.alpha=.*has 64"),
    ("rank", LORA, Setup(tuned("lora", rank=3), pairs(told=None)), r"methods\.lora\.rank=.*has 3"),
    ("method", LORA, Setup(tuned("bitfit"), pairs(told=None)), r"methods\.lora=.*this one has nothing"),
    ("an example", LORA, Setup(tuned("lora"), pairs(changed(EXAMPLES, 199, ([1], [2])), None)), "examples"),
    ("a target", LORA, Setup(tuned("lora"), pairs(changed(EXAMPLES, 99, ([10, 2], [3, 4, 5])), None)), "exam"),
    ("no attributes", AUXILIARY_RUN, replace(AUXILIARY_RUN, batches=pairs(told=None)), "attributes"),
    ("an attribute", AUXILIARY_RUN, replace(AUXILIARY_RUN, batches=pairs(told=changed(TOLD, 150, [39]))), "attrib"),
    ("strength", AUXILIARY_RUN, Setup(tuned("auxiliary", strength=2.0, **AUXILIARY), pairs()), "strength=1.0"),
    ("evaluate_every", PATIENT, replace(PATIENT, config=replace(PATIENT.config, evaluate_every=1)), "evaluate_every=2"),
    ("patience", PATIENT, replace(PATIENT, config=replace(PATIENT.config, patience=2)), "patience=3"),
    ("held-out text", PATIENT, replace(PATIENT, evaluate=HeldOut([1, 2, 4])), r"other held-out text\.tokens"),
    ("steps", PRETRAINING, settings(steps=5), "steps=4, this one has 5"),
    ("learning_rate", PRETRAINING, settings(learning_rate=1.0), "learning_rate=0.003, this one has 1.0"),
    ("matrix rate", PRETRAINING, settings(matrix_learning_rate=1.0), "matrix_learning_rate=0.02"),
    ("optimizer", PRETRAINING, settings(optimizer="adamw"), "optimizer='muon', this one has 'adamw'"),
    ("weight_decay", PRETRAINING, settings(weight_decay=0.1), "weight_decay=0.0"),
    ("schedule", PRETRAINING, settings(schedule="cosine"), "schedule='linear'"),
    ("warmup_steps", PRETRAINING, settings(warmup_steps=2), "warmup_steps=1"),
    ("cycles", PRETRAINING, settings(cycles=2), "cycles=1"),
    ("gradient_clip", PRETRAINING, settings(gradient_clip=0.5), "gradient_clip=1.0"),
    ("accumulation", PRETRAINING, settings(accumulation=2), "accumulation=1"),
    ("label_smoothing", PRETRAINING, settings(label_smoothing=0.1), "label_smoothing=0.0"),
    ("precision", PRETRAINING, settings(precision="bfloat16"), "precision='float32', this one has 'bfloat16'"),
    ("seed", PRETRAINING, settings(seed=1), "seed=0, this one has 1"),
]  # fmt: skip
"""Name, the run of the checkpoint, the run that must not take it, and what the message says."""


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Callable[[Setup], Path]:
    """Folders of runs that were cut off after two steps, one for each setup."""
    folders: dict[int, Path] = {}

    def folder_of(setup: Setup) -> Path:
        if id(setup) not in folders:
            folder = tmp_path_factory.mktemp("run")
            beginning = replace(setup, config=replace(setup.config, checkpoint_every=1))
            with pytest.raises(InterruptedError):
                beginning.train(folder, steps=3)
            folders[id(setup)] = folder
        return folders[id(setup)]

    return folder_of


@pytest.fixture
def copied(begun, tmp_path) -> Callable[[Setup], Path]:
    """The same as a copy that a test may use up."""
    return lambda setup: Path(shutil.copytree(begun(setup), tmp_path / "run"))


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(
    ("run", "other", "complaint"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES]
)
def test_whatever_decides_a_run_is_refused_by_name(begun, run, other, complaint):
    folder = begun(run)
    before = contents(folder)
    with pytest.raises(OtherRunError, match=f"is of a run with .*{complaint}.*resume=False"):
        other.train(folder)
    assert contents(folder) == before


@pytest.mark.parametrize("setup", [PRETRAINING, PACKED, FROZEN, LORA, AUXILIARY_RUN, PATIENT])
def test_the_same_run_goes_on(copied, setup):
    folder = copied(setup)
    before = contents(folder)
    setup.train(folder)
    assert contents(folder) != before


@pytest.mark.parametrize(
    "changes", [{"evaluate_every": 3}, {"checkpoint_every": 2}, {"precision": "float32"}]
)
def test_what_decides_nothing_may_change(copied, changes):
    settings(**changes).train(copied(PRETRAINING))


def test_another_number_of_threads_is_said(begun, copied, monkeypatch):
    begun(PRETRAINING)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    with pytest.warns(UserWarning, match="continues with threads=7 in place of 1: its numbers may differ"):
        train(plain()(), windows()(), SETTINGS, progress=False, folder=copied(PRETRAINING))


def test_a_batch_maker_that_says_nothing_is_probed_and_that_is_said(tmp_path):
    class Unnamed:
        """Batches whose fourth has something to change."""

        def __init__(self, token: int = 1):
            self.token = token

        def batch(self, index: int) -> Batch:
            tokens = torch.full((2, 8), self.token if index == 3 else 1)
            return Batch(tokens, tokens)

    setup = Setup(plain(), Unnamed)
    setup.train(tmp_path)
    with pytest.warns(UserWarning, match=r"Unnamed has no identity\(\), so at most 13 of its batches"):
        train(plain()(), Unnamed(), SETTINGS, progress=False, folder=tmp_path)
    with pytest.raises(OtherRunError, match=r"other batches\.batch 3"):
        replace(setup, batches=lambda: Unnamed(2)).train(tmp_path)


def test_a_model_that_says_nothing_is_known_by_its_tensors_and_its_buffers_are_kept(tmp_path):
    class Foreign(nn.Module):
        """A model with a count of its passes."""

        def __init__(self, width: int = 4):
            super().__init__()
            self.table, self.out = nn.Embedding(40, width), nn.Linear(width, 40)
            self.register_buffer("passes", torch.zeros(()))

        def forward(self, tokens: torch.Tensor) -> object:
            self.passes += 1
            return type("Output", (), {"logits": self.out(self.table(tokens))})

    setup = Setup(Foreign, windows(), replace(SETTINGS, checkpoint_every=1))
    with pytest.raises(InterruptedError):
        setup.train(tmp_path, steps=3)
    with pytest.raises(OtherRunError, match=r"trained\.table\.weight='\[40, 4\]"):
        replace(setup, model=lambda: Foreign(5)).train(tmp_path)
    model = Foreign()
    train(model, windows()(), setup.config, progress=False, folder=tmp_path)
    assert model.passes == 4


def test_an_identity_that_json_cannot_hold_is_refused(tmp_path):
    maker = windows()()
    maker.identity = lambda: {"tokens": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"identity\(\) must hold texts, numbers, lists and dicts only"):
        train(plain()(), maker, SETTINGS, progress=False, folder=tmp_path)
