"""`regrade`: grades the kept samples of a run again, without generating."""

from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from ctm_data.pages.card import finish
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError
from ctm_eval.progress import Progress, silent
from ctm_eval.report import Results, measure
from ctm_eval.scoring import Scorer
from ctm_eval.types import Problem, Solution


def regrade(
    folder: str | Path,
    *,
    write: bool = True,
    isolate: bool = True,
    progress: Progress | None = None,
) -> tuple[Results, list[str]]:
    """Grades the samples of a run folder again without generating. Returns the figures, and the ids of the
    solutions whose verdict changed.

    In the folder of an evaluation, the changed parts, `results_ctm.json`, the card and the manifest are
    updated. Nothing is written with `write=False`, or to a run of `build_dataset`, whose rollouts depend
    on the old verdicts.
    """
    manifest = Store(folder).manifest
    write = write and manifest["recipe"].get("command") == "eval"
    if write and "parts" not in manifest:
        raise CtmError(f"{folder} is not finished: run its `ctm eval` again first", usage=True)
    opened = Store.open(folder, manifest["recipe"], manifest.get("shard"))
    with (
        Scorer(isolate=isolate) as scorer,
        opened if write else nullcontext(Store(folder)) as store,
    ):
        if store.set_aside:
            raise CtmError(
                f"{', '.join(store.set_aside)} of {folder} is damaged and was set aside: run its "
                "`ctm eval` again first",
            )
        problems = {
            row["problem_id"]: Problem(**{**row, "tests": tuple(row["tests"] or ())})
            for part in store.each("problems")
            for row in part.to_pylist()
        }
        scorer.check(list(problems.values()))
        changed: list[str] = []
        scored: list[Solution] = []
        chunks = store.chunks("solutions")
        for number, chunk in enumerate(chunks, 1):
            rows = [Solution(**row) for row in store.rows("solutions", chunk)]
            verdicts = scorer.score(
                [(problems[r.problem_id], r.text, r.finish_reason == "stop") for r in rows]
            )
            again = [
                replace(
                    row,
                    answer=v.answer,
                    correct=v.correct,
                    verdict=v.reason,
                    suspicious=v.suspicious,
                )
                for row, v in zip(rows, verdicts, strict=True)
            ]
            other = [
                a.solution_id
                for a, b in zip(again, rows, strict=True)
                if (a.correct, a.verdict) != (b.correct, b.verdict)
            ]
            if write and again != rows:
                store.write("solutions", chunk, map(asdict, again))
            changed += other
            scored += again
            (progress or silent)("scoring", number, len(chunks))
        if write:
            finish(store)
    return measure(scored, programs=any(p.tests for p in problems.values())), changed
