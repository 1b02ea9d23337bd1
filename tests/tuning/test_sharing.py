"""One base, many readers: whatever other threads do with it, each gets what it would get alone, and nothing is left behind."""

from __future__ import annotations

import copy
import dis
import gc
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from minilm import MiniLM, generate, trace
from minilm.model import evaluating
from minilm.model.passes import Conditions, conditions
from minilm.objectives import NextToken
from minilm.training import TrainingConfig, train
from minilm.tuning import Auxiliary, BitFit, FullFineTuning, LoRA, Prefix, attach, strength
from tests.tuning.conftest import CONFIG, METHODS, attach_and_stir

TEXT = torch.randint(40, (400,), generator=torch.Generator().manual_seed(1))


@contextmanager
def quick_switches() -> Iterator[None]:
    """Threads take turns as often as Python can make them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def together(*works: Callable[[], object]) -> list:
    """The results of functions that run at once, each in a thread of its own; an error of any is raised."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        start.wait()
        return work()

    with quick_switches(), ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))


def logits_of(model, n: int) -> Callable[[], list[torch.Tensor]]:
    """A function that reads the same text several times."""
    tokens = TEXT[None, :6]

    @torch.no_grad()
    def read() -> list[torch.Tensor]:
        return [model(tokens).logits for _ in range(n)]

    return read


