"""A device is found, or refused by name."""

from __future__ import annotations

import pytest
import torch

from minilm.system.devices import autocast, flush_denormals, resolve_device


def pretend(monkeypatch: pytest.MonkeyPatch, cuda: int = 0, mps: bool = False) -> None:
    """Make torch report these devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(0, False, "cpu"), (0, True, "mps"), (2, True, "cuda")]
)
def test_auto_takes_the_fastest_kind(
    monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, expected: str
) -> None:
    pretend(monkeypatch, cuda, mps)
    assert resolve_device("auto") == torch.device(expected)
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


def test_cuda_where_there_is_none_is_refused_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    with pytest.raises(ValueError, match="'cuda' was asked for, but this machine has only cpu; use 'auto'"):
        resolve_device("cuda")
    with pytest.raises(ValueError, match="'mps' was asked for"):
        resolve_device("mps")


def test_a_device_number_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="only 2 CUDA devices"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "tpu", "cuda:x", ""])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"unknown device '{name}'"):
        resolve_device(name)


def test_autocast_multiplies_in_the_precision_that_was_asked_for() -> None:
    x = torch.ones(2, 2)
    for precision, dtype in (
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
    ):
        with autocast(torch.device("cpu"), precision):
            assert (x @ x).dtype == dtype
    with pytest.raises(ValueError, match="precision must be auto, float32 or bfloat16, not 'half'"):
        autocast(torch.device("cpu"), "half")


def test_numbers_too_small_to_be_fast_become_zero() -> None:
    tiny = torch.full((64,), 1e-40)
    assert (tiny * 0.5).all()
    flush_denormals()
    assert not (tiny * 0.5).any()
