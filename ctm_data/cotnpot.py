"""`check_run`: the solutions of a run turned into programs, run, and compared (CoTnPoT)."""

from pathlib import Path

from ctm_data import card
from ctm_data.score import Counted, Report, solutions_in
from ctm_data.store import Store
from ctm_eval.cotnpot import check
from ctm_eval.engines import load_engine
from ctm_eval.errors import CtmError
from ctm_eval.sandbox import Sandbox


def check_run(
    run: str | Path,
    coder: str,
    *,
    engine: str = "transformers",
    device: str | None = None,
    chat: bool = False,
    max_new_tokens: int = 256,
    isolate: bool = True,
    report: Report | None = None,
) -> Store:
    """Writes what the model `coder` made of a finished run's solutions into its `programs` table.

    The coder is asked greedily, of equal solutions once; see `ctm_eval.cotnpot.check`. A part that is
    done is left as it is, so an interrupted call goes on where it was. Raises CtmError.
    """
    store = Store(run)
    chunks = solutions_in(store)
    if any(
        tests for part in store.each("problems", ["tests"]) for tests in part["tests"].to_pylist()
    ):
        raise CtmError(
            "CoTnPoT turns worked solutions into programs; these are programs", usage=True
        )
    loaded = load_engine(engine, coder, device=device)
    counted = Counted("checking", store, report)
    with (
        Sandbox(isolate=isolate) as sandbox,
        Store.open(run, store.manifest["recipe"], store.manifest.get("shard")) as store,
    ):
        for chunk, own in chunks:
            if {(s.solution_id, coder) for _, s in own} <= store.done("programs", chunk):
                counted(len(own), 0)
                continue
            checks = check(
                loaded,
                [(problem, solution.text, solution.answer) for problem, solution in own],
                sandbox,
                max_new_tokens=max_new_tokens,
                chat=chat,
            )
            counted(len(own), sum(len(one.token_ids) for one in checks))
            store.add(
                "programs",
                chunk,
                [
                    {
                        "solution_id": solution.solution_id,
                        "problem_id": solution.problem_id,
                        "coder": coder,
                        "token_ids": one.token_ids,
                        "program": one.program,
                        "printed": one.printed,
                        "result": one.result,
                        "agrees": one.agrees,
                    }
                    for (_, solution), one in zip(own, checks, strict=True)
                ],
            )
        card.finish(store)
    return store
