"""Actors of Ray make the rows that this process makes. Skipped where Ray is not installed."""

import os
import socket
import subprocess
import sys
import time

import pytest

from ctm_data.config import BuildConfig, EvalConfig
from ctm_eval.errors import CtmError
from ctm_eval.ray_workers import Cluster

if __import__("importlib.util").util.find_spec("ray") is None:
    pytest.skip("needs Ray: make test-ray", allow_module_level=True)

import psutil

SMALL = {"limit": 6, "n_samples": 4, "n_rollouts": 4, "chunk_size": 1, "max_new_tokens": 80}
WORDS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]


def parts(folder):
    """The bytes of every part of a run."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("part-*.parquet")
    }


def build(folder, *words):
    """Starts a build without p+ and p-."""
    command = [
        sys.executable,
        "-m",
        "ctm_cli.main",
        "build-dataset",
        "--stages",
        "rollouts",
        *WORDS,
    ]
    return subprocess.Popen(
        [*command, "--output-dir", str(folder), *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def actors(command):
    """The processes of a command's actors that have begun to work."""
    found = psutil.Process(command.pid).children(recursive=True)
    return [one for one in found if "ray::_Actor" in " ".join(one.cmdline())]


def test_a_build_whose_actor_is_killed_has_the_tables_of_one_without_ray(tmp_path):
    """Two actors, one of which is killed when the first part is there."""
    here, there = (
        build(tmp_path / "here"),
        build(tmp_path / "there", "--ray=local", "--ray-actors=2"),
    )
    end = time.monotonic() + 120
    while not (tmp_path / "there" / "solutions").exists():
        assert there.poll() is None and time.monotonic() < end, there.stderr.read()
        time.sleep(0.05)
    actors(there)[0].kill()
    said = [command.communicate(timeout=180)[1] for command in (here, there)]
    assert (here.returncode, there.returncode) == (0, 0), said
    assert parts(tmp_path / "there") == parts(tmp_path / "here")
    assert len(parts(tmp_path / "here")) > 12


def test_an_address_where_nothing_listens_is_told_at_once(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(CtmError, match=f"no cluster of Ray answers at 127.0.0.1:{port}"):
        Cluster(f"127.0.0.1:{port}")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("options", "said"),
    [({"ray": "local", "engine": "openai", "base_url": "http://h/v1"}, "raise --concurrency"),
     ({"ray_actors": 2}, "--ray-actors needs --ray"), ({"ray": "local", "ray_actors": 0}, "1 or more")],
)  # fmt: skip
@pytest.mark.parametrize("kind", [BuildConfig, EvalConfig])
def test_options_that_cannot_work_are_refused(kind, options, said):
    with pytest.raises(CtmError, match=said):
        kind(**options).check()
