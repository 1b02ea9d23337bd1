"""Two processes that share the work take the steps that one process takes on all of it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import torch

from minilm.checkpoints.tensors import read_tensors

RUN = """
    import sys
    import torch
    from minilm.model.config import ModelConfig
    from minilm.model import MiniLM
    from minilm.objectives import NextToken
    from minilm.training import TrainingConfig, train

    folder, accumulation = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = MiniLM(ModelConfig(vocab_size=17, context_length=8, n_layer=2, n_head=2, d_model=16))
    batches = NextToken([place * place % 17 for place in range(300)], context_length=8, batch_size=4)
    config = TrainingConfig(steps=4, accumulation=accumulation, learning_rate=1e-3, device="cpu")
    train(model, batches, config, progress=False, folder=folder)
"""


def test_two_processes_equal_one_with_both_batches(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(RUN))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*launcher, script, tmp_path / "two", "1"], env=environment, check=True, capture_output=True
    )
    subprocess.run([sys.executable, script, tmp_path / "one", "2"], env=environment, check=True)
    two, _ = read_tensors(tmp_path / "two" / "checkpoint.safetensors")
    one, _ = read_tensors(tmp_path / "one" / "checkpoint.safetensors")
    for name in (name for name in one if name.startswith("model.")):
        torch.testing.assert_close(two[name], one[name], atol=2e-5, rtol=1e-4)
