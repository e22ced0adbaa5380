"""Runs: problems in, annotated tables out. Sample, roll out, store, show, publish, query."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctm_data.build import build_dataset, merge_shards
    from ctm_data.config import BuildConfig, EvalConfig
    from ctm_data.eval import evaluate
    from ctm_data.pages.summary import summarize
    from ctm_data.query import connect
    from ctm_data.run.sources import load

__all__ = [
    "BuildConfig",
    "EvalConfig",
    "build_dataset",
    "connect",
    "evaluate",
    "load",
    "merge_shards",
    "summarize",
]
_HOME = {
    "BuildConfig": "config",
    "EvalConfig": "config",
    "build_dataset": "build",
    "connect": "query",
    "evaluate": "eval",
    "load": "run.sources",
    "merge_shards": "build",
    "summarize": "pages.summary",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `import ctm_data` stays light."""
    if name == "__version__":
        return version("ctm")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
