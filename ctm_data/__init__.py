"""Runs: problems in, annotated tables out. Sample, roll out, store, show, publish, query."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctm_data.build import build_dataset, merge_shards
    from ctm_data.config import BuildConfig, EvalConfig
    from ctm_data.eval import evaluate
    from ctm_data.pages.evaluation import paired
    from ctm_data.pages.evaluation import summarize as results
    from ctm_data.pages.summary import summarize
    from ctm_data.query import connect
    from ctm_data.run.sources import load
    from ctm_data.runs import list_runs
    from ctm_eval.grading import grade, grade_file

__all__ = [
    "BuildConfig",
    "EvalConfig",
    "build_dataset",
    "connect",
    "evaluate",
    "grade",
    "grade_file",
    "list_runs",
    "load",
    "merge_shards",
    "paired",
    "results",
    "summarize",
]
_HOME = {  # where each is defined; `results` is called `summarize` there
    "BuildConfig": "ctm_data.config",
    "EvalConfig": "ctm_data.config",
    "build_dataset": "ctm_data.build",
    "connect": "ctm_data.query",
    "evaluate": "ctm_data.eval",
    "grade": "ctm_eval.grading",
    "grade_file": "ctm_eval.grading",
    "list_runs": "ctm_data.runs",
    "load": "ctm_data.run.sources",
    "merge_shards": "ctm_data.build",
    "paired": "ctm_data.pages.evaluation",
    "results": "ctm_data.pages.evaluation",
    "summarize": "ctm_data.pages.summary",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `import ctm_data` stays light."""
    if name == "__version__":
        return version("ctm")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    defined_as = "summarize" if name == "results" else name
    return getattr(import_module(_HOME[name]), defined_as)
