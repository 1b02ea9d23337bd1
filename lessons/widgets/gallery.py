"""Pictures of the explorers for `docs/gallery`, drawn by a browser from what a notebook would show.

python -m lessons.widgets.gallery                  the pictures that the documentation keeps
python -m lessons.widgets.gallery --all FOLDER     every explorer, light and dark, narrow and wide: to look at

It trains two small models on the story world and tunes five first, which takes about two minutes on two cores.
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from statistics import pvariance
from typing import Any

import torch

from lessons.facts_to_text import FactsToText
from lessons.widgets import (
    AttentionExplorer,
    BPEStepper,
    Explorer,
    GateExplorer,
    LensExplorer,
    Playground,
    PretrainingLab,
    PretrainingSettings,
    ShiftExplorer,
    SmoothingExplorer,
    TruthExplorer,
    TuningLab,
    TuningSettings,
)
from lessons.widgets.views.theme import DARK, LIGHT
from minilm import BPETokenizer, MiniLM, load_pretrained, tuning
from minilm.objectives import Documents
from minilm.storyworld import Oracle, StoryWorld
from minilm.training import TrainingConfig, train

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"
THEMES, WIDTHS = {"light": LIGHT, "dark": DARK}, (900, 1400)
KEPT = (
    ("pretraining-lab", "light", 1400),
    ("tuning-lab", "light", 1400),
    ("attention", "light", 900),
    ("attention-two", "light", 1400),
    ("attention-two", "dark", 1400),
    ("shift", "light", 900),
    ("playground", "light", 900),
    ("lens", "dark", 900),
    ("truth", "light", 900),
    ("smoothing", "dark", 900),
    ("gates", "light", 900),
    ("bpe", "dark", 900),
)
CHROMIUM = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
KEYWORD = "nevertheless"
STORY = (
    "Early one warm afternoon, Ruby Birch packed four pears for a picnic with Lucy Shaw at the pebble beach. Soon, Lucy sat "
    "down near a wall and felt fearful."
)
"""After it, one of several connectives may come."""
N_STORY, N_HELD_OUT, STEPS, LORA_STEPS, TUNING_STEPS = 6000, 100, 1000, 150, 400

Picture = tuple[str, str, int]
"""Name of an explorer, name of a theme, width in pixels."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m lessons.widgets.gallery")
    parser.add_argument(
        "--all", metavar="FOLDER", type=Path, help="draw every explorer in both themes and widths"
    )
    options = parser.parse_args()
    explorers = make_explorers()
    pictures = list(product(explorers, THEMES, WIDTHS)) if options.all else KEPT
    draw(explorers, pictures, options.all or FOLDER)


def make_explorers() -> dict[str, Explorer]:
    """Every explorer, over the bundled model; the labs train some small ones, and tune it."""
    model, tokenizer = load_pretrained("storyworld")
    world = StoryWorld()
    oracle = Oracle(world, tokenizer)
    beginning = "Because Noah Winter had no friends, he"
    sentence = f"{beginning} ran to the rope bridge alone."
    lora = tune(load_pretrained("storyworld")[0], tokenizer)
    tuning_lab = make_tuning_lab(model, tokenizer)
    by_method = {run.settings.method: run.model for run in tuning_lab.kept}
    heard = {name: by_method[name] for name in ("prefix", "inducer")}
    return {
        "pretraining-lab": make_lab(world, tokenizer, floor=oracle.entropy_rate(n=20)[0] * math.log(2)),
        "tuning-lab": tuning_lab,
        "playground": Playground(model, tokenizer, beginning, length=60),
        "attention": AttentionExplorer(model, tokenizer, sentence, layer=2, head=4),
        "attention-two": side_by_side({"base": model, "prefix": by_method["prefix"]}, tokenizer, sentence),
        "gates": GateExplorer(heard, tokenizer, sentence, layer=2),
        "shift": ShiftExplorer(
            lora, tokenizer, STORY, exact=lambda ids, _: oracle.shift(ids, ("keyword", KEYWORD))
        ),
        "lens": make_lens({"base": model, "LoRA": lora}, tokenizer, sentence),
        "truth": TruthExplorer(model, tokenizer, oracle, STORY),
        "smoothing": SmoothingExplorer("fixed", n=16),
        "bpe": BPEStepper(counting(world), "The lighthouse keeper whispered: naïve 🎉"),
    }  # fmt: skip


