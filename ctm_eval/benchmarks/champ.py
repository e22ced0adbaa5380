"""CHAMP: 270 competition problems, and 540 solutions that humans read, where `champ-dataset` is installed.

{"identifier": "P_Number-Theory_1", "_text": "Find…", "_answer": "42", "category": "Number-Theory",
 "fws_annotations": {"GPT-4": {"author": "GPT-4", "text": "…", "start_idx": 319, "end_idx": 469}}}

The indices are the characters of the first wrong step, null in a right solution. The package is under
the MIT licence and no dependency of `ctm`; only its data file is read. Source: arXiv 2401.06961.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ctm_eval.data_files import refuse_irregular
from ctm_eval.errors import CtmError
from ctm_eval.types import Benchmark, Problem

PACKAGE = "champ-dataset"
DATA = Path("dataset_files", "v0.json")


def champ_rows() -> list[tuple[Problem, dict[str, Any]]]:
    """The problems of CHAMP in their order, each with its row. Raises CtmError without the package."""
    spec = find_spec("champ_dataset")
    if spec is None or spec.origin is None:
        raise CtmError(
            f"CHAMP comes with a package of its own: pip install --no-deps {PACKAGE}", usage=True
        )
    path = Path(spec.origin).parent / DATA
    try:
        refuse_irregular(path)
        rows: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))["problems"]
        return [(_problem(name, row), row) for name, row in rows.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CtmError(f"{path} is not what {PACKAGE} 1.0.0 has there; install it again") from error


def _problem(name: str, row: dict[str, Any]) -> Problem:
    return Problem(
        problem_id=f"champ-{name}",
        benchmark="champ",
        split="test",
        question=row["_text"],
        answer=row["_answer"],
        subject=row["category"],
    )


def _problems(split: str, count: int, seed: int) -> list[Problem]:
    """The first `count` problems: there is one split, and nothing is drawn."""
    if split != "test":
        raise CtmError(f"champ has no split {split!r}; it has test", usage=True)
    return [problem for problem, _ in champ_rows()[:count]]


CHAMP = Benchmark(
    name="champ",
    title="CHAMP",
    license="mit",
    kind="math",
    answer_format="box",
    generate=_problems,
    size=270,
    shots=4,
    exemplars="math",
    instruction=r"Think step by step. Put the final answer into \boxed{}.",
)
