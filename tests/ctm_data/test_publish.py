"""Up to the Hub and back: stock clients in fresh processes against a server on loopback, with faults."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ctm_data.query import query
from ctm_data.run.store import Store, is_run_folder
from ctm_data.verify import verify

CTM = [sys.executable, "-c", "from ctm_cli.main import run; run()"]


@pytest.fixture
def ctm(hub, tmp_path):
    """Types a command, with `hub` as the Hub; what it says and the exit code."""

    def type_it(*arguments, python=None, **environment):
        command = [sys.executable, "-c", python] if python else CTM
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **hub.env(tmp_path / "home"), "COLUMNS": "100", **environment},
            timeout=120,
        )

    return type_it


def tables(folder):
    """The parts and the manifest of a folder, byte by byte."""
    files = [*Path(folder).glob("*/part-*.parquet"), Path(folder) / "manifest.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def one_line(done):
    """What an error says: one line of ours, no traceback."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ctm: ")]
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0]


def published(hub, run):
    """Whether the repository holds exactly the tables of the run."""
    there = hub.files("alice/run")
    assert {name for name in there if name.endswith((".parquet", "manifest.json"))} == set(
        tables(run)
    )
    return all(there[name] == content for name, content in tables(run).items())


LOAD = """
import sys, json, datasets, pyarrow.parquet as pq
names = datasets.get_dataset_config_names("alice/run")
for name in names:
    datasets.load_dataset_builder("alice/run", name)
    loaded = datasets.load_dataset("alice/run", name, split="train")
    loaded.data.table.combine_chunks().cast(loaded.features.arrow_schema)
    pq.write_table(loaded.with_format("arrow")[:], f"{sys.argv[1]}/{name}.parquet")
print(json.dumps(names))
"""


def test_there_and_back_every_table_is_the_same(hub, ctm, run, tmp_path):
    import pyarrow.parquet as pq

    done = ctm("publish", run, "alice/run", "--json")
    assert done.returncode == 0, done.stderr
    assert published(hub, run)
    assert json.loads(done.stdout)["revision"] in hub.repos["datasets/alice/run"].commits

    (tmp_path / "loaded").mkdir()
    loaded = ctm(tmp_path / "loaded", python=LOAD)
    assert loaded.returncode == 0, loaded.stderr
    assert set(json.loads(loaded.stdout)) == {"problems", "solutions", "rollouts", "contrast"}
    for table in json.loads(loaded.stdout):
        there, here = (
            pq.read_table(tmp_path / "loaded" / f"{table}.parquet"),
            Store(run).read(table),
        )
        assert there.to_pylist() == here.to_pylist()

    done = ctm("pull", "alice/run", "--output-dir", "pulled")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "pulled") == tables(run)
    stay = {".lock", "models"}  # p+ and p- are not data
    assert sorted(os.listdir(tmp_path / "pulled")) == sorted(set(os.listdir(run)) - stay)

    assert verify(tmp_path / "pulled").ok
    assert ctm("verify", "alice/run").returncode == 0

    sql = "select * exclude run from rollouts order by all"
    over = ctm("query", sql, "--repo", "alice/run", "--out", "over.parquet")
    assert over.returncode == 0, over.stderr
    assert pq.read_table(tmp_path / "over.parquet").equals(query(sql, run).read_all())
    assert any(call.startswith("GET /datasets/alice/run/resolve/") for call in hub.calls)


def test_the_page_goes_along_and_the_card_leads_to_it(hub, ctm, run):
    assert ctm("publish", run, "alice/run").returncode == 0
    there = hub.files("alice/run")
    assert there["report.html"].startswith(b"<!doctype html>")
    assert b"[`report.html`](report.html)" in there["README.md"]
    assert ctm("publish", run, "alice/run", "--no-report").returncode == 0
    there = hub.files("alice/run")
    assert "report.html" not in there and b"report.html" not in there["README.md"]