def counting(world: StoryWorld) -> BPETokenizer:
    """A tokenizer that has just been trained, and so knows how often each pair was met."""
    return BPETokenizer.train([story.text for story in world.sample(N_STORY, seed=0)], vocab_size=1536)


def side_by_side(models: dict[str, Any], tokenizer: BPETokenizer, text: str) -> AttentionExplorer:
    """At the head whose tokens differ most in how much they hear of what was added."""
    explorer = AttentionExplorer(models, tokenizer, text)
    gates = explorer.looks()[-1].gates
    explorer.choose(max(gates, key=lambda place: pvariance(gates[place])))
    return explorer


def make_lens(models: dict[str, Any], tokenizer: BPETokenizer, text: str) -> LensExplorer:
    """At a token in the middle, of which it is known what comes next."""
    explorer = LensExplorer(models, tokenizer, text)
    explorer.position.value = explorer.position.max // 2
    return explorer


def make_lab(world: StoryWorld, tokenizer: BPETokenizer, floor: float) -> PretrainingLab:
    """A lab after two runs of different sizes."""
    documents = [tokenizer.encode(story.text) for story in world.sample(N_STORY + N_HELD_OUT, seed=0)]
    lab = PretrainingLab(
        tokenizer, documents[N_HELD_OUT:], documents[:N_HELD_OUT], floor=floor, context_length=64,
        settings=PretrainingSettings(steps=STEPS, learning_rate=0.01),
    )  # fmt: skip
    lab.run(n_layer=1, d_model=32)
    lab.run(n_layer=3, d_model=96)
    return lab


def make_tuning_lab(model: MiniLM, tokenizer: BPETokenizer) -> TuningLab:
    """A lab that has told facts in sentences with four methods."""
    task = FactsToText(tokenizer, n_train=200, n_held_out=32, facts=1)
    lab = TuningLab(
        model, task.examples(task.records), task.examples(task.held_out), sample=task.sample, device="cpu",
        settings=TuningSettings(method="lora", steps=TUNING_STEPS),
    )  # fmt: skip
    lab.run(method="prefix", length=4)
    for method in ("inducer", "fine-tuning", "lora"):
        lab.run(method=method)
    return lab


def tune(model: MiniLM, tokenizer: BPETokenizer) -> torch.nn.Module:
    """The model with a LoRA that has read stories with one keyword only: what conditioning on it would do."""
    stories = [
        story.text for story in StoryWorld().sample(3000, seed=5) if KEYWORD in story.attributes["keyword"]
    ]
    documents = [tokenizer.encode(text) for text in stories]
    torch.manual_seed(0)
    tuned = tuning.attach(model, tuning.LoRA(rank=8))
    config = TrainingConfig(steps=LORA_STEPS, optimizer="adamw", learning_rate=5e-3)
    train(tuned, Documents(documents, tokenizer.end_of_text, 64, 8), config, progress=False)
    return tuned


def draw(explorers: dict[str, Explorer], pictures: Iterable[Picture], folder: Path) -> None:
    """Write each picture as `NAME-THEME-WIDTH.png`. Needs Playwright and a Chromium on this machine."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        raise SystemExit("there is no Chromium on this machine; on Debian, apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for name, theme, width in pictures:
            shoot(browser, page(explorers[name], theme), width, folder / f"{name}-{theme}-{width}.png")
        browser.close()


def page(explorer: Explorer, theme: str) -> str:
    """A page with the explorer's static view, as nbconvert would put it."""
    bundle: dict[str, Any] = explorer._repr_mimebundle_()
    is_light = str(theme == "light").lower()
    style = f"margin:12px;background:{THEMES[theme].paper}"
    return f'<!doctype html><meta charset="utf-8"><body data-jp-theme-light="{is_light}" style="{style}">{bundle["text/html"]}'


def shoot(browser: Any, html: str, width: int, path: Path) -> None:
    """One picture of a whole page, in a palette of 256 colours, which keeps it small."""
    from PIL import Image

    tab = browser.new_page(viewport={"width": width, "height": 100})
    tab.set_content(html)
    tab.screenshot(path=path, full_page=True)
    tab.close()
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