def in_train_mode(dropout: float = 0.3, **changes: int) -> MiniLM:
    """A small model with dropout and with weights that matter, while it is being trained."""
    torch.manual_seed(3)
    model = MiniLM(replace(CONFIG, n_layer=1, dropout=dropout, **changes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.train()


def fine_tune(base: MiniLM, steps: int = 20) -> list[float]:
    """The losses of a run of full fine-tuning, which drops out if the base does."""
    return learn(attach(base, FullFineTuning()), steps)


def learn(model, steps: int) -> list[float]:
    """The losses of a run."""
    config = TrainingConfig(steps=steps, optimizer="adamw", learning_rate=1e-3, device="cpu")
    records = train(model, NextToken(TEXT, 8, 2), config, progress=False).records
    return [record.loss for record in records]


@pytest.mark.parametrize("name", ["fine-tuning", "bitfit", "lora", "prefix", "mam", "auxiliary-features"])
def test_a_base_reads_the_same_while_a_tuned_model_runs(base, name):
    tuned = attach_and_stir(base, METHODS[name])
    alone, alone_tuned = logits_of(base, 1)()[0], logits_of(tuned, 1)()[0]
    of_base, of_tuned = together(logits_of(base, 40), logits_of(tuned, 40))
    assert all(torch.equal(each, alone) for each in of_base)
    assert all(torch.equal(each, alone_tuned) for each in of_tuned)
    assert not torch.equal(alone, alone_tuned)


def test_generating_in_several_threads_from_a_model_in_train_mode():
    model = in_train_mode()
    write = [lambda seed=seed: generate(model, TEXT[None, :2], 15, seed=seed) for seed in range(4)]
    alone = [each() for each in write]
    for _ in range(3):
        assert all(map(torch.equal, together(*write), alone))
    assert model.training


def test_training_is_not_changed_by_who_reads_the_model_meanwhile():
    def run(watch: bool) -> list[float]:
        model, done = in_train_mode(), threading.Event()

        def study() -> list[float]:
            try:
                return learn(model, steps=12)
            finally:
                done.set()

        def look() -> None:
            while not done.is_set():
                generate(model, TEXT[None, :2], 5, seed=0)
                with trace(model) as seen:
                    model(TEXT[None, :5])
                assert len(seen.attention) == 1 and not seen.logits.shift.isnan().any()

        return together(study, look, look)[0] if watch else study()

    assert run(watch=True) == run(watch=False)


def test_four_generate_one_tunes_and_one_traces():
    base = in_train_mode(dropout=0.1)
    models = [base, *(attach_and_stir(base, METHODS[name]) for name in ("lora", "prefix", "bitfit"))]
    rounds = 200

    def write(model) -> Callable[[], list]:
        return lambda: [generate(model, TEXT[None, :3], 2, seed=seed) for seed in range(rounds)]

    def look() -> list:
        seen = []
        for start in range(rounds):
            with trace(models[1]) as t:
                models[1](TEXT[None, start : start + 4])
            seen += [t.attention[0], t.logits.shift]
        return seen

    works = [*map(write, models), look]
    alone, losses = [work() for work in works], fine_tune(base, rounds)
    *results, tuned = together(*works, lambda: fine_tune(base, rounds))
    for ours, expected in zip(results, alone, strict=True):
        assert all(map(torch.equal, ours, expected))
    assert tuned == losses
    assert all(module.training for module in base.modules())


def test_a_strength_is_turned_for_one_thread_only(base):
    tuned = attach_and_stir(base, Auxiliary(d_model=8, n_layer=1, n_head=2))

    def at(value: float) -> Callable[[], list]:
        def read() -> list:
            with strength(tuned, value):
                return logits_of(tuned, 30)()

        return read

    weak, plain, strong = together(at(0.0), logits_of(tuned, 30), at(2.0))
    assert all(torch.equal(each, base(TEXT[None, :6]).logits) for each in weak)
    assert all(torch.equal(each, tuned(TEXT[None, :6]).logits) for each in plain)
    assert not torch.equal(strong[0], plain[0])
    assert all(torch.equal(each, strong[0]) for each in strong)


def test_attaching_changes_nothing_of_the_base(base):
    base.position_embedding.requires_grad_(False)
    flags = [weight.requires_grad for weight in base.parameters()]
    for method in METHODS.values():
        tuned = attach(base.train(), method)
        tuned(TEXT[None, :5]).logits.sum().backward()
        assert [weight.requires_grad for weight in base.parameters()] == flags
        assert all(weight.grad is None for weight in base.parameters())
        assert all(module.training for module in base.modules())


def test_copies_made_while_attached_are_free(base, tokens):
    tuned = attach_and_stir(base, FullFineTuning())
    copied, base_copied = copy.deepcopy(tuned), copy.deepcopy(base)
    tuned.detach()
    assert torch.equal(copied(tokens).logits, copy.deepcopy(copied)(tokens).logits)
    with torch.no_grad():
        base.final_norm.bias += 1  # the copies have a base of their own
    own = copied.detach()
    assert torch.equal(own(tokens).logits, base_copied(tokens).logits)
    assert all(weight.requires_grad for each in (own, base_copied) for weight in each.parameters())
    train(own, NextToken(TEXT, 8, 2), TrainingConfig(steps=2, device="cpu"), progress=False)


def test_a_tuned_model_that_is_dropped_is_gone(base):
    gone = weakref.ref(attach(base, [LoRA(rank=2), Prefix(2)]))
    gc.collect()
    assert gone() is None
    train(base, NextToken(TEXT, 8, 2), TrainingConfig(steps=2, device="cpu"), progress=False)


def test_a_tuned_model_follows_its_base(base, tokens):
    """Moved, given other memory, or written to: what is read is what the base has now."""
    tuned, other = attach_and_stir(base, LoRA(rank=2)), attach_and_stir(base, BitFit())
    tuned.to(torch.float64)
    assert tuned(tokens).logits.dtype == torch.float64
    base.float()
    base.final_norm.weight = torch.nn.Parameter(base.final_norm.weight.detach() * 2)
    for each in (tuned, other):
        expected = attach(base, list(each.methods.values()))
        expected.load_state_dict(each.state_dict())
        torch.testing.assert_close(each.float()(tokens).logits, expected(tokens).logits, rtol=0, atol=1e-5)


HEARS_SIGNALS = {dis.opmap[name] for name in ("RESUME", "CALL", "JUMP_BACKWARD") if name in dis.opmap}
"""Instructions after which Python looks whether Ctrl-C was pressed."""


class CtrlC:
    """A trace function that presses Ctrl-C the n-th time that Python looks, within the library.

    Not on the doorstep of an `__exit__`: no `with` block of Python's, nor of torch's, stands that.
    """

    def __init__(self, n: int):
        self.left, self.last = n, {}

    def __call__(self, frame, event: str, argument):
        if "minilm" not in frame.f_code.co_filename or frame.f_code.co_name == "__exit__":
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            heard = self.last.get(id(frame)) in HEARS_SIGNALS
            self.last[id(frame)] = frame.f_code.co_code[frame.f_lasti]
            self.left -= heard
            if heard and self.left == 0:
                raise KeyboardInterrupt
        return self


def interrupted_everywhere(work: Callable[[], None]) -> Iterator[int]:
    """Runs a function again and again, each time with Ctrl-C a little later, until it gets through."""
    for place in itertools.count(1):
        sys.settrace(CtrlC(place))
        try:
            work()
            return
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        yield place


def test_ctrl_c_at_any_moment_leaves_nothing_half_done():
    """Wherever Python may hear of it in `attach`, in the `with` blocks and in `detach`, one place after the other."""
    base = in_train_mode()
    small = Auxiliary(d_model=4, n_layer=1, n_head=1)

    def blocks() -> None:
        tuned = attached
        with evaluating(tuned), strength(tuned, 0.5), trace(tuned):
            pass

    def attaching() -> None:
        attach(base, BitFit()).train().detach()

    attached, n_place = attach(base, small), 0
    for work in (blocks, attaching):
        for _ in interrupted_everywhere(work):
            n_place += 1
            assert conditions() == Conditions()
            assert attached.attachments["auxiliary"].strength == 1.0
            assert all(weight.requires_grad for weight in base.parameters())
            assert all(module.training for module in base.modules())
    assert n_place > 300
