"""`merge_shards` trusts no shard: what is altered, of another run or leads elsewhere is refused by name."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctm_data.build import merge_shards
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

RECIPE = {"model": "pocket", "benchmark": "pocket", "seed": 0}
PART = "problems/part-00001.parquet"


def make(folder, number, recipe=RECIPE):
    with Store.open(folder, recipe, (number, 2)) as store:
        row = {"problem_id": f"p{number}", "question": "?", "answer": "1"}
        store.write("problems", number, [row])
        store.finish("# card\n")
    return folder


@pytest.fixture
def shards(tmp_path):
    return [make(tmp_path / "a", 0), make(tmp_path / "b", 1)]


def edit(folder, change):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refused(shards, tmp_path, match):
    with pytest.raises(CtmError, match=match):
        merge_shards(shards, tmp_path / "out" / "merged", stages=())
    assert not (tmp_path / "out").exists()


def test_a_manifest_that_leads_out_of_the_folder_writes_nothing(shards, tmp_path):
    (tmp_path / "evil.txt").write_text("evil")
    edit(shards[1], lambda m: m["parts"].update({"../evil.txt": "0" * 64}))
    refused(shards, tmp_path, r"names '\.\./evil\.txt', which is no part of a table")


def test_a_part_with_a_flipped_bit_is_refused_by_name(shards, tmp_path):
    content = bytearray((shards[1] / PART).read_bytes())
    content[40] ^= 1
    (shards[1] / PART).write_bytes(content)
    refused(shards, tmp_path, r"b/problems/part-00001\.parquet .*; nothing was merged")


def test_a_part_that_was_altered_and_is_whole_is_refused_by_name(shards, tmp_path):
    arrow = pq.read_table(shards[1] / PART, partitioning=None)
    pq.write_table(arrow.set_column(4, "answer", pa.array(["2"])), shards[1] / PART)
    refused(shards, tmp_path, r"part-00001\.parquet is not the part that the manifest lists")


def test_a_part_of_another_run_is_refused_even_if_the_manifest_lists_it(shards, tmp_path):
    from ctm_data.run.files import sha256

    other = make(tmp_path / "other", 1, {**RECIPE, "seed": 1})
    (shards[1] / PART).write_bytes((other / PART).read_bytes())
    edit(shards[1], lambda m: m["parts"].update({PART: sha256(other / PART)}))
    refused(
        shards, tmp_path, r"part-00001\.parquet was made for another place or by another recipe"
    )


def test_a_part_that_is_missing_or_not_listed_is_refused_by_name(shards, tmp_path):
    edit(shards[1], lambda m: m["parts"].clear())
    refused(shards, tmp_path, r"part-00001\.parquet is not in the manifest of its shard")
    (shards[0] / "problems" / "part-00000.parquet").unlink()
    refused(shards, tmp_path, r"part-00000\.parquet is missing")
