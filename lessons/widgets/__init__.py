"""What the reader sees and turns. Each explorer works live in JupyterLab and VS Code, and is never blank elsewhere.

Watch a training run (a callback; shows itself, and leaves its last state in the notebook):

    from lessons.widgets import TrainingDashboard
    dashboard = TrainingDashboard(floor=1.23, title="Pretraining")     # floor: entropy in nats per token, if known
    result = train(model, batches, config, evaluate=..., sample=..., callbacks=[dashboard], progress=False)
    dashboard.next_run("wider", "width 192")                           # name the next run; runs are overlaid

Turn its settings (Run and Stop for the reader; `run` for the lesson, in the cell, to the end):

    from lessons.widgets import PretrainingLab, PretrainingSettings
    lab = PretrainingLab(tok, training_documents, held_out_documents,  # lists of lists of ids, or one long list each
                         floor=1.23, settings=PretrainingSettings(n_layer=2, steps=size.pick(smoke=20, cpu=300, gpu=2000)))
    _ = lab.run()                                                      # shows itself; lab.run(n_layer=4) for another
    lab.model, lab.kept                                                # the newest model; all runs
    lab.save("my-run")                                                 # and lab.load("my-run"), in another session too

    from lessons.widgets import TuningLab                              # the same for tuning a frozen model: pick a method
    lab = TuningLab(model, training, held_out, sample=write)           # lists of (prompt ids, target ids)
    _ = lab.run(method="lora", rank=4)
    lab.table()                                                        # what each run stored and reached

Write with a model, and see how sure it was:

    from lessons.widgets import Playground
    Playground(model, tok, prompt="Once upon a time", length=40, temperature=0.8, seed=0)   # last line of a cell

See what a model expects next beside what the story world knows:

    from lessons.widgets import TruthExplorer
    TruthExplorer(model, tok, oracle, "One morning, Ruby")              # oracle: minilm.storyworld.Oracle(world, tok)

Look at attention, one head of one model or of several side by side:

    from lessons.widgets import AttentionExplorer
    AttentionExplorer(model, tok, "the keeper lit the lamp because", layer=1, head=1)
    AttentionExplorer({"base": model, "prefix": tuned}, tok, text)     # memory slots and gates show by themselves

See what tuning does to the next token, at any strength, beside the exact shift where it is known:

    from lessons.widgets import ShiftExplorer
    ShiftExplorer(tuned, tok, text)                                    # any method; {"LoRA": a, "prefix": b} to choose from
    ShiftExplorer(auxiliary, tok, text, attributes={"because": tok.encode(" because")},
                  exact=lambda ids, name: oracle.shift(ids, ("keyword", name)))

See how much each token listens to what tuning added, and smooth a curve with points to move:

    from lessons.widgets import GateExplorer, SmoothingExplorer
    GateExplorer({"prefix": tuned, "inducer": other}, tok, text)
    SmoothingExplorer("fixed", n=40)

See what each layer would predict, with rank and probability of the token that does come:

    from lessons.widgets import LensExplorer
    LensExplorer({"base": model, "tuned": tuned}, tok, text)           # or one model

Replay merges on the reader's text:

    from lessons.widgets import BPEStepper
    BPEStepper(tok, "lower lowest")

Figures that match (matplotlib):

    from lessons.widgets import use_style
    use_style()
"""

from lessons.widgets.attention_explorer import AttentionExplorer
from lessons.widgets.bpe_stepper import BPEStepper
from lessons.widgets.dashboard import TrainingDashboard
from lessons.widgets.explorer import Explorer
from lessons.widgets.figures import use_style
from lessons.widgets.gate_explorer import GateExplorer
from lessons.widgets.lab import Lab, LabRun
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
