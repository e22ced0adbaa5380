"""Queries: the views against the tables, the named queries by hand, the fence, the formats."""

import json
import os
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from handmade import made_by_hand

import ctm_data
from ctm_data.query import answer, connect_fenced, query
from ctm_data.run import sources
from ctm_data.run.store import Store
from ctm_data.sql.named_queries import named_queries, named_query
from ctm_data.sql.output import write_answer
from ctm_data.verify import verify
from ctm_eval.errors import CtmError

CTM = [sys.executable, "-c", "from ctm_cli.main import run; run()"]


def rows(sql, *runs):
    return query(sql, *runs).read_all().to_pylist()


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    return made_by_hand(tmp_path_factory.mktemp("hand") / "it's [one]*")


def test_every_table_is_a_view_of_the_same_rows(whole_run):
    for table in ("problems", "solutions", "rollouts", "contrast"):
        found = rows(f"select * exclude run from {table}", whole_run)
        assert found == Store(whole_run).read(table).to_pylist()
        assert found


def test_a_row_of_tokens_is_a_token(whole_run):
    expected = [
        (
            row["solution_id"], i, row["token_ids"][i], row["pieces"][i], row["value"][i],
            ([row["prompt_value"], *row["value"]][i] or 0) - row["value"][i], i == row["critical_index"],
        )
        for row in Store(whole_run).read("rollouts").to_pylist()
        for i in range(len(row["token_ids"]))
    ]  # fmt: skip
    columns = 'solution_id, position, token_id, piece, value, "drop", critical'
    found = rows(f"select {columns} from tokens order by all", whole_run)
    assert [tuple(row.values()) for row in found] == sorted(expected)


def test_tokens_have_their_contrastive_score(by_hand):
    found = rows("select solution_id, ce from tokens order by solution_id, position", by_hand)
    assert [row["ce"] for row in found] == [None, None, None, 0.9, 0.2, 0.1, 0.8]


def test_word_classes_see_the_neighbours(by_hand):
    found = rows("select word_class from tokens order by solution_id, position", by_hand)
    expected = ["number", "operator", "number", "function", "content", "content", "number"]
    assert [row["word_class"] for row in found] == expected


