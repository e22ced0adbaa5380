"""Data files within bounds: what may never end, or is no text, is refused in one line."""

import gzip
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctm_eval import data_files
from ctm_eval.data_files import fingerprint, read_rows
from ctm_eval.errors import CtmError


def test_a_pipe_and_a_device_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    os.symlink("/dev/zero", tmp_path / "zero.jsonl")
    for name in ("pipe.jsonl", "zero.jsonl"):
        with pytest.raises(CtmError, match="is no regular file"):
            list(read_rows(tmp_path / name))
        with pytest.raises(CtmError, match="is no regular file"):
            fingerprint(tmp_path / name)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"a": "\xff"}', "line 2 is not UTF-8"),
        (b"[" * 100_000, "line 2 is not JSON: nested too deeply"),
        (b'{"a": "\\ud800"}', "line 2 is not UTF-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 2 is not JSON"),
        (b"[]", "line 2 is not a JSON object"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, line, said):
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n' + line + b"\n")
    with pytest.raises(CtmError, match=said):
        list(read_rows(tmp_path / "rows.jsonl"))


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(data_files, "LINE_BYTES", 100)
    (tmp_path / "rows.jsonl").write_text('{"a": "' + "x" * 200 + '"}')
    with pytest.raises(CtmError, match="line 1 is longer than"):
        list(read_rows(tmp_path / "rows.jsonl"))


def test_a_parquet_file_that_unpacks_to_too_much_is_refused(tmp_path):
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), ["x" * (1 << 20)])
    pq.write_table(pa.table({"question": column}), tmp_path / "rows.parquet", store_schema=False)
    with pytest.raises(CtmError, match="unpacks to more than 1024 MiB"):
        list(read_rows(tmp_path / "rows.parquet"))


def test_a_mark_of_the_encoding_before_the_first_line_is_no_part_of_it(tmp_path):
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"q": 1}\r\n{"q": 2}\r\n')
    assert [row for _, row in read_rows(path)] == [{"q": 1}, {"q": 2}]


def test_a_compressed_file_is_called_one(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(gzip.compress(b'{"q": 1}\n'))
    with pytest.raises(CtmError, match="is compressed: unpack it first"):
        list(read_rows(path))
