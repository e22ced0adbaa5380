"""CHAMP: 270 competition problems, from the package `champ-dataset`, where it is installed.

{"identifier": "P_Number-Theory_1", "_text": "Find…", "_answer": "42", "category": "Number-Theory"}
"""

from ctm_eval.champ import champ_problems
from ctm_eval.types import Benchmark, Problem


def _problems(split: str, count: int, seed: int) -> list[Problem]:
    """The first `count` problems: there is one split, and nothing is drawn."""
    return [
        Problem(
            problem_id=f"champ-{name}",
            benchmark="champ",
            split=split,
            question=row["_text"],
            answer=row["_answer"],
            subject=row["category"],
        )
        for name, row in list(champ_problems().items())[:count]
    ]


CHAMP = Benchmark(
    name="champ",
    title="CHAMP",
    license="mit",
    kind="math",
    answer_format="box",
    generate=_problems,
    shots=4,
    exemplars="math",
    instruction=r"Think step by step. Put the final answer into \boxed{}.",
)
