"""Parquet files whose page headers are not true: every command that reads them stays small and says so."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from handmade import made_by_hand
from lying import rewrite
from typed import python

from ctm_data.query import query
from ctm_data.run.files import sha256
from ctm_data.run.store import Store, is_whole
from ctm_data.sql.output import write_answer
from ctm_eval import data_files
from ctm_eval.data_files import read_rows
from ctm_eval.errors import CtmError

GROWTH = 900_000  # kilobytes that a command may take
MEASURED = """
import sys
def kilobytes(name): return int(open("/proc/self/status").read().partition(name)[2].split()[0])
before = kilobytes("VmRSS:")
try:
    from ctm_cli.main import run; run()
finally:
    print(kilobytes("VmHWM:") - before, file=sys.stderr)
"""
PIECE = 16 << 20
FRAME = bytes(pa.compress(bytes(PIECE), codec="zstd"))  # frames may stand one after another


def two_gigabytes(header, body, kind):
    """A page of a kind (0 data, 2 dictionary) that unpacks to two gigabytes, as its header says."""
    header.pop(4, None)  # the checksum
    if header[1][1] == kind:
        header[2], body = (5, 127 * PIECE), FRAME * 127
    return body


def says(field, value, kind=None):
    """A number of the page header, or of the header inside of it for pages of a kind, is another."""

    def change(header, body):
        header.pop(4, None)
        if kind is None:
            header[field] = (5, value)
        elif header[1][1] == kind:
            header[5 if kind == 0 else 7][1][field] = (5, value)
        return body

    return change


LIES = {
    "a dictionary that unpacks to gigabytes": lambda h, b: two_gigabytes(h, b, 2),
    "data that unpack to gigabytes": lambda h, b: two_gigabytes(h, b, 0),
    "a page that says gigabytes and holds less": says(2, 2**31 - 1),
    "a page that says less than it holds": says(2, 1),
    "a page of a negative size": says(2, -1),
    "a page that says two billion values": says(1, 2**31 - 1, kind=0),
    "a dictionary that says two billion values": says(1, 2**31 - 1, kind=2),
    "a dictionary that says no value": says(1, 0, kind=2),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = made_by_hand(tmp_path_factory.mktemp("hand") / "run")
    with Store.open(folder, {"benchmark": "gsm8k", "model": "m", "n_rollouts": 2}) as store:
        store.finish("# card\n")
    return folder


@pytest.fixture
def lying(finished, tmp_path):
    """A finished run of which every part lies in one way, and its manifest lists what is there."""
    import shutil

    run = shutil.copytree(finished, tmp_path / "run")

    def lie(how):
        manifest = json.loads((run / "manifest.json").read_text())
        for part in manifest["parts"]:
            rewrite(run / part, "problem_id", LIES[how])
            manifest["parts"][part] = sha256(run / part)
        (run / "manifest.json").write_text(json.dumps(manifest))
        return run

    return lie


def test_the_same_surgery_without_a_lie_leaves_a_run_that_is_whole(finished, tmp_path):
    part = tmp_path / "problems" / "part-00000.parquet"
    part.parent.mkdir()
    part.write_bytes((finished / "problems" / part.name).read_bytes())
    rewrite(part, "problem_id", lambda header, body: body)
    assert is_whole(part, "problems")


@pytest.mark.parametrize("how", LIES)
def test_a_lie_is_no_whole_part_and_no_data_file(how, lying):
    part = lying(how) / "solutions" / "part-00000.parquet"
    assert not is_whole(part, "solutions")
    with pytest.raises(CtmError) as error:
        list(read_rows(part))
    assert "\n" not in str(error.value)


COMMANDS = {
    "verify": (["verify"], 1),
    "show": (["show"], 1),
    "report": (["report"], 1),
    "query": (["query", "select count(distinct problem_id) from rollouts", "--run"], 2),
    "a data file": (["eval", "--benchmark", "qa", "--data-file"], 1),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_gigabytes_behind_a_small_page_are_told_in_a_line(command, lying, tmp_path):
    run = lying("a dictionary that unpacks to gigabytes")
    words, code = COMMANDS[command]
    file = run / "problems" / "part-00000.parquet" if "--data-file" in words else run
    assert file.stat().st_size < 100_000
    done = python(MEASURED, *words, file, cwd=tmp_path, COLUMNS="1000", NO_COLOR="1")
    *said, grown = done.stderr.splitlines()
    assert done.returncode == code, done.stdout + done.stderr
    assert int(grown) < GROWTH
    lines = said if command != "verify" else [x for x in done.stdout.splitlines() if "schemas" in x]
    assert len(lines) == 1, done.stdout + done.stderr


@pytest.mark.parametrize("how", LIES)
def test_a_query_over_a_lie_answers_or_is_refused_in_a_line(how, lying, tmp_path):
    run = lying(how)
    for sql in (
        "select count(distinct problem_id) from rollouts",
        "select problem_id from rollouts",
    ):
        try:
            write_answer(query(sql, run), tmp_path / "out.json", "json")
        except CtmError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("nested", "most", "refused"),
    [(False, 30 << 20, False), (False, 10 << 20, True), (True, 10 << 20, True)],
)
def test_texts_that_share_their_beginnings_count_as_they_are_written_out(
    nested, most, refused, tmp_path, monkeypatch
):
    """20 texts that begin with the same megabyte, which stands once in the page: 20 MiB."""
    texts = ["x" * (1 << 20) + str(i) for i in range(20)]
    table = pa.table({"q": [[text] for text in texts] if nested else texts})
    encoding = {"q.list.element" if nested else "q": "DELTA_BYTE_ARRAY"}
    file = tmp_path / "rows.parquet"
    pq.write_table(table, file, compression="zstd", use_dictionary=False, column_encoding=encoding)
    assert file.stat().st_size < 20_000
    monkeypatch.setattr(data_files, "UNPACKED_BYTES", most)
    monkeypatch.setattr(data_files, "HELD", 3 << 20)
    if refused:
        with pytest.raises(CtmError, match="unpacks to more than"):
            list(read_rows(file))
    else:
        assert [row["q"] for _, row in read_rows(file)] == texts
