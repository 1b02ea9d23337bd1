"""Pictures of the explorers for `docs/gallery`, drawn by a browser from what a notebook would show.

python -m lessons.widgets.gallery                  the pictures that the documentation keeps
python -m lessons.widgets.gallery --all FOLDER     every explorer, light and dark, narrow and wide: to look at

First it trains two small models on the story world and tunes five, which takes about two minutes on two cores.
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

import lessons.widgets as w
from lessons.facts_to_text import FactsToText
from lessons.widgets.examples import Ingredients, makers, turned
from lessons.widgets.model_explorer import LanguageModel
from lessons.widgets.views.markup import tag
from lessons.widgets.views.theme import DARK, LIGHT
from minilm import BPETokenizer, MiniLM, load_pretrained, tuning
from minilm.objectives import Documents
from minilm.storyworld import Oracle, StoryWorld
from minilm.training import TrainingConfig, train
from minilm.tuning import TunedModel

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"
THEMES, WIDTHS = {"light": LIGHT, "dark": DARK}, (900, 1400)
KEPT = (
    ("pretraining-lab", "light", 1400), ("tuning-lab", "light", 1400), ("attention", "light", 900),
    ("attention-two", "light", 1400), ("attention-two", "dark", 1400), ("shift", "light", 900),
    ("playground", "light", 900), ("lens", "dark", 900), ("truth", "light", 900), ("smoothing", "dark", 900),
    ("gates", "light", 900), ("bpe", "dark", 900),
)  # fmt: skip
CHROMIUM = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
KEYWORD = "nevertheless"
BEGINNING = "Because Noah Winter had no friends, he"
SENTENCE = f"{BEGINNING} ran to the rope bridge alone."
STORY = (
    "Early one warm afternoon, Ruby Birch packed four pears for a picnic with Lucy Shaw at the pebble beach. Soon, Lucy sat "
    "down near a wall and felt fearful."
)
"""One of several connectives may come next."""
N_STORY, N_HELD_OUT, STEPS, LORA_STEPS, TUNING_STEPS = 6000, 100, 1000, 150, 400

Picture = tuple[str, str, int]
"""Name of an explorer, name of a theme, width in pixels."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m lessons.widgets.gallery")
    parser.add_argument("--all", metavar="FOLDER", type=Path, help="every explorer in both themes and widths")
    options = parser.parse_args()
    explorers = make_explorers()
    pictures = list(product(explorers, THEMES, WIDTHS)) if options.all else KEPT
    draw(explorers, pictures, options.all or FOLDER)


