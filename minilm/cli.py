"""The command line: `minilm doctor | data | pretrain | sample | methods`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional

from minilm.pretraining.recipe import RECIPES

RecipeByName = tyro.extras.subcommand_type_from_defaults(RECIPES)


def doctor() -> None:
    """Look at this machine: versions, device, data, and what to do about what is missing."""
    from minilm.doctor import report

    print(report())


def data(action: Positional[Literal["list", "show", "get"]], name: Positional[str] = "") -> None:
    """The data shelf: list it, show a card, or get the files of a data set.

    Args:
        action: What to do.
        name: Of a data set, for `show` and `get`.
    """
    from minilm.datasets.commands import get_dataset, list_datasets, show_dataset

    if action == "list":
        print(list_datasets())
    elif not name:
        raise ValueError(
            f"minilm data {action} needs the name of a data set; `minilm data list` has them all"
        )
    else:
        print((show_dataset if action == "show" else get_dataset)(name))


def pretrain(
    folder: Positional[Path],
    recipe: OmitArgPrefixes[OmitSubcommandPrefixes[RecipeByName]],
    run: Path | None = None,
    half: bool = False,
) -> None:
    """Pretrain a model from nothing and save it with its tokenizer and card.

    Args:
        folder: Where the finished model goes.
        recipe: What to train, on what, for how long.
        run: Where the unfinished run is kept; one that is found there goes on.
        half: Store the weights in 16 bits.
    """
    import torch

    from minilm.pretraining import pretrain
    from minilm.system.devices import flush_denormals

    flush_denormals()
    done = pretrain(recipe, folder=run)
    done.save(folder, torch.float16 if half else None)
    for name, loss in done.yardsticks():
        print(f"{name:<40} {loss:.4f} nats per token  {done.corpus.bits_per_byte(loss):.4f} bits per byte")
    print(f"saved in {folder}")


def sample(
    prompt: Positional[str] = "",
    model: str = "storyworld",
    new: int = 120,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> None:
    """Let a model write.

    Args:
        prompt: How the text begins.
        model: A bundled model, "gpt2", or a folder.
        new: Most tokens to write.
        temperature: 0 takes the likeliest token each time.
        top_k: Draw from the k likeliest tokens only.
        top_p: Draw from the fewest tokens that reach this probability.
        seed: Makes the text repeatable.
    """
    from minilm import complete, load_pretrained

    lm, tokenizer = load_pretrained(model)
    end = tokenizer.end_of_text
    ids = [*([end] if end is not None else []), *tokenizer.encode(prompt)]
    room = max(min(new, lm.window - len(ids)), 1)
    [text] = complete(lm, [ids], room, temperature, top_k, top_p, seed, stop_token=end)
    print(prompt + tokenizer.decode(text))


def methods(base: str = "gpt2") -> None:
    """The tuning methods: where each acts, what it trains and what has to be stored.

    Args:
        base: A preset (tiny, small, base, gpt2), a bundled model or a folder; only its shape is looked at.
    """
    from minilm.checkpoints.folders import find_checkpoint
    from minilm.checkpoints.gpt2_layout import config_from_gpt2
    from minilm.checkpoints.tensors import read_json
    from minilm.model.config import PRESETS, ModelConfig
    from minilm.tuning import table

    if base in PRESETS:
        print(table(ModelConfig.preset(base)))
    else:
        print(table(config_from_gpt2(read_json(find_checkpoint(base) / "config.json"))))


COMMANDS = {"doctor": doctor, "data": data, "pretrain": pretrain, "sample": sample, "methods": methods}


def main() -> None:
    """Run the command that the arguments name; what is wrong with them is said in one line."""
    try:
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="minilm", description=__doc__)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"minilm: {error}")


if __name__ == "__main__":
    main()
