"""`pocket`: the built-in benchmark and the built-in models, so that everything runs offline."""

from ctm_eval.pocket.builtin import MODEL_DIR, MODELS
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