def make_explorers() -> dict[str, w.Explorer]:
    """Every explorer, over the bundled model; the labs train some small ones, and tune it."""
    model, tokenizer = load_pretrained("storyworld")
    world = StoryWorld()
    oracle = Oracle(world, tokenizer)
    tuning_lab = make_tuning_lab(model, tokenizer)
    by_method = {run.settings.method: run.model for run in tuning_lab.kept}
    gated = {name: by_method[name] for name in ("prefix", "inducer")}
    lora = {"LoRA": tune(load_pretrained("storyworld")[0], tokenizer)}
    exact = lambda ids, _: oracle.shift(ids, ("keyword", KEYWORD))
    make = makers(Ingredients(model, tokenizer, gated, lora, oracle, tokenizer, model, exact=exact))
    stories = [story.text for story in world.sample(N_STORY, seed=0)]
    with_counts = BPETokenizer.train(
        stories, vocab_size=1536
    )  # trained here, it knows how often each pair occurred
    return {
        "pretraining-lab": make_lab(world, tokenizer, floor=oracle.entropy_rate(n=20)[0] * math.log(2)),
        "tuning-lab": tuning_lab,
        "playground": turned(make["Playground"](BEGINNING), length=60),
        "attention": w.AttentionExplorer(model, tokenizer, SENTENCE, layer=2, head=4),
        "attention-two": side_by_side({"base": model, "prefix": gated["prefix"]}, tokenizer),
        "gates": turned(make["GateExplorer"](SENTENCE), layer=2),
        "shift": make["ShiftExplorer"](STORY),
        "lens": turned(make["LensExplorer"](SENTENCE), position=len(tokenizer.encode(SENTENCE)) // 2),
        "truth": make["TruthExplorer"](STORY),
        "smoothing": turned(make["SmoothingExplorer"](""), n=16),
        "bpe": w.BPEStepper(with_counts, "The lighthouse keeper whispered: naïve 🎉"),
    }


def side_by_side(models: dict[str, LanguageModel], tokenizer: BPETokenizer) -> w.AttentionExplorer:
    """Attention of several models, at the head whose gates differ most between tokens."""
    explorer = w.AttentionExplorer(models, tokenizer, SENTENCE)
    gates = explorer.attentions()[-1].gates
    explorer.choose(max(gates, key=lambda head: pvariance(gates[head])))
    return explorer


def make_lab(world: StoryWorld, tokenizer: BPETokenizer, floor: float) -> w.PretrainingLab:
    """A lab after two runs of different sizes."""
    documents = [tokenizer.encode(story.text) for story in world.sample(N_STORY + N_HELD_OUT, seed=0)]
    lab = w.PretrainingLab(
        tokenizer, documents[N_HELD_OUT:], documents[:N_HELD_OUT], floor=floor, context_length=64,
        settings=w.PretrainingSettings(steps=STEPS, learning_rate=0.01),
    )  # fmt: skip
    lab.run(n_layer=1, d_model=32)
    lab.run(n_layer=3, d_model=96)
    return lab


def make_tuning_lab(model: MiniLM, tokenizer: BPETokenizer) -> w.TuningLab:
    """A lab after tuning with four methods to write sentences from facts."""
    task = FactsToText(tokenizer, n_train=200, n_held_out=32)
    lab = w.TuningLab(
        model, task.examples(task.records), task.examples(task.held_out), sample=task.sample, device="cpu",
        settings=w.TuningSettings(method="lora", steps=TUNING_STEPS),
    )  # fmt: skip
    lab.run(method="prefix", length=4)
    for method in ("inducer", "fine-tuning", "lora"):
        lab.run(method=method)
    return lab


def tune(model: MiniLM, tokenizer: BPETokenizer) -> TunedModel:
    """The model with a LoRA that was trained on stories with one keyword, which approximates conditioning on it."""
    stories = StoryWorld().sample(3000, seed=5)
    documents = [tokenizer.encode(each.text) for each in stories if KEYWORD in each.attributes["keyword"]]
    torch.manual_seed(0)
    tuned = tuning.attach(model, tuning.LoRA(rank=8))
    config = TrainingConfig(steps=LORA_STEPS, optimizer="adamw", learning_rate=5e-3)
    train(tuned, Documents(documents, tokenizer.end_of_text, 64, 8), config, progress=False)
    return tuned


def draw(explorers: dict[str, w.Explorer], pictures: Iterable[Picture], folder: Path) -> None:
    """Write each picture as `NAME-THEME-WIDTH.png`. Needs Playwright and a Chromium on this machine."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        raise SystemExit(
            "there is no Chromium on this machine: install it, on Debian with apt-get install chromium"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for name, theme, width in pictures:
            shoot(browser, page(explorers[name], theme), width, folder / f"{name}-{theme}-{width}.png")
        browser.close()


def page(explorer: w.Explorer, theme: str) -> str:
    """A page with the explorer's static view, as nbconvert would put it."""
    view = explorer._repr_mimebundle_()["text/html"]
    body = tag(
        "body",
        view,
        data_jp_theme_light=str(theme == "light").lower(),
        style=f"margin:12px;background:{THEMES[theme].paper}",
    )
    return f'<!doctype html><meta charset="utf-8">{body}'


def shoot(browser: Any, html: str, width: int, path: Path) -> None:
    """One picture of a whole page, in a palette of 256 colors, which keeps it small."""
    from PIL import Image

    tab = browser.new_page(viewport={"width": width, "height": 100})
    tab.set_content(html)
    tab.screenshot(path=path, full_page=True)
    tab.close()
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
