"""Checkpoints of layout 1, which kept the history in their header and knew only settings and first batch of a run."""

from __future__ import annotations

import hashlib
from typing import Any

from minilm.objectives.batch import BatchMaker
from minilm.training.identity import Run, settings_identity
from minilm.training.records import EvaluationRecord, Records, StepRecord, TrainingResult


def old_identity(metadata: dict[str, Any], run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the checkpoint knows of its run, and the same of the live one."""
    theirs = {"settings": settings_identity(metadata["config"], run.device), "first batch": metadata["data"]}
    settings = run.identity()["settings"]
    return theirs, {"settings": settings, "first batch": first_batch_digest(run.batches)}


def old_result(metadata: dict[str, Any]) -> TrainingResult:
    """Its history."""
    told = dict(metadata["result"])
    records = Records(StepRecord(**record) for record in told.pop("records"))
    evaluations = [EvaluationRecord(**record) for record in told.pop("evaluations")]
    return TrainingResult(records=records, evaluations=evaluations, **told | {"stopped": False})


def first_batch_digest(batches: BatchMaker) -> str:
    """As layout 1 wrote it."""
    batch = batches.batch(0)
    return hashlib.sha256(batch.tokens.numpy().tobytes() + batch.targets.numpy().tobytes()).hexdigest()
