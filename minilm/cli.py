"""The command line: `minilm doctor | data | pretrain | tune | sample | methods`.

Exit status: 0 done; 1 an error, printed in one line; 2 arguments that do not belong to a command; 130 (Ctrl-C) or 143 (SIGTERM) a command
that was stopped. A stopped `minilm pretrain` continues when it is called again.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional

from minilm.adaptation.command import tune
from minilm.pretraining.recipe import RECIPES
from minilm.system.terminal import plain, say

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
RecipeByName = tyro.extras.subcommand_type_from_defaults(RECIPES)


def doctor() -> None:
    """Examine this machine: versions, device and data, with advice on whatever is missing."""
    from minilm.doctor import report

    print(report())


def data(action: Positional[Literal["list", "show", "get"]], name: Positional[str] = "") -> None:
    """The data sets: list them, show a card, or download the files of one.

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
    overwrite: bool = False,
) -> int:
    """Pretrain a model from nothing and save it with its tokenizer and card.

    The unfinished run is kept next to the model, in FOLDER.run. Ctrl-C stops it after the current step, with exit status
    130, and the same command continues from there. Only a finished model is put into FOLDER; then FOLDER.run is removed.

    Args:
        folder: Where the finished model goes.
        recipe: What to train, on what, for how long.
        run: Keep the unfinished run in this folder instead, and leave it there when it is finished.
        half: Store the weights in 16 bits.
        overwrite: Replace a finished model, or an unfinished run, of another recipe.
    """
    import torch

    from minilm.pretraining.command import how_it_goes_on, places, run_pretraining
    from minilm.system.devices import flush_denormals

    flush_denormals()
    try:
        return run_pretraining(folder, recipe, run, torch.float16 if half else None, overwrite)
    except KeyboardInterrupt:
        print(how_it_goes_on(places(folder, run).run, recipe))
        return INTERRUPTED


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

    if new < 1:
        raise ValueError(f"new must be at least 1 token, not {new}")
    lm, tokenizer = load_pretrained(model)
    end = tokenizer.end_of_text
    ids = [end, *tokenizer.encode(prompt)]
    if len(ids) > lm.window:
        raise ValueError(
            f"the prompt has {len(ids)} tokens, and {model} reads at most {lm.window}: shorten it"
        )
    room = lm.window + 1 - len(ids)
    if new > room:
        print(f"minilm: only {room} of {new} new tokens fit into the window of {lm.window}", file=sys.stderr)
    [text] = complete(lm, [ids], min(new, room), temperature, top_k, top_p, seed, stop_token=end)
    say(prompt + tokenizer.decode(text))


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


COMMANDS = {
    "doctor": doctor,
    "data": data,
    "pretrain": pretrain,
    "tune": tune,
    "sample": sample,
    "methods": methods,
}


def main() -> None:
    """Run the command that the arguments name; an error is printed in one line."""
    formerly = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"minilm: {message}\n"
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a terminal may have fewer letters than a model writes
    try:
        status = tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="minilm", description=__doc__)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"minilm: {plain(str(error))}")
    except KeyboardInterrupt:
        print("minilm: interrupted", file=sys.stderr)
        status = INTERRUPTED
    finally:
        warnings.formatwarning = formerly
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
