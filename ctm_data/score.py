"""`score_run` and `score_file`: a verifier's score for every solution of a run folder or a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_data.pages.card import finish
from ctm_data.run.mirror import Mirror
from ctm_data.run.records import count_solutions, solutions_in
from ctm_data.run.store import Store
from ctm_data.stages.verifier import read_by_verifier
from ctm_eval.data_files import read_rows
from ctm_eval.errors import CtmError
from ctm_eval.progress import Counter, Progress
from ctm_eval.prompts import prompt
from ctm_eval.targets import target_text

if TYPE_CHECKING:
    from ctm_eval.verifiers import Candidate

BLOCK = 4096  # number of solutions of a file that are scored at a time
TEXTS = ("solution", "completion", "text", "response")  # accepted names of the column of solutions


def score_run(
    run: str | Path,
    verifier: str | Path,
    *,
    pool: str | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    mirror: Mirror | None = None,
) -> Store:
    """Adds a verifier's scores of a finished run's solutions to its `scores` table.

    The verifier reads the bare exercise and the solution, as in its training data, and not the chat or the
    worked examples of the run. Parts that already have scores are left unchanged, so that a repeated call
    resumes an interrupted one. Raises CtmError.
    """
    from ctm_eval.verifiers import Candidate, Verifier

    store = Store(run, mirror)
    chunks = solutions_in(store)
    loaded = Verifier(verifier, pool=pool, device=device)  # type: ignore[arg-type]
    counted = Counter(progress, "scoring", count_solutions(store))
    recipe, shard = store.manifest["recipe"], store.manifest.get("shard")
    with Store.open(run, recipe, shard, makes=("scores",), mirror=mirror) as store:
        for chunk, own in chunks:
            wanted = {(s.solution_id, str(verifier), loaded.pool) for _, s in own}
            if wanted <= store.done("scores", chunk):
                counted.skip(len(own))
                continue
            counted(0)
            told = _descriptions(store, chunk, verifier) if loaded.descriptions else {}
            scores = loaded.score(
                [
                    Candidate(
                        prompt(problem),
                        read_by_verifier(target_text(solution), told.get(solution.solution_id)),
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
        counted(0)
        finish(store)
    return store


def score_file(
    path: str | Path,
    verifier: str | Path,
    *,
    pool: str | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL or Parquet file, each unchanged except for a `score` that is added.

    A row has a `solution`, and either a `question` or a `prompt` that the solution continues. Higher scores
    are better; see `ctm_eval.verifiers`. Raises CtmError.
    """
    from ctm_eval.verifiers import Verifier

    rows = list(_solutions(path))
    loaded = Verifier(verifier, pool=pool, device=device)  # type: ignore[arg-type]
    counted = Counter(progress, "scoring", len(rows))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        scores = loaded.score([solution for _, solution in block], counted)
        for (row, _), value in zip(block, scores, strict=True):
            yield {**row, "score": value}


def _solutions(path: str | Path) -> Iterator[tuple[dict[str, Any], "Candidate"]]:
    from ctm_eval.prompts import exercise
    from ctm_eval.verifiers import Candidate

    for where, row in read_rows(path):
        text = next((row[name] for name in TEXTS if isinstance(row.get(name), str)), None)
        given = row.get("prompt") or (exercise(row["question"]) if row.get("question") else None)
        if text is None or not isinstance(given, str):
            raise CtmError(
                f"{where} needs a `question` (or `prompt`) and a `solution`; it has: {', '.join(row)}",
                usage=True,
            )
        yield row, Candidate(given, text)


def _descriptions(store: Store, chunk: int, verifier: str | Path) -> dict[str, str]:
    rows = store.rows("programs", chunk) if chunk in store.chunks("programs") else []
    told = {row["solution_id"]: row["description"] for row in rows}
    if not told or None in told.values():
        raise CtmError(
            f"{verifier} reads programs with descriptions, which {store.name} does not have: run "
            "`ctm eval` with --cotnpot first",
            usage=True,
        )
    return told
