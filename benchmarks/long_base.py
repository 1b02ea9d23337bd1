"""A base for long inputs: the bundled one with more positions, trained on with documents and conversations in a row.

The conversations are about one to four stories, as in the task of `long_inputs.py`, but in other notations and about other
stories. So the base knows how to look something up in several stories; what the task adds is a notation that it never read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from minilm import BPETokenizer, MiniLM, ModelConfig, TrainingConfig, datasets, load_pretrained, train
from minilm.checkpoints.folders import save_pretrained
from minilm.datasets import Question, Turn
from minilm.objectives import Documents
from minilm.storyworld import StoryWorld
from minilm.tuning.saving import fingerprint

FOLDER = Path(__file__).parents[1] / "runs" / "long_base"
CONTEXT_LENGTH = 640
"""Tokens: four stories have up to about 500."""
STORIES = (1, 2, 3, 4)
SEED = 71
"""Of texts that the task does not draw: its own seed is 0."""
NOTATIONS = (
    "Question: {question}\nAnswer: {answer}",
    "- {question} {Answer}.",
    'Somebody asked, "{question}" The answer was {answer}.',
    "{question} > {answer}",
)
"""How pretraining writes a question and its answer; the task writes "Q:" and "A:"."""


def long_base(name: str, steps: int, n_document: int, device: str = "auto") -> tuple[MiniLM, BPETokenizer]:
    """The base of that name with at least `CONTEXT_LENGTH` positions; trained once, kept, and gone on with if interrupted."""
    short, tokenizer = load_pretrained(name)
    if short.config.context_length >= CONTEXT_LENGTH:
        return short, tokenizer
    folder = FOLDER / f"{fingerprint(short)[:16]}-{steps}-{n_document}"
    if not (folder / "base" / "model.safetensors").is_file():
        longer = with_positions(short, CONTEXT_LENGTH)
        texts = list(documents(tokenizer, n_document))
        batches = Documents(texts, tokenizer.end_of_text, CONTEXT_LENGTH, 8)
        config = TrainingConfig(steps=steps, learning_rate=2e-3, optimizer="adamw", device=device)
        result = train(longer, batches, config, folder=folder / "run")
        if result.stopped:
            raise SystemExit(f"stopped after {result.steps} of {steps} steps: run the same command to go on")
        save_pretrained(folder / "base", longer.to("cpu"), tokenizer)
    return load_pretrained(folder / "base")


def with_positions(model: MiniLM, n: int) -> MiniLM:
    """The same model with n positions: the further ones start as copies of the first, and have to be trained on."""
    longer = MiniLM(ModelConfig(**{**vars(model.config), "context_length": n}))
    weights = model.state_dict()
    known = weights["position_embedding.weight"]  # (old n, d)
    positions = torch.cat([known] * (n // len(known) + 1))[:n]
    longer.load_state_dict({**weights, "position_embedding.weight": positions})
    return longer


def documents(tokenizer: BPETokenizer, n: int) -> Iterator[list[int]]:
    """n documents of the story world, and half as many conversations about one to four stories."""
    for document in StoryWorld().sample(n, seed=SEED):
        yield tokenizer.encode(document.text)
    for stories in STORIES:
        each = n // (2 * len(STORIES))
        asked = datasets.load(
            "storyworld-questions", "train", n=each, stories=stories, turns=3, history=2, seed=SEED
        )
        for number, question in enumerate(asked):
            yield tokenizer.encode(in_notation(question, NOTATIONS[number % len(NOTATIONS)]))


def in_notation(question: Question, notation: str) -> str:
    """The document, the questions so far and the last one, each with its answer."""
    turns = [*question.history, Turn(question.question, question.answers)]
    return "\n".join([question.document, *(written(turn, notation) for turn in turns)])


def written(turn: Turn, notation: str) -> str:
    """One question with its answer; `{Answer}` begins with a capital letter."""
    answer = turn.answers[0]
    return notation.format(question=turn.question, answer=answer, Answer=answer[0].upper() + answer[1:])
