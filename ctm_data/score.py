"""`score`: a verifier's score for every solution of a run folder or a file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_data import card
from ctm_data.labelled import read_by_verifier
from ctm_data.solutions import Solution as Sampled
from ctm_data.stages import problems_of, solutions_of
from ctm_data.store import Store
from ctm_eval.benchmarks import Problem, prompt
from ctm_eval.errors import CtmError
from ctm_eval.rows import read_rows

if TYPE_CHECKING:
    from ctm_eval.verifiers import Solution

Report = Callable[[str, float, int, int], None]  # stage, solutions done, in all, tokens
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
    chunks = solutions_in(store)
    loaded = Verifier(verifier, pool=pool, device=device)  # type: ignore[arg-type]
    counted = Counted("scoring", store, report)
    with Store.open(run, store.manifest["recipe"], store.manifest.get("shard")) as store:
        for chunk, own in chunks:
            wanted = {(s.solution_id, str(verifier), loaded.pool) for _, s in own}
            if wanted <= store.done("scores", chunk):
                counted(len(own), 0)
                continue
            told = _descriptions(store, chunk, verifier) if loaded.descriptions else {}
            scores = loaded.score(
                [
                    Solution(
                        prompt(problem),
                        read_by_verifier(solution.text, told.get(solution.solution_id)),
                        solution.finish_reason == "stop",
                    )
                    for problem, solution in own
                ],
                counted,
            )
            store.add(
                "scores",
                chunk,
                [
                    {
                        "solution_id": solution.solution_id,
                        "problem_id": solution.problem_id,
                        "verifier": str(verifier),
                        "method": loaded.method,
                        "pool": loaded.pool,
                        "score": value,
                    }
                    for (_, solution), value in zip(own, scores, strict=True)
                ],
            )
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
    counted = Counted("scoring", len(rows), report)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        scores = loaded.score([solution for _, solution in block], counted)
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


def solutions_in(store: Store) -> Iterator[tuple[int, list[tuple[Problem, Sampled]]]]:
    """The chunks of a finished run, each with its solutions and their problems. Raises CtmError."""
    chunks = store.chunks("solutions")
    if not chunks or "parts" not in store.manifest:
        raise CtmError(f"{store.folder} is not a finished run with solutions", usage=True)
    return ((chunk, list(_with_problems(store, chunk))) for chunk in chunks)


def _descriptions(store: Store, chunk: int, verifier: str | Path) -> dict[str, str]:
    rows = store.rows("programs", chunk) if chunk in store.chunks("programs") else []
    told = {row["solution_id"]: row["description"] for row in rows}
    if not told or None in told.values():
        raise CtmError(
            f"{verifier} reads programs with their descriptions, which {store.folder} has not: run "
            "`ctm eval` with --cotnpot first",
            usage=True,
        )
    return told


def _with_problems(store: Store, chunk: int) -> Iterator[tuple[Problem, Sampled]]:
    own = solutions_of(store, chunk)
    for problem in problems_of(store, chunk):
        for solution in own[problem.problem_id]:
            yield problem, solution


class Counted:
    """Sums up (solutions, tokens) for `Report`: of a run's solutions, or of so many."""

    def __init__(self, stage: str, total: Store | int, report: Report | None) -> None:
        if isinstance(total, Store):
            total = int(sum(part.num_rows for part in total.each("solutions", ["problem_id"])))
        self._stage, self._report = stage, report
        self._total: int = total
        self._done = self._tokens = 0

    def __call__(self, solutions: int, tokens: int) -> None:
        self._done, self._tokens = self._done + solutions, self._tokens + tokens
        if self._report:
            self._report(self._stage, self._done, self._total, self._tokens)
