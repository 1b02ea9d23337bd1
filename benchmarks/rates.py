"""Which learning rate suits each method: the sweep that `Method.suited` comes from.

    python benchmarks/rates.py                  all methods, steps 40 and 400, results/rates.json
    python benchmarks/rates.py lora prefix      only these
    python benchmarks/rates.py --base FOLDER    on another base

The task is facts to text, the loss is that on the dev split. Rates lie half a power of ten apart, around the one that a
method has now; the sweep moves on while the best one lies at an end. The best rate is the one with the lowest loss after
400 steps among those that lower the base's loss by 30% in 40 steps, if there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from cells import Cells, Row
from small_methods import METHODS, base_of, options, run

from minilm import MiniLM
from minilm.adaptation import task_from
from minilm.adaptation.encoded import EncodedTask
from minilm.tuning import Auxiliary, Method, Side

TASK = {"data": "storyworld-triples", "facts": 2, "n_train": 2000, "n_held_out": 96}
SWEPT: dict[str, Method] = {**METHODS, "auxiliary": Auxiliary(), "side": Side()}
STEP = 10**0.5
WIDEST = 4
"""Rates tried on each side at most."""
GOAL = 0.30
"""Share of the loss that 40 steps have to take away."""


def nearest(rate: float) -> float:
    """The rate of the grid that is nearest: 1, 3.16, 10, 31.6 ... times a power of ten."""
    return STEP ** round(math.log(rate, STEP))


def sweep(
    name: str, method: Method, measure: Callable[[str, Method, float, int], Row], steps: int
) -> dict[float, float]:
    """Rate -> loss, for rates around the method's own until the best has neighbours on both sides."""
    centre = nearest(method.recipe().learning_rate)
    losses: dict[float, float] = {}
    wanted = {centre / STEP, centre, centre * STEP}
    while wanted and len(losses) < 2 * WIDEST + 1:
        for rate in sorted(wanted):
            losses[rate] = measure(name, method, rate, steps)["loss"]
        best = min(losses, key=lambda rate: losses[rate])
        wanted = {nearest(rate) for rate in (best / STEP, best * STEP)} - {nearest(rate) for rate in losses}
    return losses


def chosen(short: dict[float, float], long: dict[float, float], before: float) -> float:
    """The rate with the lowest loss after many steps, among those that learn in few."""
    quick = [rate for rate in long if short[rate] <= (1 - GOAL) * before] or list(long)
    return min(quick, key=lambda rate: long[rate])


def measurer(base: MiniLM, task: EncodedTask, cells: Cells) -> Callable[[str, Method, float, int], Row]:
    """A function that gives the row of a method, a rate and a number of steps."""

    def measure(name: str, method: Method, rate: float, steps: int) -> Row:
        def tuned() -> Row:
            model = run(base, task, method, steps, 0, learning_rate=rate)
            row = {"loss": model.result.evaluations[-1].loss, "seconds": model.result.seconds}
            model.detach()
            return row

        return cells.get(f"{name} {method} steps={steps} rate={rate:.3g}", tuned)

    return measure


def main() -> None:
    """Sweep, write, print."""
    args = options(__doc__, "rates.json", few=40, many=400)
    base, tokenizer, name = base_of(args.base)
    task = task_from(TASK["data"], tokenizer, **{key: value for key, value in TASK.items() if key != "data"})
    before = task.loss(base)
    cells = Cells(args.out, {"base": name, "task": TASK})
    measure = measurer(base, task, cells)
    found = {}
    for row in args.rows or SWEPT:
        long = sweep(row, SWEPT[row], measure, args.many)
        short = {rate: measure(row, SWEPT[row], rate, args.few)["loss"] for rate in sorted(long)}
        rate = chosen(short, long, before)
        found[row] = {"rate": rate, "few": short[rate], "many": long[rate], "falls": 1 - short[rate] / before}
        print(
            f"{row:<18} {rate:8.3g}  {args.few} steps {short[rate]:.3f}, {args.many} steps {long[rate]:.3f}",
            flush=True,
        )
    cells.write(before=before, found=found)


if __name__ == "__main__":
    main()
