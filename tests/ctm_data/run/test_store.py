"""The run folder: atomic parts, recipe check, what is set aside."""

import errno
import json
import os
import resource

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctm_data.run.schema import SCHEMAS
from ctm_data.run.store import Store, is_whole
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


def test_of_many_differences_the_first_six_are_told(folder):
    recipe = {**RECIPE, **{f"option{i}": i for i in range(8)}}
    with (
        pytest.raises(CtmError, match=r"option5: None there, 5 here; and 2 more\); give"),
        Store.open(folder, recipe),
    ):
        pass


def test_an_evaluation_is_no_folder_for_a_dataset(folder):
    with (
        pytest.raises(CtmError, match="run holds a dataset, not an evaluation; give another"),
        Store.open(folder, {**RECIPE, "command": "eval"}),
    ):
        pass


def test_a_run_that_lacks_a_part_of_its_manifest_is_not_read_as_a_smaller_one(folder):
    with Store.open(folder, RECIPE) as store:
        store.finish("card")
    (folder / "problems" / "part-00001.parquet").unlink()
    with pytest.raises(
        CtmError, match=r"problems/part-00001\.parquet is missing, and the manifest lists"
    ):
        Store(folder).read("problems")


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


def other_part(tmp_path, recipe=None):
    """A sound part of a run of another recipe."""
    with Store.open(tmp_path / "other", recipe or {**RECIPE, "seed": 1}) as store:
        store.write("problems", 0, [problem(0), problem(1)])
    return (tmp_path / "other" / "problems" / "part-00000.parquet").read_bytes()


def test_what_a_kill_leaves_of_the_first_manifest_locks_nothing(tmp_path):
    (tmp_path / ".manifest.json.partial").write_text('{"schema_ver')
    (tmp_path / ".lock").touch()
    with Store.open(tmp_path, RECIPE) as store:
        assert store.manifest["recipe"] == RECIPE
    assert sorted(os.listdir(tmp_path)) == [".lock", "manifest.json"]


def test_what_a_kill_leaves_of_a_card_is_removed(folder):
    (folder / ".README.md.partial").write_text("half")
    with Store.open(folder, RECIPE):
        pass
    assert ".README.md.partial" not in os.listdir(folder)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_at_the_first_manifest_is_explained_and_leaves_nothing(
    tmp_path, monkeypatch, call
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(CtmError, match=r"disk of .* is full"), Store.open(tmp_path, RECIPE):
            pass
    assert os.listdir(tmp_path) == [".lock"]
    with Store.open(tmp_path, RECIPE):
        pass


def test_a_part_of_another_recipe_is_set_aside(folder, tmp_path):
    (folder / "problems" / "part-00000.parquet").write_bytes(other_part(tmp_path))
    with Store.open(folder, RECIPE) as store:
        assert store.set_aside == ["problems/part-00000.parquet"]


def test_a_part_copied_over_another_is_set_aside(folder):
    parts = folder / "problems"
    (parts / "part-00001.parquet").write_bytes((parts / "part-00000.parquet").read_bytes())
    with Store.open(folder, RECIPE) as store:
        assert store.set_aside == ["problems/part-00001.parquet"]


def test_an_altered_part_of_a_finished_run_is_never_signed_anew(folder):
    with Store.open(folder, RECIPE) as store:
        store.finish("# card\n")
    manifest = (folder / "manifest.json").read_bytes()
    part = folder / "problems" / "part-00001.parquet"
    arrow = pq.read_table(part, partitioning=None)
    pq.write_table(arrow.set_column(4, "answer", pa.array(["2"])), part)  # whole, and of our schema
    with Store.open(folder, RECIPE) as store:
        assert store.set_aside == ["problems/part-00001.parquet"]
        with pytest.raises(CtmError, match=r"part-00001\.parquet is gone"):
            store.finish("# card\n")
    assert (folder / "manifest.json").read_bytes() == manifest


def test_an_altered_part_that_the_command_cannot_make_is_refused_by_name(folder):
    (folder / "problems" / "part-00001.parquet").write_bytes(b"PAR1")
    with (
        pytest.raises(CtmError, match=r"part-00001\.parquet cannot be read as a part of problems"),
        Store.open(folder, RECIPE, makes=("scores",)),
    ):
        pass


def test_a_kill_after_a_change_to_a_finished_run_does_not_make_the_change_look_altered(folder):
    with Store.open(folder, RECIPE) as store:
        store.finish("# card\n")
    with Store.open(folder, RECIPE) as store:
        store.write("problems", 1, [problem(7)])  # and no finish
    with Store.open(folder, RECIPE) as store:
        assert store.set_aside == []
        store.finish("# card\n")
    assert ("p7",) in keys(folder)


def test_a_part_from_before_parts_were_bound_stays_valid(folder):
    part = folder / "problems" / "part-00001.parquet"
    arrow = pq.read_table(part, partitioning=None).replace_schema_metadata(None)
    pq.write_table(arrow, part, compression="zstd", write_page_checksum=True)
    with Store.open(folder, RECIPE) as store:
        assert store.set_aside == []
        assert store.binding(part) == "not bound"


def test_a_small_part_that_unpacks_to_gigabytes_is_not_read(folder):
    part = folder / "problems" / "part-00001.parquet"
    rows, text = 4000, "x" * (1 << 20)  # one text, stored once: 4 GB when written out
    columns = [pa.array(["p"] * rows, pa.string()) for _ in range(7)]
    columns[3] = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
    columns += [pa.nulls(rows, SCHEMAS["problems"].field("tests").type)]
    table = pa.table(columns, names=SCHEMAS["problems"].names)
    pq.write_table(table, part, compression="zstd", store_schema=False)
    assert part.stat().st_size < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert not is_whole(part, "problems")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes"


@pytest.mark.parametrize("name", [".lock", "problems", "set-aside"])
def test_a_link_in_a_run_folder_is_not_written_through(folder, tmp_path, name):
    """Whatever lies where a table's folder leads to would be set aside as foreign."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("x")
    other = folder / name
    if other.exists():
        other.rename(tmp_path / "old")
    other.symlink_to(tmp_path / ("letters" if name != ".lock" else "new"))
    with pytest.raises(CtmError, match="is a symbolic link"), Store.open(folder, RECIPE):
        pass
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["dear.txt"]
    assert not (tmp_path / "new").exists()


@pytest.fixture
def older(run):
    """A run as schema version 1 had it: without the columns that came later."""
    from ctm_data.run.files import sha256
    from ctm_data.run.schema import schemas_of

    manifest = json.loads((run / "manifest.json").read_text())
    manifest["schema_version"] = 1
    for part in manifest["parts"]:
        names = schemas_of(1)[part.split("/")[0]].names
        table = pq.read_table(run / part, partitioning=None).select(names)
        pq.write_table(table.replace_schema_metadata(None), run / part)
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


def test_of_an_older_run_no_program_is_said_to_be_honest(older):
    from ctm_data.pages.evaluation import summarize

    assert summarize(older).suspicious is None


def test_an_older_run_answers_queries_on_what_came_later(older):
    from ctm_data.query import query

    sql = "select count(*) as n, count(critical_prob) as known from rollouts"
    [row] = query(sql, older).read_all().to_pylist()
    assert row["n"] > 0
    assert row["known"] == 0


def test_an_older_run_is_not_gone_on_with_and_nothing_of_it_is_set_aside(older):
    before = sorted(older.rglob("*.parquet"))
    with (
        pytest.raises(CtmError, match="schema version 1, and this ctm writes 4"),
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