BY_HAND = {
    "top-critical-tokens": [
        {"piece": " 4", "critical": 1, "occurrences": 2, "rate": 0.5, "mean_drop": 0.75},
        {"piece": " the", "critical": 1, "occurrences": 1, "rate": 1.0, "mean_drop": 0.5},
    ],
    "existence": [
        {
            "benchmark": "gsm8k", "model": "m", "rule": "critical", "wrong_solutions": 2,
            "with_critical": 2, "share": 1.0, "lost_before_the_first_token": 0,
        }
    ],
    "replacement-pass-at-k": [
        {"benchmark": "gsm8k", "model": "m", "k": 1, "solutions": 2, "pass_at_k": 0.5},
        {"benchmark": "gsm8k", "model": "m", "k": 2, "solutions": 2, "pass_at_k": 1.0},
    ],
    "replacements": [
        {"critical_piece": " 4", "replacement": " 5", "rollouts": 2, "success": 0.5},
        {"critical_piece": " the", "replacement": " 5", "rollouts": 2, "success": 0.5},
    ],
    # of b: the critical token scores 0.2; of the others 0.1 is lower, 0.9 and 0.8 are higher
    "ce-agreement": [
        {
            "solutions": 1, "auc": pytest.approx(2 / 3), "lowest_of_all": 0.0,
            "among_the_lowest_tenth": 0.0, "mean_ce_of_critical": 0.2,
            "mean_ce_of_others": pytest.approx(0.6),
        }
    ],
    # drops of 0.75 in a; of 0.25 and 0.5 in b, above 0.1 + 1.645 * 0.083 and 0.1 + 1.645 * 0.0625
    "cliff-kinds": [
        {
            "kind": kind, "tokens": 1, "share": pytest.approx(1 / 3), "mean_drop": drop,
            "mean_entropy": entropy, "solutions": 1,
        }
        for kind, drop, entropy in (
            ("deterministic", 0.75, 0.01), ("sampled-off", 0.5, 0.6), ("uncertain", 0.25, 0.6),
        )
    ],
    "pivotal-tokens": [
        {
            "sign": "negative", "piece": piece, "value_before": before, "value_after": after,
            "critical": critical, "position": position, "solution_id": solution,
        }
        for piece, before, after, critical, position, solution in (
            (" 4", 0.75, 0.0, True, 0, "a"), (" the", 0.5, 0.0, True, 1, "b"),
            (" in", 0.75, 0.5, False, 0, "b"),
        )
    ],
    "wrong-answers": [
        {
            "problems": 1, "wrong_answers_per_problem": 1.0, "share_of_the_commonest": 1.0,
            "answers_that_cover_half": 1.0,
        }
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_a_named_query_by_hand(name, by_hand):
    assert rows(named_query(name), by_hand) == BY_HAND[name]


def test_word_classes_of_the_named_query_are_those_of_the_view(whole_run):
    named = {
        row["word_class"]: row["tokens"] for row in rows(named_query("word-classes"), whole_run)
    }
    direct = rows("select word_class, count(*) as n from tokens group by all", whole_run)
    assert named == {row["word_class"]: row["n"] for row in direct}


@pytest.mark.parametrize("name", named_queries())
def test_every_named_query_says_what_it_answers_and_answers(name, whole_run):
    about, sql = named_queries()[name]
    assert about.endswith((".", ".)")) or ". " in about or ": " in about
    assert rows(sql, whole_run)


def test_a_run_without_pairs_answers_with_nothing(tmp_path):
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig

    folder = build_dataset(
        BuildConfig(tmp_path / "run", limit=2, n_samples=4, n_rollouts=4, stages=["rollouts"])
    ).folder
    assert rows("from contrast", folder) == []
    assert rows(named_query("ce-agreement"), folder)[0]["solutions"] == 0


def test_several_runs_are_told_apart_by_name(whole_run, by_hand):
    found = rows("select run, count(*) as n from rollouts group by run", whole_run, by_hand)
    assert {row["run"] for row in found} == {str(whole_run), str(by_hand)}


FENCED = {
    "writing a file": "copy (select 1) to 'out.csv'",
    "writing into the run": "copy (select 1) to '{run}/out.csv'",
    "writing under an explanation": "explain analyze copy (select 1) to '{run}/out.csv'",
    "changing a view": "drop view rollouts",
    "two statements": "select 1; select 2",
    "a setting": "set enable_external_access = true",
    "reading another file": "select * from read_text('/etc/hostname')",
    "another database": "attach 'x.db'",
    "an extension": "install httpfs",
    "not SQL": "selekt 1",
}


@pytest.mark.parametrize("case", FENCED)
def test_a_query_can_do_nothing_but_read_the_runs(case, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(CtmError) as refused:
        query(FENCED[case].format(run=run), run).read_all()
    assert refused.value.usage
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_an_answer_streams(whole_run):
    con = connect_fenced(whole_run)
    reader = answer(
        con, "select i from range(100_000_000_000) t(i)"
    )  # 800 GB if it were made at once
    assert reader.read_next_batch().num_rows > 0


SQL = (
    "select 1 as n, 'a|b' as text, [1.5, null] as list union all select 2, 'c\nd', null order by n"
)


def test_the_formats(whole_run, tmp_path):
    con = connect_fenced(whole_run)
    texts = {}
    for format in ("json", "csv", "markdown", "parquet"):
        out = tmp_path / f"out.{format}"
        assert write_answer(answer(con, SQL), out, format) == 2
        texts[format] = out.read_bytes()
    expected = [
        {"n": 1, "text": "a|b", "list": [1.5, None]},
        {"n": 2, "text": "c\nd", "list": None},
    ]
    assert json.loads(texts["json"]) == expected
    assert texts["csv"].decode() == 'n,text,list\n1,a|b,"[1.5, null]"\n2,"c\nd",\n'
    assert texts["markdown"].decode().splitlines()[2] == "| 1 | a&#124;b | &#91;1.5, null&#93; |"
    assert len(texts["markdown"].decode().splitlines()) == 4
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == expected
    assert sorted(os.listdir(tmp_path)) == ["out.csv", "out.json", "out.markdown", "out.parquet"]


def test_python_has_the_same_connection_and_rows(whole_run):
    assert len(ctm_data.load(whole_run, "rollouts")) == Store(whole_run).read("rollouts").num_rows
    con = ctm_data.connect(whole_run)
    assert con.execute("select count(*) from critical_tokens").fetchall()[0][0] > 0


@pytest.mark.parametrize("mapped", [False, True])
def test_a_table_is_read_as_it_is_now(mapped, by_hand, tmp_path, monkeypatch):
    """The rows that stood in this very file a moment ago, of this time and size, are not the answer."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    if mapped:
        monkeypatch.setattr(sources, "IN_MEMORY", 0)
    run = shutil.copytree(by_hand, tmp_path / "run")
    part = next((run / "problems").glob("*.parquet"))
    before, times = pq.read_table(part, partitioning=None), part.stat()
    assert ctm_data.load(run, "problems")["question"][:] != ["other"] * before.num_rows
    column = before.column_names.index("question")
    other = before.set_column(column, "question", [["other"] * before.num_rows])
    pq.write_table(other, part)
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
    loaded = ctm_data.load(run, "problems")
    assert loaded["question"][:] == ["other"] * before.num_rows
    assert bool(loaded.cache_files) is mapped


def test_no_bar_is_drawn_into_the_results(by_hand):
    """DuckDB draws one to stdout where it takes Python for a prompt, as under `python -c`."""
    code = "import duckdb, sys, ctm_data; ask = \"select current_setting('enable_progress_bar')\"\n"
    code += (
        "print(*(con.execute(ask).fetchall() for con in (duckdb, ctm_data.connect(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(by_hand)], capture_output=True, text=True
    )
    assert done.stdout.split("\n")[0] == "[(True,)] [(False,)]"


def test_a_table_that_is_not_there_is_said(by_hand):
    with pytest.raises(CtmError, match="has no table 'verdicts'; it has: problems, solutions"):
        ctm_data.load(by_hand, "verdicts")


def test_the_prompt_takes_sql_up_to_a_semicolon(whole_run):
    done = subprocess.run(
        [*CTM, "query", "--run", str(whole_run), "--format", "csv"],
        input="select 1\nas one;\nselekt;\nselect 2 as two",
        capture_output=True,
        text=True,
    )
    assert done.stdout == "one\n1\ntwo\n2\n"
    assert done.stderr.startswith("ctm: the query is wrong: ")


@pytest.mark.parametrize(
    "read", [connect_fenced, verify, lambda run, **said: ctm_data.load(run, "tokens", **said)]
)
def test_a_revision_of_a_run_that_is_here_is_refused(read, by_hand):
    with pytest.raises(CtmError, match=r"--revision is of what is on the Hub, and .* is here"):
        read(by_hand, revision="v1")


def test_a_run_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path):
    done = subprocess.run(
        [*CTM, "query", "select 1"], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("ctm: there is no run in runs/pocket")
