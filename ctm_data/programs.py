"""`check_run`: turns the solutions of a run into programs, runs them, and compares answers (CoTnPoT)."""

from pathlib import Path
from typing import Any

from ctm_data.pages.card import finish
from ctm_data.run.mirror import Mirror
from ctm_data.run.records import are_programs, count_solutions, solutions_in
from ctm_data.run.store import Store
from ctm_eval.cotnpot import Check, check, describe
from ctm_eval.engines import load_engine
from ctm_eval.errors import CtmError
from ctm_eval.progress import Counter, Progress
from ctm_eval.sandbox import Sandbox
from ctm_eval.scoring import program_of
from ctm_eval.targets import target_text
from ctm_eval.types import Problem


def check_run(
    run: str | Path,
    coder: str | None = None,
    *,
    engine: str = "transformers",
    device: str | None = None,
    chat: bool = False,
    max_new_tokens: int = 256,
    isolate: bool = True,
    progress: Progress | None = None,
    mirror: Mirror | None = None,
) -> Store:
    """Lets the model `coder` process the solutions of a finished run, and fills the run's `programs` table.

    The coder turns a worked solution into a program, which is run and whose output is compared with the
    solution's answer. If the solutions are programs themselves, the coder describes them; then it is by
    default the model that wrote them. It decodes greedily, once for equal solutions; see
    `ctm_eval.cotnpot`. Finished parts are left unchanged, so that a repeated call resumes an interrupted
    one. Raises CtmError.
    """
    store = Store(run, mirror)
    chunks, recipe = solutions_in(store), store.manifest["recipe"]
    of_programs = are_programs(store)
    if coder is None and not of_programs:
        raise CtmError("CoTnPoT needs a model that writes programs: give --coder", usage=True)
    name = coder or str(recipe["model"])
    loaded = load_engine(engine, name, device=device)
    counted = Counter(progress, "checking", count_solutions(store))
    with (
        Sandbox(isolate=isolate) as sandbox,
        Store.open(
            run, recipe, store.manifest.get("shard"), makes=("programs",), mirror=mirror
        ) as store,
    ):
        for chunk, own in chunks:
            if {(s.solution_id, name) for _, s in own} <= store.done("programs", chunk):
                counted.skip(len(own))
                continue
            counted(0)
            if of_programs:
                items = [(problem, program_of(target_text(s)) or "") for problem, s in own]
                told = describe(loaded, items, chat=chat)
                rows = [_described(*item) for item in zip(items, told, strict=True)]
            else:
                checks = check(
                    loaded,
                    [
                        (problem, target_text(solution), solution.answer)
                        for problem, solution in own
                    ],
                    sandbox,
                    max_new_tokens=max_new_tokens,
                    chat=chat,
                )
                rows = list(map(_checked, checks))
            counted(len(own), sum(len(row["token_ids"] or ()) for row in rows))
            keys = [
                {"solution_id": s.solution_id, "problem_id": s.problem_id, "coder": name}
                for _, s in own
            ]
            store.add("programs", chunk, [{**k, **row} for k, row in zip(keys, rows, strict=True)])
        counted(0)
        finish(store)
    return store


def _checked(one: Check) -> dict[str, Any]:
    return {
        "token_ids": one.token_ids,
        "program": one.program,
        "printed": one.printed,
        "result": one.result,
        "agrees": one.agrees,
        "description": None,
    }


def _described(item: tuple[Problem, str], description: str) -> dict[str, Any]:
    return {
        "token_ids": None,
        "program": item[1],
        "printed": None,
        "result": "described",
        "agrees": None,
        "description": description,
    }
