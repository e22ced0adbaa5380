"""A small run of the built-in model with scored pairs, made once."""

import json
import shutil

import pytest

RECIPE = {"limit": 8, "n_samples": 8, "n_rollouts": 8, "chunk_size": 4, "max_new_tokens": 120}


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory):
    """The run; tests that change it take a copy, `run`."""
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig

    folder = tmp_path_factory.mktemp("run") / "run"
    build_dataset(BuildConfig(folder, **RECIPE))
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
