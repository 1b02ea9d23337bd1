"""Two processes that share the work take the steps of one that does it all, and go on where they were stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from minilm.checkpoints.tensors import read_tensors

RUN = """
    import sys
    import torch
    from minilm.model.config import ModelConfig
    from minilm.model import MiniLM
    from minilm.objectives import NextToken
    from minilm.training import StopFlag, TrainingConfig, train

    class After(StopFlag):
        '''Set after so many steps.'''

        def __init__(self, steps):
            super().__init__()
            self.left = steps

        def is_set(self):
            self.left -= 1
            return self.left == 0

    def run(folder, accumulation=1, dropout=0.0, stop=None):
        torch.manual_seed(1)
        shape = ModelConfig(vocab_size=17, context_length=8, n_layer=2, n_head=2, d_model=16, dropout=dropout)
        batches = NextToken([place * place % 17 for place in range(300)], context_length=8, batch_size=4)
        config = TrainingConfig(steps=4, accumulation=accumulation, learning_rate=1e-3, device="cpu")
        train(MiniLM(shape), batches, config, progress=False, folder=folder, stop=stop)

    torch.set_num_threads(1)
    if sys.argv[1] == "one":
        run("one", accumulation=2)
    else:
        torch.distributed.init_process_group("gloo")
        run("two")
        run("whole", dropout=0.5)
        run("cut", dropout=0.5, stop=After(2))
        torch.distributed.barrier()
        run("cut", dropout=0.5)
        torch.distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    """The checkpoints of all runs: one process with both batches a step, two with one each, and two with dropout."""
    folder = tmp_path_factory.mktemp("runs")
    script = folder / "run.py"
    script.write_text(textwrap.dedent(RUN))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*launcher, script, "two"], cwd=folder, env=environment, check=True, capture_output=True)
    subprocess.run([sys.executable, script, "one"], cwd=folder, env=environment, check=True)
    return lambda name: read_tensors(folder / name / "checkpoint.safetensors")[0]


def test_two_processes_equal_one_with_both_batches(tensors):
    two, one = tensors("two"), tensors("one")
    for name in (name for name in one if name.startswith("model.")):
        torch.testing.assert_close(two[name], one[name], atol=2e-5, rtol=1e-4)


def test_every_process_goes_on_with_its_own_dropout(tensors):
    whole, cut = tensors("whole"), tensors("cut")
    assert not torch.equal(whole["random.cpu"], whole["random.cpu.1"])
    assert whole.keys() == cut.keys() and all(torch.equal(whole[name], cut[name]) for name in whole)