def test_a_page_that_is_too_large_stays_here(run, monkeypatch):
    from ctm_data import publish

    assert "report.html" in publish.publish(run, "alice/run", dry_run=True).files
    monkeypatch.setattr(publish, "LARGEST_PAGE", 10_000)
    told = publish.publish(run, "alice/run", dry_run=True)
    assert "report.html" not in told.files and "report.html" not in told.card


def test_python_loads_and_connects_to_a_repository(hub, ctm, run):
    hub.put("alice/run", {name: path.read_bytes() for name, path in files_of(run).items()})
    code = """
import ctm_data
rows = ctm_data.load("alice/run", "rollouts").to_list()
con = ctm_data.connect("alice/run")
assert [row["solution_id"] for row in rows] == [
    name for (name,) in con.execute("select solution_id from rollouts").fetchall()]
print(len(rows))
"""
    done = ctm(python=code)
    assert done.stdout.strip() == str(Store(run).read("rollouts").num_rows), done.stderr


def files_of(run):
    return {
        str(p.relative_to(run)): p
        for p in Path(run).rglob("*")
        if p.is_file() and p.name != ".lock"
    }


def test_server_errors_and_rate_limits_are_waited_out(hub, ctm, run, tmp_path):
    calls = [
        "whoami",
        "repos/create",
        "GET /api/datasets/alice/run$",
        "preupload",
        "objects/batch",
        "PUT /lfs",
    ]
    for call in calls:
        hub.fail(call, status=500)
    hub.fail("POST .*/commit/", status=429, headers={"Retry-After": "1"})
    done = ctm("publish", run, "alice/run")
    assert done.returncode == 0, done.stderr
    assert published(hub, run)
    hub.fail("GET /api/datasets/alice/run$", status=503)
    hub.fail("GET .*resolve.*part", status=429, headers={"Retry-After": "1"})
    hub.fail("HEAD .*resolve.*README", status=500)
    done = ctm("pull", "alice/run", "--output-dir", "pulled")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "pulled") == tables(run)
    assert not any(fault.times for fault in hub.faults)


def test_a_server_that_only_fails_gets_one_line_and_publishes_nothing(hub, ctm, run):
    hub.fail("POST .*/commit/", status=500, times=99)
    said = one_line(ctm("publish", run, "alice/run"))
    assert "the Hub failed over alice/run (it answered 500): run the same command again" in said
    assert set(hub.files("alice/run")) == {".gitattributes"}


def test_an_upload_cut_in_the_middle_is_sent_again(hub, ctm, run):
    hub.fail("PUT /lfs", cut=1000, times=2)
    done = ctm("publish", run, "alice/run")
    assert done.returncode == 0, done.stderr
    assert published(hub, run)


def test_a_publication_killed_in_the_middle_shows_nothing_and_goes_on(hub, ctm, run, tmp_path):
    started, process = threading.Event(), None

    def kill():
        started.wait()
        process.send_signal(signal.SIGKILL)

    hub.fail("POST .*/commit/", do=kill, status=500)
    process = subprocess.Popen(
        [*CTM, "publish", str(run), "alice/run"],
        env={**os.environ, **hub.env(tmp_path / "home")},
        stderr=subprocess.DEVNULL,
    )
    started.set()
    assert process.wait(60) == -signal.SIGKILL
    assert set(hub.files("alice/run")) == {".gitattributes"}
    sent = sum("PUT /lfs" in call for call in hub.calls)
    assert ctm("publish", run, "alice/run").returncode == 0
    assert published(hub, run)
    assert sum("PUT /lfs" in call for call in hub.calls) == sent > 0, "parts were sent twice"


def test_a_download_cut_in_the_middle_goes_on(hub, ctm, run, tmp_path):
    hub.put("alice/run", {name: path.read_bytes() for name, path in files_of(run).items()})
    hub.fail("GET .*resolve.*part", cut=700, times=3)
    done = ctm("pull", "alice/run", "--output-dir", "pulled")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "pulled") == tables(run)


