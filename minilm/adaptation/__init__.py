"""Adapting a base to a task: what `tune` and `minilm tune` run.

tuned = tune(model, tok, "lora", "my_examples.csv")        # one call
task = task_from("storyworld-triples", tok)                # or step by step: the task in token ids,
tuned = tune(model, tok, LoRA(rank=4), task)               # methods with settings of your own
"""

from minilm.adaptation.encoded import EncodedTask
from minilm.adaptation.report import Report
from minilm.adaptation.task_data import task_from
from minilm.adaptation.task_model import TaskModel
from minilm.adaptation.template import Template
from minilm.adaptation.tune import tune

__all__ = ["EncodedTask", "Report", "TaskModel", "Template", "task_from", "tune"]
