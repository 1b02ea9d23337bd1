"""What the reader sees and controls. Each explorer works live in JupyterLab and VS Code, and is never blank elsewhere.

Put one on the last line of a cell; the docstring of each class says more.

    dashboard = TrainingDashboard(floor=1.23)            # floor: entropy of the text in nats per token, if known
    train(..., callbacks=[dashboard], progress=False)    # it shows itself; dashboard.next_run("wider") names the next run
    lab = PretrainingLab(tok, training_documents, held_out_documents, settings=PretrainingSettings(n_layer=2))
    lab = TuningLab(model, training, held_out, sample=write, settings=TuningSettings(method="lora"))
    _ = lab.run()                                        # and lab.model, lab.kept, lab.save("my-run"), lab.load("my-run")

    Playground(model, tok, "Once upon a time")           # a text, and how probable each of its tokens was
    TruthExplorer(model, tok, oracle, "One morning")     # the next token, beside what the story world knows
    AttentionExplorer(model, tok, text)                  # attention weights, memory slots and gates
    GateExplorer({"prefix": a, "inducer": b}, tok, text) # attention to what tuning added
    SmoothingExplorer("fixed", n=40)                     # attention as kernel smoothing, with points to move
    ShiftExplorer(tuned, tok, text, exact=...)           # what tuning does to the next token, at any strength
    LensExplorer(model, tok, text)                       # what each layer would predict
    BPEStepper(tok, "lower lowest")                      # a tokenizer's merges, one after the other
    use_style()                                          # the same style for matplotlib's figures

Wherever it says model, several by name will do: {"base": model, "tuned": tuned}.
"""

from lessons.widgets.attention_explorer import AttentionExplorer
from lessons.widgets.bpe_stepper import BPEStepper
from lessons.widgets.dashboard import TrainingDashboard
from lessons.widgets.explorer import Explorer
from lessons.widgets.figures import use_style
from lessons.widgets.gate_explorer import GateExplorer
from lessons.widgets.lab import Lab
from lessons.widgets.lab_run import LabRun
from lessons.widgets.lens_explorer import LensExplorer
from lessons.widgets.playground import Playground
from lessons.widgets.pretraining_lab import PretrainingLab, PretrainingSettings
from lessons.widgets.shift_explorer import ShiftExplorer
from lessons.widgets.smoothing import SmoothingExplorer
from lessons.widgets.truth_explorer import TruthExplorer
from lessons.widgets.tuning_lab import TuningLab
from lessons.widgets.tuning_settings import TuningSettings

__all__ = [
    "AttentionExplorer",
    "BPEStepper",
    "Explorer",
    "GateExplorer",
    "Lab",
    "LabRun",
    "LensExplorer",
    "Playground",
    "PretrainingLab",
    "PretrainingSettings",
    "ShiftExplorer",
    "SmoothingExplorer",
    "TrainingDashboard",
    "TruthExplorer",
    "TuningLab",
    "TuningSettings",
    "use_style",
]
