"""`score`: a verifier's score for every solution of a run folder or a file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ctm_data.store import Store, is_run_folder
from ctm_eval.benchmarks import Problem, prompt
from ctm_eval.errors import CtmError
from ctm_eval.rows import read_rows

Report = Callable[[str, float, int, int], None]  # stage, solutions done, in all, tokens read
BLOCK = 4096  # solutions that are scored between two writes
TEXTS = ("solution", "completion", "text", "response")  # a file's column of solutions, by any name


def score(
    data: str | Path,
    verifier: str | Path,
    *,
    pool: str | None = None,
    device: str | None = None,
    report: Report | None = None,
) -> Iterator[dict[str, Any]]:
    """A row for every solution of `data`, in its order: what names it, and its `score`.

    `data` is a run folder, whose rows are named by `solution_id`, or a JSONL or Parquet file with a
    `question` or a `prompt`, and a `solution`; its rows come back whole. Higher scores are better:
    see `ctm_eval.verifiers`. Raises CtmError.
    """
    from ctm_eval.verifiers import Verifier

    loaded = Verifier(verifier, pool=pool, device=device)  # type: ignore[arg-type]
    rows = list(_of_run(Store(data)) if is_run_folder(data) else _of_file(data))
    done = tokens = 0

    def progress(solutions: int, read: int) -> None:
        nonlocal done, tokens
        done, tokens = done + solutions, tokens + read
        if report:
            report("scoring", done, len(rows), tokens)

    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        scores = loaded.score([solution for _, solution in block], progress)
        for (named, _), value in zip(block, scores, strict=True):
            yield {**named, "score": value}


def _of_run(store: Store) -> Iterator[tuple[dict[str, Any], Any]]:
    from ctm_eval.verifiers import Solution

    prompts = {
        row["problem_id"]: prompt(Problem(**{**row, "tests": tuple(row["tests"] or ())}))
        for part in store.each("problems")
        for row in part.to_pylist()
    }
    wanted = ["solution_id", "problem_id", "text", "finish_reason"]
    for part in store.each("solutions", wanted):
        for row in part.to_pylist():
            finished = row["finish_reason"] == "stop"
            solution = Solution(prompts[row["problem_id"]], row["text"], finished)
            yield {"solution_id": row["solution_id"]}, solution


def _of_file(path: str | Path) -> Iterator[tuple[dict[str, Any], Any]]:
    from ctm_eval.pocket import prompt as ask
    from ctm_eval.verifiers import Solution

    for where, row in read_rows(path):
        text = next((row[name] for name in TEXTS if isinstance(row.get(name), str)), None)
        given = row.get("prompt") or (ask(row["question"]) if row.get("question") else None)
        if text is None or not isinstance(given, str):
            raise CtmError(
                f"{where} has no `question` (or `prompt`) and `solution`: {', '.join(row)}",
                usage=True,
            )
        yield row, Solution(given, text)
