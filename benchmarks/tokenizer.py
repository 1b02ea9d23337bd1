"""The tokenizer beside the library `tokenizers`, which is written in Rust: learning, encoding, decoding.

By default on tinyshakespeare. The peer may use several cores and pays for turning its result into Python
objects; both are measured as a user meets them.
"""

from __future__ import annotations

import argparse
from copy import deepcopy

from side_by_side import report, take_turns
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from minilm import BPETokenizer, datasets

N_MERGE = 4096
PEER, OURS = "tokenizers", "minilm"


def train_theirs(text: str) -> Tokenizer:
    """The peer learns as many merges from the same text, with the same cuts and the same alphabet."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + N_MERGE, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def train_ours(text: str) -> BPETokenizer:
    """`N_MERGE` merges learnt from a text."""
    return BPETokenizer.train([text], vocab_size=256 + N_MERGE, special_tokens=())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--text", default="tinyshakespeare", help="a data set of running text, or a text file"
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    text = datasets.load(options.text)

    learning = take_turns({PEER: lambda: train_theirs(text), OURS: lambda: train_ours(text)}, options.repeats)
    report(f"learning {N_MERGE} merges from {len(text):,} characters", learning, PEER, N_MERGE, "merges")

    ours = train_ours(text)
    fresh = iter([deepcopy(ours) for _ in range(options.repeats + 1)])
    theirs, ids = ours.to_tokenizers(), ours.encode(text)
    contenders = {
        PEER: lambda: theirs.encode(text).ids,
        "minilm, every word for the first time": lambda: next(fresh).encode(text),
        "minilm, words remembered": lambda: ours.encode(text),
    }
    report("encoding", take_turns(contenders, options.repeats), PEER, len(ids), "tokens")
    contenders = {PEER: lambda: theirs.decode(ids), OURS: lambda: ours.decode(ids)}
    report("decoding", take_turns(contenders, options.repeats), PEER, len(ids), "tokens")


if __name__ == "__main__":
    main()
