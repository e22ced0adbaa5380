"""`score`: a verifier's score for every solution of a run folder or a file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_data import card
from ctm_data.stages import problems_of, solutions_of
from ctm_data.store import Store
from ctm_eval.benchmarks import prompt
from ctm_eval.errors import CtmError
from ctm_eval.rows import read_rows

if TYPE_CHECKING:
    from ctm_eval.verifiers import Solution

Report = Callable[[str, float, int, int], None]  # stage, solutions done, in all, tokens read
BLOCK = 4096  # solutions of a file that are scored at a time
TEXTS = ("solution", "completion", "text", "response")  # a file's column of solutions, by any name


def score_run(
    run: str | Path,
    verifier: str | Path,
    *,
    pool: str | None = None,
    device: str | None = None,
    report: Report | None = None,
) -> Store:
    """Writes the scores of a finished run's solutions into its `scores` table, beside those of others.

    A part that has them is left as it is, so an interrupted call goes on where it was. Raises CtmError.
    """
    from ctm_eval.verifiers import Solution, Verifier

    store = Store(run)
    chunks = store.chunks("solutions")
    if not chunks or "parts" not in store.manifest:
        raise CtmError(f"{run} is not a finished run with solutions to score", usage=True)
    loaded = Verifier(verifier, pool=pool, device=device)  # type: ignore[arg-type]
    total = sum(part.num_rows for part in store.each("solutions", ["solution_id"]))
    progress = _Progress(report, total)
    with Store.open(run, store.manifest["recipe"], store.manifest.get("shard")) as store:
        for chunk in chunks:
            own = [solution for by in solutions_of(store, chunk).values() for solution in by]
            prompts = {problem.problem_id: prompt(problem) for problem in problems_of(store, chunk)}
            wanted = {(s.solution_id, str(verifier), loaded.pool) for s in own}
            done = store.done("scores", chunk)
            if wanted <= done:
                progress(len(own), 0)
                continue
            scores = loaded.score(
                [Solution(prompts[s.problem_id], s.text, s.finish_reason == "stop") for s in own],
                progress,
            )
            before = store.rows("scores", chunk) if done else []
            others = [
                r for r in before if (r["verifier"], r["pool"]) != (str(verifier), loaded.pool)
            ]
            new = [
                {
                    "solution_id": solution.solution_id,
                    "problem_id": solution.problem_id,
                    "verifier": str(verifier),
                    "method": loaded.method,
                    "pool": loaded.pool,
                    "score": value,
                }
                for solution, value in zip(own, scores, strict=True)
            ]
            store.write("scores", chunk, [*others, *new])
        card.finish(store)
    return store


def score_file(
    path: str | Path,
    verifier: str | Path,
    *,
    pool: str | None = None,
    device: str | None = None,
    report: Report | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL or Parquet file, each with its `score` and whole otherwise.

    A row has a `question`, or a `prompt` that the solution continues, and a `solution`. Higher scores
    are better: see `ctm_eval.verifiers`. Raises CtmError.
    """
    from ctm_eval.verifiers import Verifier

    rows = list(_solutions(path))
    loaded = Verifier(verifier, pool=pool, device=device)  # type: ignore[arg-type]
    progress = _Progress(report, len(rows))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        scores = loaded.score([solution for _, solution in block], progress)
        for (row, _), value in zip(block, scores, strict=True):
            yield {**row, "score": value}


def _solutions(path: str | Path) -> Iterator[tuple[dict[str, Any], "Solution"]]:
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


class _Progress:
    """Sums up what a verifier reports, for `Report`."""

    def __init__(self, report: Report | None, total: int) -> None:
        self._report, self._total, self._done, self._tokens = report, total, 0, 0

    def __call__(self, solutions: int, read: int) -> None:
        self._done, self._tokens = self._done + solutions, self._tokens + read
        if self._report:
            self._report("scoring", self._done, self._total, self._tokens)
