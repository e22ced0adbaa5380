"""A small run of the built-in model with scored pairs, made once."""

import json
import shutil

import pytest

RECIPE = {"limit": 8, "n_samples": 8, "n_rollouts": 8, "chunk_size": 4, "max_new_tokens": 120}


def pairs(solutions):
    """Contrast rows from a run's solutions: the first right and the first wrong one of a problem, the
    k-th token scored 1 / (k + 1)."""
    by_problem = {}
    for row in solutions:
        by_problem.setdefault(row["problem_id"], {}).setdefault(row["correct"], row)
    for problem_id, found in by_problem.items():
        if len(found) == 2:
            chosen, rejected = found[True], found[False]
            scores = {
                side: [1 / (k + 1) for k in range(len(row["token_ids"]))]
                for side, row in (("chosen", chosen), ("rejected", rejected))
            }
            yield {
                "pair_id": f"{problem_id}-pair",
                "problem_id": problem_id,
                "chosen_id": chosen["solution_id"],
                "rejected_id": rejected["solution_id"],
                "prompt": "the prompt",
                "chosen": chosen["text"],
                "rejected": rejected["text"],
                "prompt_ids": chosen["prompt_ids"],
                "chosen_ids": chosen["token_ids"],
                "rejected_ids": rejected["token_ids"],
                "chosen_ce": scores["chosen"],
                "rejected_ce": scores["rejected"],
                "positive_model": "positive",
                "negative_model": "negative",
                "ce_beta": 1.0,
                "ce_plausibility": 0.0,
                "seed": 0,
            }


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory):
    """The run; tests that change it take a copy, `run`."""
    from ctm_data.build import build_dataset
    from ctm_data.card import finish
    from ctm_data.store import Store

    folder = tmp_path_factory.mktemp("run") / "run"
    recipe = build_dataset(folder, **RECIPE).manifest["recipe"]
    with Store.open(folder, recipe) as store:
        store.write("contrast", 0, pairs(store.read("solutions").to_pylist()))
        finish(store)
    return folder


@pytest.fixture
def run(whole_run, tmp_path):
    return shutil.copytree(whole_run, tmp_path / "run")


@pytest.fixture
def change():
    """Changes the rows of a part of a run, and the manifest along with it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ctm_data.verify import sha256

    def change_it(run, table, row_change):
        part = f"{table}/part-00000.parquet"
        arrow = pq.read_table(run / part, partitioning=None)
        rows = arrow.to_pylist()
        row_change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=arrow.schema), run / part)
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["parts"][part] = sha256(run / part)
        (run / "manifest.json").write_text(json.dumps(manifest))

    return change_it


@pytest.fixture
def hub():
    from hub import Hub

    with Hub() as hub:
        yield hub
