"""What people type on their first day, in one process: wrong calls, small commands, completion, output."""

import io
import json
import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate import tracking
from accelerate.utils import LoggerType
from handmade import made_by_hand

from ctm_cli import _progress, main, train
from ctm_data.run.store import Store
from ctm_eval.progress import Counter


@pytest.fixture
def ctm(tmp_path, monkeypatch, capsys):
    """`ctm` typed in an empty folder: its exit code, what it printed, what it said on stderr."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    os.environ |= {"COLUMNS": "100", "NO_COLOR": "1"}

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["ctm", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main.run()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    yield typed
    os.environ.clear()
    os.environ |= before


@pytest.fixture
def run(tmp_path):
    """A run with two wrong solutions, `a` and `b`, in runs/hand."""
    return made_by_hand(tmp_path / "runs" / "hand").relative_to(tmp_path)


@pytest.fixture
def evaluation(tmp_path):
    """An evaluation with a wrong and a right sample, in runs/eval."""
    source = Store(made_by_hand(tmp_path / "source"))
    solutions = source.read("solutions").to_pylist()
    solutions[1] |= {"correct": True, "verdict": "correct"}
    recipe = {**source.manifest["recipe"], "command": "eval", "data_file": None, "n_samples": 2}
    with Store.open(tmp_path / "runs" / "eval", recipe) as store:
        store.write("problems", 0, source.read("problems").to_pylist())
        store.write("solutions", 0, solutions)
    return Path("runs/eval")


BUILD = ["build-dataset", "--limit", 1]
REFUSED = {  # what is typed, and what the one line says
    "a temperature that is no number": ([*BUILD, "--temperature", "nan"], "must be a number from 0"),
    "an infinite temperature": ([*BUILD, "--temperature", "inf"], "must be a number from 0 up"),
    "a negative number of shots": ([*BUILD, "--few-shot", -1], "--few-shot must be 0 or more"),
    "more problems than fit": (["eval", "--limit", 99_999_999], "--limit is at most 100,000"),
    "a comparison with nothing": (["eval", "--compare", "nowhere"], "there is no run folder nowhere"),
    "a model folder that is gone": ([*BUILD, "--model", "models/x"], "there is no model folder models/x"),
    "a run that is gone": (["show", "runs/x"], "there is no run folder runs/x"),
    "training on a run that is gone": (["train", "cdpo", "runs/x"], "no file or folder runs/x"),
    "a query of a run that is gone": (["query", "--run", "runs/x", "from tokens"], "no run folder runs/x"),
    "verifying a run that is gone": (["verify", "runs/x"], "there is no run folder runs/x"),
    "grading in no process": (["grade", "a.jsonl", "--processes", 0], "--processes must be 1 or more"),
    "grading into a missing folder": (["grade", "a.jsonl", "--output", "x/b"], "there is no folder x"),
    "scoring into a missing folder": (
        ["score", "a.jsonl", "--verifier", "v", "--out", "x/b"], "there is no folder x"
    ),
    "a name that is no repository's": (["publish", "runs/x", "one two"], "give user/name"),
    "exporting into a missing folder": (
        ["export", "runs/x", "--to", "pts", "--output", "x/b"], "there is no folder x; make it first"
    ),
    "pulling a path": (["pull", "runs/x"], "runs/x is no name on the Hub but a path here: give user/name"),
    "listing runs of no folder": (["runs", "nowhere"], "nowhere is not there: give a folder that holds"),
    "an unknown command": (["bogus"], "No such command 'bogus'; see `ctm -h`"),
    "an unknown option": (["query", "--xyz", "x"], "No such option: --xyz; see `ctm query -h`"),
    "an option mistyped": (["query", "--nmae", "x"], "--nmae (Possible options: --name)\n"),
    "a command mistyped": (["shwo"], "Did you mean 'show'?\n"),
    "a word for a number": (["eval", "--temperature", "hot"], "Invalid value for '--temperature'"),
    "a missing argument": (["show"], "Missing argument 'run'; see `ctm show -h`"),
    "a recipe file that is gone": (
        ["eval", "--config", "no.yaml"], "Invalid value for '--config': cannot read no.yaml: No such file"
    ),
    "an empty value": ([*BUILD, "--output-dir", ""], "there is an empty word after --output-dir; give a"),
    "an option set to nothing": (["eval", "--model="], "there is an empty word for --model; give a value"),
    "a word too many": (["eval", "a"], "Got unexpected extra argument(s) (a); see `ctm eval -h`"),
    "a method left out": (["train"], "Missing argument 'METHOD'. Choose from: cdpo, dpo, cliff-dpo"),
    "a built-in model mistyped": (["eval", "--model", "Pokcet"], "no model 'Pokcet': did you mean pocket?"),
    "a seed of too many digits": (["eval", "--seed", 10**22], "--seed must have at most 64 bits"),
    "more samples than can be held": ([*BUILD, "--n-samples", 10**11], "--n-samples is at most 1,000,000"),
    "a beta that is no number": ([*BUILD, "--ce-beta", "nan"], "--ce-beta must be a finite number"),
    "a rate that is no number": (["train", "sft", "a", "--learning-rate", "nan"], "must be above 0"),
    "an endless training": (["train", "sft", "a", "--epochs", "inf"], "must be above 0 and finite"),
    "a negative seed of a training": (["train", "sft", "a", "--seed", -1], "--seed must be from 0 to"),
    "a query without a run": (["query", "from tokens"], "there is no run in runs/pocket: give another one"),
    "two comparisons at once": (["compare", "a", "--steps", "--kinds"], "give one of --steps, --kinds and"),
    "an option of another comparison": (["compare", "a", "--model", "b"], "does not use --model"),
    "a file and an explanation": (["grade", "a.jsonl", "--explain", "1", "1"], "does not use FILE"),
    "a seed for what draws nothing": (["compare", "a", "--kinds", "--seed", "1"], "not use --seed"),
    "a plan of a merge": (["build-dataset", "--merge", "a", "--plan"], "--merge does not use --plan"),
    "a limit of a summary": (["eval", "--summary", "a", "--limit", "3"], "does not use --limit"),
    "a limit of figures": (["report", "a", "--figures", "f", "--limit", "3"], "not use --limit"),
    "a token as JSON": (["show", "a", "--json", "--at", "3"], "--json does not use --at"),
    "an unknown kind of answers": (["grade", "--explain", "1", "1", "--benchmark", "b"], "unknown benchm"),
    "a page as PDF": (["report", "a", "--output", "a.pdf"], "a.pdf would be HTML: give a name that ends"),
    "a picture as PNG": (["show", "a", "--svg", "a.png"], "a.png would be SVG: give a name that ends"),
    "a name with an umlaut": (["publish", "a", "you/ä", "--dry-run"], "'you/ä' cannot be the name of"),
    "metrics into a missing folder": ([*BUILD, "--metrics", "x/m"], "give a file in a folder that"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_call_is_refused_in_one_line_before_anything_is_made(ctm, tmp_path, case):
    words, said = REFUSED[case]
    code, out, err = ctm(*words)
    assert (code, out) == (2, "")
    assert err.startswith("ctm: ") and err.count("\n") == 1
    assert said in err
    assert not list(tmp_path.iterdir())


def test_a_run_in_the_place_of_a_query_is_called_one(ctm, run):
    code, _, err = ctm("query", run)
    assert (code, "runs/hand is a run, not SQL: ctm query SQL --run runs/hand" in err) == (2, True)


@pytest.mark.parametrize("name", ["manifest.json", "problems/part-00000.parquet"])
def test_no_output_is_written_over_a_file_of_a_run(ctm, run, name):
    before = (run / name).read_bytes()
    code, _, err = ctm("query", "from problems", "--run", run, "--out", run / name)
    assert (code, "is a file of a run; give another name" in err) == (2, True)
    assert (run / name).read_bytes() == before


def test_a_table_with_other_columns_is_said_to_be_damaged(ctm, run):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), run / "rollouts" / "part-00000.parquet")
    code, _, err = ctm("query", "select 1", "--run", run)
    assert (code, err.count("\n")) == (1, 1)
    assert "`ctm verify` says which parts are damaged" in err


@pytest.mark.parametrize(
    "words", ["show runs/hand", "query --run runs/hand 'select 1'", "--version"]
)
def test_a_full_disk_behind_the_output_is_told_in_one_line(run, tmp_path, words):
    command = f"{sys.executable} -c 'from ctm_cli.main import run; run()' {words} > /dev/full"
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        "ctm: cannot write the output: No space left on device; free some space there, or send it "
        "elsewhere\n"
    )


def test_a_recipe_file_that_is_no_yaml_is_told_of_by_its_line(ctm, tmp_path):
    (tmp_path / "recipe.yaml").write_text("limit: 1\nseed: [1\n")
    _, _, err = ctm("eval", "--config", "recipe.yaml")
    assert "cannot read recipe.yaml: line 3: " in err


def test_a_folder_that_was_deleted_is_told_of(ctm, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, _, err = ctm("build-dataset")
    assert (code, err) == (1, "ctm: the current folder has been deleted; go to another one\n")


def test_a_terminal_too_narrow_for_a_picture_gets_the_narrowest(ctm, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "8")
    assert ctm("show", run)[0] == 0


def test_a_name_too_long_for_the_disk_is_told_in_one_line(ctm):
    code, _, err = ctm("verify", "x" * 300)
    assert code in (1, 2) and err.count("\n") == 1
    assert "--debug" not in err


FILES = {  # a file where a folder is wanted
    "show": (["show", "a"], "a is a file, not a run folder"),
    "runs": (["runs", "a"], "a is a file: give a folder that holds runs"),
    "train": (["train", "cdpo", "RUN", "--output-dir", "a"], "a is a file; give a folder as --output-dir"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_in_the_place_of_a_folder_is_called_one(ctm, run, tmp_path, case):
    words, said = FILES[case]
    (tmp_path / "a").write_text("text")
    code, _, err = ctm(*[run if word == "RUN" else word for word in words])
    assert code == 2 and err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize("words", [["build-dataset", "--limit", 1], ["train", "cdpo", "RUN"]])
def test_a_folder_without_a_model_is_said_to_hold_none(ctm, run, tmp_path, words):
    (tmp_path / "empty").mkdir()
    code, _, err = ctm(*[run if word == "RUN" else word for word in words], "--model", "empty")
    assert code == 2
    assert "empty holds no model: it has no config.json or adapter_config.json" in err


def test_no_query_at_all_is_refused(ctm, run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    code, out, err = ctm("query", "--run", run)
    assert (code, out) == (2, "")
    assert "there is no query: give one in SQL, or --name, or --list" in err


def test_comparing_an_evaluation_does_not_advise_to_build_into_it(ctm, evaluation):
    code, _, err = ctm("compare", evaluation)
    assert code == 2
    assert "it is an evaluation; `ctm build-dataset` makes a run that has them" in err


def test_a_manifest_of_nothing_is_one_line(ctm, tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    code, _, err = ctm("verify", ".")
    assert code == 1
    assert "is not the manifest of a run: schema_version" in err


def test_an_answer_in_an_unknown_kind_of_file_is_refused(ctm, run):
    code, _, err = ctm("query", "--run", run, "from tokens", "--out", "x.xlsx")
    assert (code, Path("x.xlsx").exists()) == (2, False)
    assert "x.xlsx is of no known kind: give a name that ends with .json, .csv, .md" in err


def test_showing_an_evaluation_says_what_it_is_and_what_to_type(ctm, evaluation):
    code, _, err = ctm("show", evaluation)
    assert code == 1
    assert "it is an evaluation (1 right, 1 wrong)" in err
    assert "`ctm eval --summary runs/eval`" in err


def test_the_hub_out_of_reach_is_noticed_at_once(ctm, monkeypatch):
    """And nothing is tried again: `pull` would wait for 1, 2 and 4 seconds."""
    from huggingface_hub import constants

    from ctm_data.run import hub_client

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://nowhere.invalid")
    monkeypatch.setattr("ctm_eval.hub.getproxies", dict)
    monkeypatch.setattr(hub_client.time, "sleep", pytest.fail)
    code, _, err = ctm("pull", "someone/something")
    assert code == 1
    assert err == (
        "ctm: the Hub cannot be reached from here, and someone/something is no folder: check the "
        "network\n"
    )


def test_without_an_address_of_the_hub_its_libraries_are_taken_offline(monkeypatch, caplog):
    """So that transformers and datasets look into their cache, and do not wait for half a minute."""
    from huggingface_hub import constants

    from ctm_eval.hub import notice_offline

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://nowhere.invalid")
    monkeypatch.setattr("ctm_eval.hub.getproxies", dict)
    monkeypatch.delitem(sys.modules, "datasets", raising=False)
    notice_offline()
    assert constants.HF_HUB_OFFLINE
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert caplog.messages == [
        "the Hub cannot be reached from here; only what is in its cache can be used"
    ]


def test_a_proxy_may_reach_what_has_no_address_here(monkeypatch):
    from huggingface_hub import constants

    from ctm_eval.hub import reachable

    monkeypatch.setattr(constants, "ENDPOINT", "https://nowhere.invalid")
    monkeypatch.setattr("ctm_eval.hub.getproxies", lambda: {"https": "http://proxy:3128"})
    assert reachable()


def test_a_token_is_told_of_by_its_position_in_the_tables(ctm, run):
    out = " ".join(ctm("show", run, "--id", "b", "--at", 0)[1].split())
    assert "Token: ' in', at position 0 (of 0 to 3)." in out
    assert "is 75.0% before it and 50.0% after it" in out
    assert "draws exactly this token with probability 50.0%" in out
    assert "2 rollouts that drew another token here; 1 of them ended right." in out


def test_a_token_that_is_not_there_is_refused(ctm, run):
    code, _, err = ctm("show", run, "--id", "b", "--at", 4)
    assert code == 2
    assert "--at must be 0 to 3" in err


def test_a_width_in_which_nothing_can_be_read_is_refused(ctm, run):
    code, _, err = ctm("show", run, "--width", 3)
    assert (code, "--width must be 20 or more, not 3" in err) == (2, True)


def test_an_interval_of_no_width_is_called_exact(ctm, run, tmp_path):
    rows = Store(run).read("rollouts").to_pylist()
    rows[0] |= {"value_low": [0.0] * 3, "value_high": [0.0] * 3}
    (tmp_path / "runs" / "hand" / "rollouts" / "part-00000.parquet").unlink()
    with Store.open(run, Store(run).manifest["recipe"]) as store:
        store.write("rollouts", 0, rows)
    _, out, _ = ctm("show", run, "--id", "a")
    assert "exact: nothing else can be drawn" in " ".join(out.split())


def test_the_row_behind_the_picture_is_json(ctm, run):
    _, out, _ = ctm("show", run, "--id", "b", "--json")
    assert json.loads(out)["value"] == [0.5, 0.0, 0.0, 0.0]


def test_a_terminal_without_unicode_gets_what_it_can_show(ctm, run, monkeypatch):
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", latin)
    assert ctm("show", run, "--id", "b")[0] == 0
    latin.flush()
    assert "critical token" in latin.buffer.getvalue().decode("latin-1").lower()


def test_the_picture_is_an_svg_that_loads_nothing(ctm, run):
    _, out, _ = ctm("show", run, "--svg", "token.svg")
    svg = Path(out.strip()).read_text()
    assert svg.startswith("<svg")
    assert "url(http" not in svg and "@font-face" not in svg


def test_runs_are_listed_with_what_they_hold(ctm, run, evaluation):
    (Path("runs") / "broken").mkdir()
    (Path("runs") / "broken" / "manifest.json").write_text("{")
    listed = {row["run"]: row for row in json.loads(ctm("runs", "--json")[1])}
    assert listed["runs/hand"]["rows"]["rollouts"] == 2
    assert not listed["runs/hand"]["finished"]
    _, out, _ = ctm("runs")
    assert "runs/hand" in out and "2 rollouts" in out and "not finished" in out
    assert (listed["runs/eval"]["kind"], listed["runs/broken"]["kind"]) == ("evaluation", "damaged")
    part = run / "rollouts" / "part-00000.parquet"
    part.write_text("no Parquet")
    faults = [row["fault"] for row in json.loads(ctm("runs", run, "--json")[1])]
    assert faults == [f"{part} cannot be read; `ctm verify` says more"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ctm show runs/", ["runs/eval", "runs/hand"]),
        ("ctm show ", ["runs/", "runs/eval", "runs/hand", "source"]),
        ("ctm query --run runs/h", ["runs/hand"]),
        ("ctm query --name ce", ["ce-agreement", "certainty"]),
        ("ctm train cdpo runs/hand --preset deep", ["deepseek-math-7b-gsm8k", "deepseek-math-7b-math"]),
        ("ctm eval --benchmark ma", ["math", "math500"]),
        ("ctm eval --engine tr", ["transformers"]),
        ("ctm ru", ["runs"]),
    ],
)  # fmt: skip
def test_the_shell_completes(ctm, run, evaluation, monkeypatch, typed, offered):
    words = typed.split(" ")
    monkeypatch.setenv("_CTM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    _, out, _ = ctm()
    assert sorted(word.strip() for word in out.split()) == offered


def test_the_metrics_of_a_server_have_requests_in_flight_and_retries(tmp_path, capsys):
    with _progress.Progress(metrics=tmp_path / "metrics") as progress:
        progress("sampling", 4, 4, 90, "", {"in_flight": 3, "retries": 1})
    line = json.loads((tmp_path / "metrics").read_text())
    assert (line["done"], line["in_flight"], line["retries"]) == (4, 3, 1)
    assert "sampling: 4/4  3 in flight  1 retries" in capsys.readouterr().err


def test_a_tracker_gets_the_figures_by_stage(monkeypatch):
    told = []

    class Tracker(tracking.GeneralTracker):
        name, requires_logging_directory, main_process_only = "wandb", False, False

        def __init__(self, project):
            told.append(project)

        def start(self):
            told.append("start")

        def log(self, values, step=None, **_):
            told.append((step, values["sampling/done"], values["sampling/tokens"]))

        def finish(self):
            told.append("finish")

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Tracker)
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: [LoggerType.WANDB])
    with _progress.Progress(report_to=["wandb"]) as progress:
        progress("sampling", 4, 4, 90)
    assert told == ["ctm", "start", (0, 4, 90), "finish"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nope", "unknown --report-to 'nope'; there are:"),
        ("trackio", "needs its package: pip install trackio"),
    ],
)
def test_a_tracker_that_is_not_there_is_refused_before_anything_is_made(
    ctm, tmp_path, monkeypatch, name, said
):
    monkeypatch.setattr(tracking, "get_available_trackers", list)
    code, _, err = ctm("eval", "--limit", 1, "--report-to", name, "--output-dir", tmp_path / "run")
    assert code == 2
    assert said in err
    assert not (tmp_path / "run").exists()


def test_quiet_shows_no_progress_wherever_it_stands(ctm, monkeypatch, capsys):
    monkeypatch.setattr(main, "app", lambda words, **_: print(*words))
    assert ctm("eval", "--limit", 3, "--quiet")[1] == "--quiet eval --limit 3\n"
    assert ctm("query", "--", "--quiet")[1] == "query -- --quiet\n"
    monkeypatch.setenv("CTM_QUIET", "1")
    with _progress.Progress() as progress:
        progress("sampling", 1, 1)
    assert capsys.readouterr().err == ""


def test_the_last_line_of_progress_has_the_time_taken(ctm, capsys):
    with _progress.Progress() as progress:
        progress("sampling", 0, 8)
        progress("sampling", 8, 8, 100, "loss 0.5")
    assert capsys.readouterr().err.splitlines()[-1].split() == (
        "sampling: 8/8 loss 0.5 in 0 s".split()
    )


def test_of_several_processes_the_first_tells_of_a_wrong_call(tmp_path):
    launch = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    call = ["-m", "ctm_cli.main", "train", "cdpo", "nope.jsonl"]
    command = [sys.executable, "-m", *launch, *call]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert found.stderr.count("ctm: there is no file or folder nope.jsonl") == 1


def clock_that_says(*seconds):
    times = iter(seconds)
    return SimpleNamespace(monotonic=lambda: next(times), time=lambda: 0.0)


def test_the_time_left_of_a_run_that_goes_on_is_that_of_its_own_units(tmp_path, monkeypatch):
    """900 of 1,000 units were there; the first new one comes after 10 s, which leaves 99 times 10 s."""
    monkeypatch.setattr(_progress, "time", clock_that_says(0.0, 10.0))
    file = tmp_path / "metrics.jsonl"
    with _progress.Progress(metrics=file) as progress:
        counter = Counter(progress, "sampling", 1000)
        counter.skip(450)
        counter.skip(450)
        counter(0)
        counter(1)
    [line] = map(json.loads, file.read_text().splitlines())
    assert line["seconds_left"] == 990


def test_the_time_of_the_first_units_counts_for_the_time_left(tmp_path, monkeypatch):
    """Nine of ten units come at once, after 90 s: the last one takes 10 s."""
    monkeypatch.setattr(_progress, "time", clock_that_says(0.0, 90.0))
    file = tmp_path / "metrics.jsonl"
    with _progress.Progress(metrics=file) as progress:
        counter = Counter(progress, "sampling", 10)
        counter(0)
        counter(9)
    [line] = map(json.loads, file.read_text().splitlines())
    assert line["seconds_left"] == 10


def test_a_long_table_goes_through_a_pager(ctm, run, monkeypatch, capsys):
    from ctm_data.query import query
    from ctm_data.sql.output import write_answer

    paged = []
    monkeypatch.setattr("pydoc.pager", paged.append)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("LINES", "5")
    write_answer(query("select * from range(2)", run))
    assert not paged
    write_answer(query("select * from range(9)", run))
    assert "8" in paged[0]


def test_runs_that_were_sampled_differently_are_said_to_be(evaluation, tmp_path, monkeypatch):
    from ctm_data.pages.evaluation import sampled_differently

    recipe = Store(tmp_path / evaluation).manifest["recipe"]
    with Store.open(tmp_path / "other", {**recipe, "n_samples": 3, "model": "n"}):
        pass
    assert sampled_differently(tmp_path / evaluation, tmp_path / "other") == [
        "n_samples: 2 there, 3 here"
    ]


def test_the_tags_of_a_thought_stand_in_the_help(ctm):
    assert "<think>,</think>" in ctm("eval", "-h")[1].replace("\n", "")


def test_what_to_type_next_can_be_typed_for_any_name_of_a_folder(ctm, run, capsys):
    from ctm_cli import build_dataset
    from ctm_data.pages.summary import summarize

    odd = Path("it's a päth ✓")
    odd.mkdir()
    [line] = [line for line in ctm("runs", odd)[1].splitlines() if "build-dataset" in line]
    assert shlex.split(line) == ["ctm", "build-dataset", "--output-dir", f"{odd}/pocket"]
    build_dataset._show(summarize(Store(run)), str(odd))
    show, train, python = capsys.readouterr().out.splitlines()[-3:]
    assert shlex.split(show) == ["ctm", "show", str(odd)]
    assert shlex.split(train) == ["ctm", "train", "cdpo", str(odd)]
    assert f'load_dataset("{odd}", "rollouts")' in shlex.split(python)[2]


def test_after_a_training_the_next_command_asks_its_benchmark_and_leaves_its_data_alone(ctm, run):
    said = train._next("cdpo", str(run), Path("models/hand"))
    assert said == (
        "ctm build-dataset --model models/hand --benchmark gsm8k --output-dir runs/hand-again"
    )
    said = train._next("orm", str(run), Path("models/orm"))
    assert said == "ctm eval --model m --benchmark gsm8k --n 16 --verifier models/orm"


@pytest.mark.parametrize("merged", [False, True])  # a merge asks for the stages there are
def test_a_run_for_verifiers_tells_of_no_rollouts(capsys, merged):
    from ctm_cli import build_dataset
    from ctm_data.build import build_dataset as build
    from ctm_data.config import BuildConfig
    from ctm_data.pages.summary import summarize

    config = BuildConfig(Path("runs/v"), limit=4, n_samples=4, stages=("verifier",), device="cpu")
    store = build(config)
    build_dataset._show(summarize(store), store.name, rolled_out=merged)
    out = capsys.readouterr().out
    assert "rolled out" not in out and "pairs" not in out
    assert out.splitlines()[-1] == "  ctm train orm runs/v"


def test_a_model_of_programs_is_evaluated_next_as_no_program_is_rolled_out():
    run = Path("runs/programs")
    with Store.open(run, {"benchmark": "pocket-code", "model": "pocket-coder"}):
        pass
    said = train._next("sft", str(run), Path("models/sft"))
    assert said == "ctm eval --model models/sft --benchmark pocket-code"


@pytest.mark.parametrize("table", ["solutions", "contrast"])
def test_what_to_type_after_a_pull_answers_with_what_was_pulled(ctm, run, monkeypatch, table):
    source, pulled = Store(run), Path("runs/pulled")
    with Store.open(pulled, source.manifest["recipe"]) as store:
        store.write(table, 0, source.read(table).to_pylist())
        store.finish("card")
    monkeypatch.setattr("ctm_data.pull.pull", lambda *_, **__: pulled)
    code, out, _ = ctm("pull", "you/pulled")
    assert code == 0 and out.startswith("1 part in runs/pulled\n")
    code, out, _ = ctm(*shlex.split(out.splitlines()[-1])[1:])
    assert code == 0 and len(out.splitlines()) > 1


def test_a_narrow_terminal_folds_the_names_of_columns_and_cuts_none(ctm, run):
    os.environ["COLUMNS"] = "30"
    _, out, _ = ctm("query", "--run", run, "select 1 as accuracy, 2 as benchmark, 3 as temperature")
    assert "…" not in out
    columns = zip(*(line.ljust(30) for line in out.splitlines()[:-1]), strict=True)
    letters = "".join(map("".join, columns))
    assert sorted(letters.replace(" ", "")) == sorted("accuracybenchmarktemperature")


def test_what_the_libraries_announce_for_their_own_future_is_not_told():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        main._libraries(verbose=False)
        for module in ("transformers.modeling_utils", "peft.peft_model", "ctm_data.build"):
            warnings.warn_explicit(module, FutureWarning, "file.py", 1, module=module)
    assert [str(warning.message) for warning in told] == ["ctm_data.build"]


@pytest.mark.parametrize("command", ["query", "score", "pull", "show", "compare", "eval", "runs"])
def test_what_prints_results_has_json(ctm, command):
    assert "--json" in ctm(command, "-h")[1]
