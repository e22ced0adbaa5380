"""Runs in object storage: a real S3 server on loopback, real builds. Skipped where either is missing."""

import json
import socket
import time
from dataclasses import replace

import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto")
pytest.importorskip("flask_cors")

from s3_server import S3Server
from typed import CTM, Typed, ctm, python

from ctm_data.build import build_dataset, merge_shards
from ctm_data.config import BuildConfig, EvalConfig
from ctm_data.eval import evaluate
from ctm_data.pull import pull
from ctm_data.run.bucket import Bucket, refuse_url
from ctm_data.run.lease import held
from ctm_data.run.mirror import mirrored
from ctm_data.run.sources import find
from ctm_data.run.store import Store
from ctm_data.verify import verify
from ctm_eval.errors import CtmError

BUILD = {"limit": 4, "n_samples": 4, "n_rollouts": 4, "chunk_size": 1, "max_new_tokens": 80,
         "stages": ("rollouts",)}  # fmt: skip
WORDS = ["build-dataset", "--limit=4", "--n-samples=4", "--n-rollouts=4", "--chunk-size=1",
         "--max-new-tokens=80", "--stages=rollouts"]  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with S3Server() as server:
        server.make("runs")
        yield server


@pytest.fixture(autouse=True)
def here(server, monkeypatch, tmp_path):
    """This machine: its credentials, and a cache of its own."""
    for name, value in {**server.environment, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def name(request):
    """The name of a run that no other test has."""
    return request.node.name.replace("[", "-").strip("]").replace("/", "-")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The build in a folder, by file."""
    return contents(
        build_dataset(BuildConfig(tmp_path_factory.mktemp("local") / "run", **BUILD)).folder
    )


@pytest.fixture
def built(server, local, name):
    """The name of a finished run in the bucket."""
    for file, content in local.items():
        server.put("runs", f"{name}/{file}", content)
    return name


def contents(folder):
    """The bytes of a folder's files."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def parts(files):
    return {name: content for name, content in files.items() if name.endswith(".parquet")}


def config(name, **more):
    return BuildConfig(f"s3://runs/{name}", **{**BUILD, **more})


def lease(server, name, number, **said):
    """Writes the lease of a process on another machine."""
    said = {"holder": "another", "host": "gpu-7", "pid": 12, "seconds": 60} | said
    server.put("runs", f"{name}/.lease/{number:08d}", json.dumps(said).encode())


def test_a_build_in_a_bucket_is_that_in_a_folder_byte_for_byte(server, local, name):
    store = build_dataset(config(name))
    assert server.objects("runs", name) == local
    assert store.name == f"s3://runs/{name}"


def test_an_evaluation_in_a_bucket_is_that_in_a_folder_byte_for_byte(server, name, tmp_path):
    options = {"limit": 4, "max_new_tokens": 80, "chunk_size": 2}
    folder = evaluate(EvalConfig(tmp_path / "run", **options)).folder
    evaluate(EvalConfig(f"s3://runs/{name}", **options))
    assert server.objects("runs", name) == contents(folder)


def test_shards_are_merged_into_a_bucket(server, local, name, tmp_path):
    each = [BuildConfig(tmp_path / str(i), shard=(i, 2), **BUILD) for i in (0, 1)]
    shards = [build_dataset(one).folder for one in each]
    merge_shards(shards, f"s3://runs/{name}", stages=("rollouts",))
    assert server.objects("runs", name) == local


def test_a_build_that_is_killed_goes_on_from_a_machine_without_its_parts(
    server, local, name, tmp_path
):
    """Whatever is in the bucket at the kill is whole. The lease has ended when the other machine begins."""
    url = f"s3://runs/{name}"
    killed = Typed(CTM, *WORDS, "--output-dir", url, CTM_LEASE_SECONDS="2",
                   XDG_CACHE_HOME=str(tmp_path / "other"), **server.environment)  # fmt: skip
    end = time.monotonic() + 180
    while len(parts(server.objects("runs", name))) < 3:
        assert killed.returncode is None and time.monotonic() < end, killed.stderr
        time.sleep(0.02)
    killed.kill()
    before = parts(server.objects("runs", name))
    assert before.items() <= parts(local).items() and len(before) < len(parts(local))
    time.sleep(3)
    build_dataset(config(name))
    assert server.objects("runs", name) == local


@pytest.mark.parametrize("in_the_cache", ["altered", "unknown to the bucket", "missing"])
def test_what_is_in_the_cache_is_made_what_the_bucket_has(server, local, built, in_the_cache):
    with mirrored(f"s3://runs/{built}") as mirror:
        part = mirror.folder / "rollouts" / sorted(parts(local))[4].partition("/")[2]
    path = mirror.folder / next(n for n in sorted(local) if n.startswith("rollouts/"))
    if in_the_cache == "missing":
        path.unlink()
    elif in_the_cache == "altered":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        path.with_name("part-00099.parquet").write_bytes(path.read_bytes())
        (part.parent.parent / "report.html").write_text("x")
    with mirrored(f"s3://runs/{built}") as mirror:
        assert contents(mirror.folder) == local


def test_a_part_that_is_the_buckets_is_not_brought_again(built, local):
    with mirrored(f"s3://runs/{built}") as mirror:
        paths = [mirror.folder / part for part in parts(local)]
        before = [path.stat().st_mtime_ns for path in paths]
    with mirrored(f"s3://runs/{built}") as mirror:
        assert [path.stat().st_mtime_ns for path in paths] == before


def test_models_trained_on_other_solutions_than_the_buckets_are_not_used(server, built, local):
    with mirrored(f"s3://runs/{built}") as mirror:
        (mirror.folder / "models").mkdir()
    with mirrored(f"s3://runs/{built}") as mirror:
        assert (mirror.folder / "models").exists()
    server.delete("runs", f"{built}/{next(n for n in local if n.startswith('solutions/'))}")
    with mirrored(f"s3://runs/{built}") as mirror:
        assert not (mirror.folder / "models").exists()


def test_a_part_that_was_altered_in_the_bucket_is_set_aside_there_and_made_again(
    server, local, built
):
    part = next(name for name in sorted(local) if name.startswith("solutions/"))
    server.put("runs", f"{built}/{part}", b"altered")
    store = build_dataset(config(built))
    there = server.objects("runs", built)
    assert there.pop(f"set-aside/{part.replace('/', '-')}") == b"altered"
    assert there == local and store.set_aside == [part]


def test_a_second_writer_is_refused_while_the_lease_lives(server, name):
    lease(server, name, 3)
    with pytest.raises(CtmError, match="process 12 on gpu-7 is writing to s3://runs/"):
        build_dataset(config(name))
    assert server.objects("runs", name) == {}


def test_a_second_writer_takes_over_when_the_lease_was_not_renewed(server, name):
    lease(server, name, 3, seconds=1)
    time.sleep(2.1)
    with held(Bucket(f"s3://runs/{name}"), "me") as mine:
        mine.check()


def test_a_lease_is_renewed_while_its_holder_lives(server, name, monkeypatch):
    monkeypatch.setenv("CTM_LEASE_SECONDS", "3")
    with held(Bucket(f"s3://runs/{name}"), "me"):
        time.sleep(4.5)
        with (
            pytest.raises(CtmError, match="is writing to"),
            held(Bucket(f"s3://runs/{name}"), "you"),
        ):
            pass


def test_a_lease_that_was_given_back_is_free(server, name):
    for holder in ("me", "you"):
        with held(Bucket(f"s3://runs/{name}"), holder) as mine:
            mine.check()


def test_a_lease_of_ones_own_that_a_kill_left_is_taken_over_at_once(server, name):
    lease(server, name, 1, holder="me", host=socket.gethostname())
    with held(Bucket(f"s3://runs/{name}"), "me") as mine:
        mine.check()


@pytest.mark.parametrize("lost", ["taken over", "removed"])
def test_a_run_that_lost_its_lease_stops_at_its_next_write(server, name, lost):
    begun = []

    def progress(stage, done, total, *more, **others):
        if done and not begun:
            begun.append(server.objects("runs", name))
            if lost == "taken over":
                lease(server, name, 2)
            else:
                server.delete("runs", f"{name}/.lease/00000001")

    with pytest.raises(CtmError, match=r"another run has taken s3://runs/.* over"):
        build_dataset(config(name), progress)
    assert server.objects("runs", name).keys() - begun[0].keys() <= {"problems/part-00000.parquet"}


def test_two_processes_here_cannot_write_to_one_run(name):
    with (
        mirrored(f"s3://runs/{name}"),
        pytest.raises(CtmError, match="another process here"),
        mirrored(f"s3://runs/{name}"),
    ):
        pass


def test_a_write_that_the_store_refuses_for_the_moment_is_tried_again(server, name, tmp_path):
    server.make("flaky")
    bucket, file = Bucket(f"s3://flaky/{name}"), tmp_path / "part"
    bucket.tries = 3
    for number in range(3):
        file.write_bytes(b"%d" % number)
        bucket.put(file, str(number))
    assert server.objects("flaky", name) == {"0": b"0", "1": b"1", "2": b"2"}


@pytest.mark.parametrize(
    ("url", "environment", "said"),
    [
        ("s3://nowhere/run", {}, "there is no bucket nowhere"),
        ("s3://runs/run", {"AWS_ACCESS_KEY_ID": "CLOSED"}, "does not let you in .*AWS_PROFILE"),
        ("s3://runs/run", {"AWS_ACCESS_KEY_ID": ""}, "no credentials for s3://runs/run: set AWS_PROFILE"),
        ("s3://runs/run", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be reached: .*AWS_ENDP"),
        ("s3://runs/run", {"AWS_ENDPOINT_URL": "127.0.0.1"}, "cannot be reached: .*AWS_ENDPOINT_URL"),
        ("s3://runs/run", {"CTM_LEASE_SECONDS": "soon"}, "CTM_LEASE_SECONDS takes 1 to 86400"),
        ("s3://loose/run", {}, "its store has no conditional writes"),
        ("s3://runs", {}, "give a bucket and a plain name in it"),
        ("s3://runs/../run", {}, "give a bucket and a plain name in it"),
        ("hf://datasets/user/name", {}, "the Hub takes 128 commits an hour.*ctm publish"),
        ("memory://runs/run", {}, "no place that another machine could write to"),
        ("file:///tmp/run", {}, "no place that another machine could write to"),
        ("quantum://runs/run", {}, "nothing that can be written to"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_written_to_is_refused_before_anything_is_sampled(
    server, url, environment, said, monkeypatch
):
    server.make("loose")
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    sampled = []
    with pytest.raises(CtmError, match=said) as raised:
        build_dataset(BuildConfig(url, **BUILD), lambda *state, **_: sampled.append(state))
    assert not sampled and "\n" not in str(raised.value) and "secret" not in str(raised.value)


def test_a_write_to_a_server_that_never_answers_ends(monkeypatch):
    monkeypatch.setattr("ctm_data.run.bucket.SLOWEST", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(CtmError, match="cannot be reached"):
            Bucket("s3://runs/run").write("x", b"x")


def test_other_files_in_the_bucket_are_left_alone(server, name):
    server.put("runs", f"{name}/notes.txt", b"mine")
    with pytest.raises(CtmError, match="is not empty and holds no run"):
        build_dataset(config(name))
    assert server.objects("runs", name) == {"notes.txt": b"mine"}


def test_a_run_of_other_options_is_refused_by_its_url(built):
    with pytest.raises(CtmError, match=r"s3://runs/.* belongs to another recipe"):
        build_dataset(replace(config(built), seed=7))


def test_without_s3fs_the_command_that_installs_it_is_named():
    code = f"import sys; sys.modules['s3fs'] = None; {CTM}"
    said = python(code, *WORDS, "--output-dir", "s3://runs/run").stderr
    assert said == (
        "ctm: this needs s3fs, which is not installed: pip install -c constraints.txt '.[s3]' in the "
        "folder of the repository\n"
    )


def test_a_pulled_run_is_the_run(built, local, tmp_path):
    folder = pull(f"s3://runs/{built}", tmp_path / "run")
    assert contents(folder) == local and verify(folder).ok


def test_a_damaged_run_is_not_pulled_until_it_is_mended(server, built, local, tmp_path):
    part = next(name for name in sorted(local) if name.startswith("rollouts/"))
    server.put("runs", f"{built}/{part}", b"altered")
    with pytest.raises(CtmError, match=f"{part} is not what the manifest says"):
        pull(f"s3://runs/{built}", tmp_path / "run")
    server.put("runs", f"{built}/{part}", local[part])
    assert contents(pull(f"s3://runs/{built}", tmp_path / "run")) == local


def test_an_unfinished_run_is_not_pulled(server, built, local, tmp_path):
    begun = {name: it for name, it in json.loads(local["manifest.json"]).items() if name != "parts"}
    server.put("runs", f"{built}/manifest.json", json.dumps(begun).encode())
    with pytest.raises(CtmError, match="not the manifest of a finished run"):
        pull(f"s3://runs/{built}", tmp_path / "run")


@pytest.mark.parametrize("read", [Store, find, verify, refuse_url])
def test_who_reads_a_run_by_its_url_is_told_to_pull_it(read):
    with pytest.raises(CtmError, match="`ctm pull s3://runs/run` brings"):
        read("s3://runs/run")


def test_the_command_says_where_the_run_is_and_how_to_get_it(server, built, tmp_path):
    """The run is finished: nothing is made."""
    url = f"s3://runs/{built}"
    done = ctm(*WORDS, "--output-dir", url, XDG_CACHE_HOME=str(tmp_path), **server.environment)
    assert done.returncode == 0, done.stderr
    assert f"ctm pull {url}" in done.stdout