def test_a_pull_killed_in_the_middle_is_no_run_and_goes_on(hub, ctm, run, tmp_path):
    hub.put("alice/run", {name: path.read_bytes() for name, path in files_of(run).items()})
    started, process = threading.Event(), None

    def kill():
        started.wait()
        process.send_signal(signal.SIGKILL)

    hub.fail("GET .*resolve.*rollouts", do=kill, status=500)
    process = subprocess.Popen(
        [*CTM, "pull", "alice/run", "--output-dir", "pulled"],
        cwd=tmp_path,
        env={**os.environ, **hub.env(tmp_path / "home")},
        stderr=subprocess.DEVNULL,
    )
    started.set()
    assert process.wait(60) == -signal.SIGKILL
    assert not is_run_folder(tmp_path / "pulled")
    assert ctm("pull", "alice/run", "--output-dir", "pulled").returncode == 0
    assert tables(tmp_path / "pulled") == tables(run)


def test_an_expired_token_gets_one_line(hub, ctm, run):
    hub.expired.add("hf_wonderland")
    said = one_line(ctm("publish", run, "alice/run"))
    assert "the Hub refuses the access token, which may have expired: `hf auth login`" in said


def test_a_token_that_expires_in_the_middle_publishes_nothing(hub, ctm, run):
    hub.fail("POST .*objects/batch", do=lambda: hub.expired.add("hf_wonderland"))
    assert "which may have expired" in one_line(ctm("publish", run, "alice/run"))
    assert set(hub.files("alice/run")) == {".gitattributes"}


def test_without_a_token_one_is_told_how_to_log_in(ctm, run):
    said = one_line(ctm("publish", run, "alice/run", HF_TOKEN=""))
    assert "`hf auth login`, or set HF_TOKEN" in said


def test_another_ones_name_is_refused(ctm, run):
    assert "does not let you write to bob/run" in one_line(ctm("publish", run, "bob/run"))


@pytest.mark.parametrize("command", ["pull", "verify"])
def test_a_repository_that_is_not_there_gets_one_line(ctm, command):
    said = one_line(ctm(command, "alice/nothing"))
    assert "there is no repository alice/nothing on the Hub, or it is private" in said


def test_a_revision_that_is_not_there_gets_one_line(hub, ctm):
    hub.put("alice/run", {"README.md": b"empty"})
    said = one_line(ctm("pull", "alice/run", "--revision", "v9"))
    assert "alice/run has no such revision" in said


def test_a_repository_that_moves_while_publishing_keeps_what_others_wrote(hub, ctm, run):
    def someone_else():
        hub.put("alice/run", {"README.md": b"# Mine\n\nRead this first.\n", "notes.txt": b"kept"})

    hub.fail("POST .*/commit/", do=someone_else)
    done = ctm("publish", run, "alice/run")
    assert done.returncode == 0, done.stderr
    assert published(hub, run)
    there = hub.files("alice/run")
    assert there["notes.txt"] == b"kept"
    assert "Read this first." in there["README.md"].decode()


def test_a_repository_that_moves_while_pulling_gives_one_commit_only(hub, ctm, run, tmp_path):
    hub.put("alice/run", {name: path.read_bytes() for name, path in files_of(run).items()})

    def someone_else():
        hub.put("alice/run", {"rollouts/part-00000.parquet": b"other", "manifest.json": b"{}"})

    hub.fail("GET .*resolve.*part", do=someone_else)
    done = ctm("pull", "alice/run", "--output-dir", "pulled")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "pulled") == tables(run)


def test_publishing_again_replaces_the_tables_and_keeps_the_text_of_others(hub, ctm, run):
    old = {"contrast/part-00007.parquet": files_of(run)["contrast/part-00000.parquet"].read_bytes()}
    old |= {"manifest.json": files_of(run)["manifest.json"].read_bytes(), "notes.txt": b"kept"}
    hub.put("alice/run", {**old, "README.md": b"---\nlicense: cc-by-4.0\n---\n\nMy own words.\n"})
    done = ctm("publish", run, "alice/run")
    assert done.returncode == 0, done.stderr
    assert published(hub, run)
    card = hub.files("alice/run")["README.md"].decode()
    assert (
        "license: cc-by-4.0" in card and "My own words." in card and "config_name: rollouts" in card
    )
    count = len(hub.repos["datasets/alice/run"].commits)
    assert ctm("publish", run, "alice/run").returncode == 0
    assert len(hub.repos["datasets/alice/run"].commits) == count, "the same again is no new commit"


