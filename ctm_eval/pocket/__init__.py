"""`pocket`: the built-in benchmark and the built-in models, so that everything runs offline."""

from pathlib import Path

from ctm_eval.pocket.coding import Task, tasks
from ctm_eval.pocket.corpus import training_rows
from ctm_eval.pocket.generator import Problem, arithmetic_is_right, problems

__all__ = [
    "MODELS",
    "MODEL_DIR",
    "Problem",
    "Task",
    "arithmetic_is_right",
    "problems",
    "tasks",
    "training_rows",
]

MODEL_DIR = Path(__file__).parent / "weights"
MODELS = {
    "pocket": MODEL_DIR,
    "pocket-coder": MODEL_DIR.parent / "coder_weights",
}  # the built-in ones
