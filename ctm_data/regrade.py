"""`regrade`: grades the kept samples of a run again, without generating."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path

from ctm_data.pages.card import finish
from ctm_data.pages.evaluation import refuse_foreign
from ctm_data.run.records import are_programs, problems_of, solutions_in_part
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError
from ctm_eval.problems import Problems
from ctm_eval.progress import Progress, silent
from ctm_eval.report import Results, Sampled, measure
from ctm_eval.scoring import Scorer


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
    refuse_foreign(Store(folder))
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
        every = (p for chunk in store.chunks("problems") for p in problems_of(store, chunk))
        scorer.check(Problems(every))
        changed: list[str] = []
        again = _again(store, scorer, changed, write, progress or silent)
        results = measure(again, programs=are_programs(store))
        if write:
            finish(store)
    return results, changed


def _again(
    store: Store, scorer: Scorer, changed: list[str], write: bool, progress: Progress
) -> Iterator[Sampled]:
    """The samples, graded again, problem by problem; parts are written, `changed` is filled on the way."""
    chunks = store.chunks("solutions")
    for number, chunk in enumerate(chunks, 1):
        rows = list(solutions_in_part(store, chunk))
        verdicts = scorer.score([(p, row.text, row.finish_reason == "stop") for p, row in rows])
        again = [
            replace(
                row, answer=v.answer, correct=v.correct, verdict=v.reason, suspicious=v.suspicious
            )
            for (_, row), v in zip(rows, verdicts, strict=True)
        ]
        changed += [
            a.solution_id
            for a, (_, b) in zip(again, rows, strict=True)
            if (a.correct, a.verdict) != (b.correct, b.verdict)
        ]
        if write and again != [row for _, row in rows]:
            store.write("solutions", chunk, map(asdict, again))
        progress("scoring", number, len(chunks))
        for _, own in groupby(again, lambda row: row.problem_id):
            yield Sampled(list(own))