def test_a_branch_is_published_to_beside_main(hub, ctm, run):
    hub.put("alice/run", {"README.md": b"main"})
    assert ctm("publish", run, "alice/run", "--revision", "v2").returncode == 0
    assert set(hub.files("alice/run")) == {"README.md"}
    assert "manifest.json" in hub.files("alice/run", "v2")


def test_private_is_private_and_never_public_by_surprise(hub, ctm, run):
    assert ctm("publish", run, "alice/run", "--private").returncode == 0
    assert hub.repos["datasets/alice/run"].private
    hub.put("alice/open", {"README.md": b"public"})
    said = one_line(ctm("publish", run, "alice/open", "--private"))
    assert "is there already and is public" in said
    assert set(hub.files("alice/open")) == {"README.md"}


def test_a_dry_run_shows_files_and_card_and_asks_the_hub_nothing(hub, ctm, run):
    done = ctm("publish", run, "alice/run", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "rollouts/part-00000.parquet" in done.stdout
    assert 'load_dataset("alice/run", "rollouts", split="train")' in done.stdout
    assert hub.calls == []


def test_a_dry_run_shows_no_escape_sequence_of_a_card(ctm, model):
    (model / "README.md").write_text("---\nlicense: mit\n---\n\x1b]0;title\x07 A model \x1b[2J\n")
    (model / "\x1b[2Jname").write_text("")
    done = ctm("publish", model, "alice/model", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "A model" in done.stdout
    assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr)


OTHERS = {
    "a table of another schema": {"rollouts/part-00000.parquet": "problems/part-00000.parquet"},
    "a table that is none": {"rollouts/part-00000.parquet": "README.md"},
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_repository_of_another_schema_is_refused(hub, ctm, run, case):
    files = {name: files_of(run)[other].read_bytes() for name, other in OTHERS[case].items()}
    before = hub.put("alice/run", {**files, "manifest.json": (run / "manifest.json").read_bytes()})
    assert "holds a table 'rollouts' of another schema" in one_line(
        ctm("publish", run, "alice/run")
    )
    assert hub.repos["datasets/alice/run"].branches["main"] == before


def test_a_repository_of_other_data_is_refused(hub, ctm, run):
    hub.put("alice/run", {"train.csv": b"a,b\n"})
    assert "holds data that are no run of ctm (train.csv)" in one_line(
        ctm("publish", run, "alice/run")
    )


def test_a_run_that_does_not_verify_is_not_published(hub, ctm, run):
    path = run / "rollouts" / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    said = one_line(ctm("publish", run, "alice/run"))
    assert "does not pass `ctm verify`" in said and "rollouts/part-00000.parquet" in said
    assert hub.calls == []


def test_parts_that_were_tampered_with_are_named(hub, ctm, run, tmp_path):
    files = {name: path.read_bytes() for name, path in files_of(run).items()}
    files["rollouts/part-00000.parquet"] = files["rollouts/part-00000.parquet"][:-7] + b"changed"
    files["solutions/part-00001.parquet"] = files["solutions/part-00001.parquet"][:500]
    del files["contrast/part-00000.parquet"]
    hub.put("alice/run", files)
    said = one_line(ctm("pull", "alice/run", "--output-dir", "pulled"))
    assert "rollouts/part-00000.parquet is not what the manifest says" in said
    assert "solutions/part-00001.parquet is not what the manifest says" in said
    assert "contrast/part-00000.parquet is missing" in said
    assert not is_run_folder(tmp_path / "pulled")


def test_a_manifest_cannot_lead_out_of_the_folder(hub, ctm, tmp_path):
    parts = {
        "schema_version": 1,
        "recipe": {},
        "versions": {},
        "parts": {"../part-00000.parquet": "0"},
    }
    hub.put("alice/run", {"manifest.json": json.dumps(parts).encode()})
    said = one_line(ctm("pull", "alice/run", "--output-dir", "deep/pulled"))
    assert "names '../part-00000.parquet', which is no part of a table" in said
    assert not list(tmp_path.rglob("*.parquet"))


PAIRS = json.dumps({"prompt": ["?"], "chosen": ["1"], "rejected": ["2"], "answer": ["1"]}).encode()
LITTLE_ROOM = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
from ctm_cli.main import run; run()
"""


def test_released_data_that_the_hubs_cache_has_no_room_for_get_one_line(hub, ctm, tmp_path):
    hub.put("alice/released", {"pairs.json": PAIRS})
    said = one_line(ctm("pull", "alice/released", python=LITTLE_ROOM))
    assert "cannot write to the Hub's cache" in said and "File too large" in said
    assert not (tmp_path / "runs").exists()
    assert ctm("pull", "alice/released").returncode == 0


def test_released_data_and_a_cache_that_cannot_be_written_to_get_one_line(hub, ctm, tmp_path):
    hub.put("alice/released", {"pairs.json": PAIRS})
    said = one_line(ctm("pull", "alice/released", HF_HUB_CACHE="/proc/cache"))
    assert "cannot write to the Hub's cache /proc/cache" in said
    assert not (tmp_path / "runs").exists()


def test_a_pull_into_another_run_is_refused(hub, ctm, run, tmp_path):
    files = {name: path.read_bytes() for name, path in files_of(run).items()}
    hub.put(
        "alice/run", files | {"manifest.json": files["manifest.json"].replace(b"pocket", b"rocket")}
    )
    before = tables(run)
    done = ctm("pull", "alice/run", "--output-dir", run)
    assert done.returncode == 2 and "holds another run than alice/run" in done.stderr
    assert tables(run) == before


def test_no_token_is_ever_said_or_written(hub, ctm, run, tmp_path):
    secret = "hf_planted8f3a1c"
    hub.tokens[secret] = "alice"
    said = []
    for faults, command in (
        ([], ["publish", run, "alice/run"]),
        ([("POST .*/commit/", {"status": 400})], ["--debug", "publish", run, "alice/other"]),
        (
            [("GET .*revision", {"status": 400})],
            ["--debug", "verify", "alice/run", "--revision", "x"],
        ),
        ([], ["pull", "alice/run", "--output-dir", "pulled"]),
        ([], ["query", "--name", "accuracy", "--repo", "alice/run"]),
        (
            [("whoami", {"do": lambda: hub.expired.add(secret)})],
            ["--debug", "publish", run, "alice/run"],
        ),
    ):
        for pattern, what in faults:
            hub.fail(pattern, **what)
        done = ctm(*command, HF_TOKEN=secret, HF_DEBUG="1")
        said.append(done.stdout + done.stderr)
    assert all("Traceback" in said[i] for i in (1, 2, 5)), "these were to fail"
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    written |= {name: c for repo in hub.repos for name, c in hub.files(repo[9:]).items()}
    assert len(written) > 20
    assert not [text for text in said if secret in text]
    assert not [path for path, content in written.items() if secret.encode() in content]


def no_half_dataset(hub):
    """No commit holds a file of ours."""
    return all(
        set(files) <= {".gitattributes"}
        for one in hub.repos.values()
        for files in one.commits.values()
    )


REFUSED = {
    "not logged in": ("whoami", 401, {}, "the Hub refuses the access token"),
    "no right to write": ("POST .*preupload", 403, {}, "does not let you write to alice/run"),
    "no right to commit": ("POST .*/commit/", 403, {}, "does not let you write to alice/run"),
    "a branch that moved": ("POST .*/commit/", 409, {}, "changed by someone else"),
    "a wait of an hour": (
        "POST .*/commit/", 429, {"Retry-After": "3600"}, "too many requests",
    ),
    "an address for the upload that expired": (
        "PUT /lfs", 403, {"X-Error-Message": "signature expired"}, "does not let you write",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_gets_one_line_and_leaves_no_half_dataset(hub, ctm, run, case):
    pattern, status, headers, said = REFUSED[case]
    hub.fail(pattern, status=status, headers=headers, times=99)
    assert said in one_line(ctm("publish", run, "alice/run"))
    assert no_half_dataset(hub)


def test_a_gated_repository_is_said_to_be_so(hub, ctm, run, tmp_path):
    hub.put("alice/run", {name: path.read_bytes() for name, path in files_of(run).items()})
    hub.gated.add("alice/run")
    assert "alice/run is gated: ask for access" in one_line(
        ctm("pull", "alice/run", "--output-dir", "pulled")
    )
    assert not is_run_folder(tmp_path / "pulled")


def test_a_private_repository_of_another_is_said_to_be_unknown(hub, ctm, run, tmp_path):
    hub.put("bob/run", {name: path.read_bytes() for name, path in files_of(run).items()})
    hub.repos["datasets/bob/run"].private = True
    assert "or it is private and you are not let in" in one_line(ctm("pull", "bob/run"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("recipe", [None, "pocket", 3])
def test_a_pulled_manifest_without_a_recipe_leaves_no_folder(hub, ctm, tmp_path, recipe):
    said = {"schema_version": 1, "recipe": recipe, "versions": {}, "parts": {}}
    hub.put("alice/run", {"manifest.json": json.dumps(said).encode()})
    assert "recipe is no object" in one_line(ctm("pull", "alice/run", "--output-dir", "pulled"))
    assert not (tmp_path / "pulled").exists()


@pytest.fixture
def model(tmp_path):
    """What `ctm train` leaves, as far as publishing looks at it."""
    folder = tmp_path / "model"
    (folder / ".cache").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\nA model.\n")
    (folder / "training.json").write_text('{"outcome": {}}')
    (folder / "model.safetensors").write_bytes(bytes(1000))
    (folder / ".cache" / "secret").write_text("stays")
    (folder / "checkpoint-7").mkdir()  # of a training that was killed before it had tidied up
    (folder / "checkpoint-7" / "optimizer.bin").write_bytes(bytes(1000))
    return folder


def test_a_link_in_a_model_is_not_followed_to_the_hub(ctm, model, tmp_path):
    (tmp_path / "token").write_text("hf_secret")
    (model / "notes.txt").symlink_to(tmp_path / "token")
    done = ctm("publish", model, "alice/model", "--dry-run")
    assert (done.returncode, "is a symbolic link" in done.stderr) == (2, True), done.stderr


def test_a_link_in_a_run_is_not_followed_to_the_hub(ctm, run, tmp_path):
    (run / "results_ctm.json").symlink_to(tmp_path)
    done = ctm("publish", run, "alice/run", "--dry-run")
    assert (done.returncode, "is a symbolic link" in done.stderr) == (2, True), done.stderr


def test_a_pull_writes_through_no_link(hub, ctm, run, tmp_path):
    hub.put("alice/run", {name: path.read_bytes() for name, path in files_of(run).items()})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pulled" / ".pull").mkdir(parents=True)
    (tmp_path / "pulled" / "problems").symlink_to(tmp_path / "elsewhere")
    done = ctm("pull", "alice/run", "--output-dir", "pulled")
    assert (done.returncode, "is a symbolic link" in done.stderr) == (2, True), done.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_trained_model_is_published_with_its_card(hub, ctm, model):
    done = ctm("publish", model, "alice/model")
    assert done.returncode == 0, done.stderr
    one = hub.repos["models/alice/model"]
    assert {"README.md", "model.safetensors", "training.json", ".gitattributes"} == set(
        one.commits[one.branches["main"]]
    )


def test_a_model_still_in_training_is_not_published(hub, ctm, model):
    (model / "training.json").write_text("{}")
    assert "the training has not ended" in one_line(ctm("publish", model, "alice/model"))
    assert not hub.repos
