"""The run folder: atomic parts, recipe check, what is set aside."""

import errno
import json
import os

import pytest

from ctm_data.run.schema import SCHEMAS
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

RECIPE = {"model": "pocket", "seed": 0}


def problem(i):
    return {"problem_id": f"p{i}", "benchmark": "pocket", "question": "?", "answer": "1"}


@pytest.fixture
def folder(tmp_path):
    with Store.open(tmp_path / "run", RECIPE) as store:
        store.write("problems", 0, [problem(0), problem(1)])
        store.write("problems", 1, [problem(2)])
    return tmp_path / "run"


def keys(folder):
    return {(key,) for key in Store(folder).read("problems")["problem_id"].to_pylist()}


def test_what_is_written_is_read_in_the_order_of_the_parts(folder):
    assert Store(folder).read("problems")["problem_id"].to_pylist() == ["p0", "p1", "p2"]


def test_what_is_done_is_read_off_the_keys_of_a_part(folder):
    store = Store(folder)
    assert store.done("problems", 0) == {("p0",), ("p1",)}
    assert store.done("problems", 7) == set()


def test_a_table_that_was_not_begun_is_empty(folder):
    assert Store(folder).read("rollouts").num_rows == 0


def test_a_changed_recipe_is_refused_with_the_difference(folder):
    with (
        pytest.raises(CtmError, match=r"another recipe \(seed: 0 there, 1 here\)"),
        Store.open(folder, {**RECIPE, "seed": 1}),
    ):
        pass
    assert len(keys(folder)) == 3


def test_a_truncated_part_is_set_aside_by_name(folder):
    part = folder / "problems" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-7])
    with Store.open(folder, RECIPE) as store:
        assert store.set_aside == ["problems/part-00001.parquet"]
        assert store.done("problems", 1) == set()
    assert (folder / "set-aside" / "problems-part-00001.parquet").exists()
    assert keys(folder) == {("p0",), ("p1",)}


def test_a_part_with_a_flipped_bit_is_set_aside(folder):
    part = folder / "problems" / "part-00000.parquet"
    content = bytearray(part.read_bytes())
    content[40] ^= 1
    part.write_bytes(content)
    with Store.open(folder, RECIPE) as store:
        assert store.set_aside == ["problems/part-00000.parquet"]


def test_a_foreign_file_is_set_aside_and_never_read(folder):
    (folder / "problems" / "notes.parquet").write_bytes(b"mine")
    with Store.open(folder, RECIPE) as store:
        assert store.set_aside == ["problems/notes.parquet"]
    assert (folder / "set-aside" / "problems-notes.parquet").read_bytes() == b"mine"


def test_a_truncated_part_that_is_only_read_is_named(folder):
    part = folder / "problems" / "part-00001.parquet"
    part.write_bytes(b"PAR1")
    with pytest.raises(CtmError, match=r"part-00001\.parquet cannot be read"):
        Store(folder).read("problems")


def test_a_half_written_part_leaves_no_trace(folder):
    (folder / "problems" / ".part-00002.parquet.partial").write_bytes(b"PAR1")
    with Store.open(folder, RECIPE) as store:
        assert store.set_aside == []
    assert sorted(p.name for p in (folder / "problems").iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]


def test_a_full_disk_loses_nothing_and_says_so(folder, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Store.open(folder, RECIPE) as store:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(CtmError, match=r"disk of .* is full; nothing done so far is lost"):
                store.write("problems", 2, [problem(3)])
        assert sorted(p.name for p in (folder / "problems").iterdir()) == [
            "part-00000.parquet",
            "part-00001.parquet",
        ]
        store.write("problems", 2, [problem(3)])
    assert ("p3",) in keys(folder)


def test_two_writers_are_kept_apart(folder):
    with (
        Store.open(folder, RECIPE),
        pytest.raises(CtmError, match="another process is writing"),
        Store.open(folder, RECIPE),
    ):
        pass


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CtmError, match="not empty and not a run folder"), Store.open(tmp_path, {}):
        pass
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(CtmError, match="is not a run folder"):
        Store(tmp_path)


def test_the_manifest_holds_a_hash_for_every_part(folder):
    import hashlib

    with Store.open(folder, RECIPE) as store:
        store.finish("# card\n")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["recipe"] == RECIPE
    for part, digest in manifest["parts"].items():
        assert hashlib.sha256((folder / part).read_bytes()).hexdigest() == digest
    assert len(manifest["parts"]) == 2


@pytest.fixture
def older(run):
    """A run as schema version 1 had it: without the columns that came later."""
    import pyarrow.parquet as pq

    from ctm_data.run.files import sha256
    from ctm_data.run.schema import schemas_of

    manifest = json.loads((run / "manifest.json").read_text())
    manifest["schema_version"] = 1
    for part in manifest["parts"]:
        names = schemas_of(1)[part.split("/")[0]].names
        pq.write_table(pq.read_table(run / part, partitioning=None).select(names), run / part)
        manifest["parts"][part] = sha256(run / part)
    for name in ("resolution", "adaptive", "confidence", "budget"):
        del manifest["recipe"][name]
    (run / "manifest.json").write_text(json.dumps(manifest))
    return run


def test_an_older_run_reads_with_nulls_for_what_came_later(older):
    table = Store(older).read("rollouts")
    assert table.column_names == SCHEMAS["rollouts"].names
    assert table["critical_prob"].null_count == table.num_rows > 0
    assert Store(older).read("rollouts", ["critical_low", "value"]).column_names == [
        "critical_low",
        "value",
    ]


def test_an_older_run_answers_queries_on_what_came_later(older):
    from ctm_data.query import query

    sql = "select count(*) as n, count(critical_prob) as known from rollouts"
    [row] = query(sql, older).read_all().to_pylist()
    assert row["n"] > 0
    assert row["known"] == 0


def test_an_older_run_is_not_gone_on_with_and_nothing_of_it_is_set_aside(older):
    before = sorted(older.rglob("*.parquet"))
    with (
        pytest.raises(CtmError, match="schema version 1, and this ctm writes 2"),
        Store.open(older, {}),
    ):
        pass
    assert sorted(older.rglob("*.parquet")) == before


def test_verify_takes_an_older_run_by_the_schema_of_its_time(older):
    """Its critical_index is what the rule marked, and 0 was 0 to the letter."""
    from ctm_data.verify import verify

    checks = {check.name: check.failures for check in verify(older, texts=False).checks}
    assert checks["schemas"] == []
    assert checks["parts are those of the manifest"] == []
