"""Actors of Ray: kills at random moments, what they cost, and two nodes.

    python benchmarks/actors.py kills --count 10
    python benchmarks/actors.py efficiency
    python benchmarks/actors.py nodes [--apart]

`kills` ends an actor, the command, or the raylet by SIGKILL within a second after a random part, so many
times each, runs the command again, and compares every part with those of a run without Ray, byte for
byte. `efficiency` compares two actors with two processes that do a half each, one after the other on the
same machine. `nodes` joins two raylets on two ports to one cluster, with a folder that both see; the second
is killed while it works. With `--apart` each is in a network namespace of its own (which root may make on
Linux), joined by a virtual cable, which is also cut.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

SMALL = ["--limit=8", "--n-samples=8", "--n-rollouts=8", "--chunk-size=1", "--max-new-tokens=100"]
ACTORS = ["--ray=local", "--ray-actors=2"]
PATIENCE = 300.0  # seconds for one command
HEAD = 6399  # the port of the cluster of `nodes`
SPACES = ("ctm-head", "ctm-second")  # network namespaces
CABLE = ("ctm-cable-0", "ctm-cable-1")
ADDRESSES = ("10.77.0.1", "10.77.0.2")


def main() -> int:
    """Returns 1 if something was lost, doubled or changed."""
    if sys.argv[1:2] == ["child"]:
        return child(json.loads(sys.argv[2]))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("kills", "efficiency", "nodes"))
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--targets", default="actor,command,raylet", help="of `kills`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--problems", type=int, default=64, help="of `efficiency`")
    parser.add_argument("--apart", action="store_true", help="of `nodes`: network namespaces")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        if options.what == "kills":
            targets = options.targets.split(",")
            return kills(home, targets, options.count, random.Random(options.seed))
        if options.what == "nodes":
            return nodes(home, options.apart)
        return efficiency(home, options.problems)


def build(folder: Path, *words: str, within: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Starts a build; `within` is a command that runs another one."""
    command = [
        *within,
        sys.executable,
        "-m",
        "ctm_cli.main",
        "build-dataset",
        "--stages",
        "rollouts",
        *SMALL,
    ]
    return subprocess.Popen(
        [*command, "--output-dir", str(folder), *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def parts(folder: Path) -> dict[str, bytes]:
    """The bytes of every part."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("part-*.parquet")}


def kills(home: Path, targets: list[str], count: int, rng: random.Random) -> int:
    """Ends each of the targets `count` times; prints how it went on."""
    build(home / "here").communicate(timeout=PATIENCE)
    whole = parts(home / "here")
    started = time.monotonic()
    build(home / "there", *ACTORS).communicate(timeout=PATIENCE)
    usual = time.monotonic() - started
    same = parts(home / "there") == whole
    print(f"{len(whole)} parts, the same with two actors: {same}; {usual:.0f} s", flush=True)
    bad = int(not same)
    for target in targets:
        again = alone = 0
        for number in range(count):
            folder = home / f"{target}-{number}"
            command = build(folder, *ACTORS)
            at = rng.randrange(len(whole))
            hit = strike(command, target, folder, at, rng.random())
            _, said = command.communicate(timeout=PATIENCE)
            left = len(parts(folder))
            if command.returncode:
                again += 1
                second = build(folder, *ACTORS)
                _, said = second.communicate(timeout=PATIENCE)
                if second.returncode:
                    print(f"{target} {number}: not finished: {said[-500:]}", flush=True)
            else:
                alone += 1
            ok = parts(folder) == whole
            bad += not ok
            told = f"hit {hit} at {at} parts, {left} when it ended; same: {ok}"
            print(f"  {target} {number}: {told}", flush=True)
        print(f"{target}: {alone} went on alone, {again} after the same command", flush=True)
    return 1 if bad else 0


def strike(
    command: subprocess.Popen[str], target: str, folder: Path, at: int, after: float
) -> bool:
    """Kills the target `after` seconds after `at` parts are there; False if the command ended before."""
    while command.poll() is None and len(parts(folder)) < at:
        time.sleep(0.01)
    time.sleep(after)
    while command.poll() is None:
        if target == "command":
            command.kill()
            return True
        word = "ray::_Actor" if target == "actor" else "raylet/raylet"
        try:
            found = psutil.Process(command.pid).children(recursive=True)
            own = [one for one in found if word in " ".join(one.cmdline()[:1])]
            if own:
                own[0].kill()
                return True
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.05)
    return False


def efficiency(home: Path, problems: int) -> int:
    """Prints the seconds of two processes and of two actors for the same run, without loading models."""
    child_of = [sys.executable, __file__, "child"]
    figures: dict[str, list[float]] = {"processes": [], "actors": []}
    for turn in range(3):
        halves = [
            {"shard": [i, 2], "output_dir": str(home / f"half-{turn}-{i}"), "limit": problems}
            for i in range(2)
        ]
        go = home / f"go-{turn}"
        running = [
            subprocess.Popen(
                [*child_of, json.dumps({**half, "go": str(go)})], stdout=subprocess.PIPE, text=True
            )
            for half in halves
        ]
        for one in running:
            assert one.stdout is not None and one.stdout.readline() == "ready\n"
        go.touch()
        figures["processes"].append(max(float(one.communicate()[0]) for one in running))
        whole = {"ray": "local", "ray_actors": 2, "limit": problems}
        done = subprocess.run(
            [*child_of, json.dumps({**whole, "output_dir": str(home / f"whole-{turn}")})],
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        figures["actors"].append(float(done.stdout.splitlines()[-1]))
        apart, pooled = figures["processes"][-1], figures["actors"][-1]
        print(f"{apart:.1f} s apart, {pooled:.1f} s pooled: {apart / pooled:.2f}", flush=True)
    best = min(figures["processes"]) / min(figures["actors"])
    print(f"efficiency {best:.2f} (the best of each)")
    return 0 if best >= 0.85 else 1


def child(options: dict) -> int:
    """Makes a run, or a half of one, and prints the seconds that it took once the engines were loaded."""
    from ctm_data.asking import ask, problems_of
    from ctm_data.build import lazy_engine
    from ctm_data.config import BuildConfig
    from ctm_data.run.records import chunked
    from ctm_data.run.store import Store
    from ctm_data.stages import rollouts, solutions
    from ctm_data.team import team
    from ctm_eval.progress import silent
    from ctm_eval.scoring import Scorer

    go = options.pop("go", None)
    folder = Path(options.pop("output_dir"))
    shard = tuple(options.pop("shard", ())) or None
    config = BuildConfig(
        **options, shard=shard, n_samples=8, n_rollouts=8, chunk_size=4, stages=("rollouts",)
    ).check()
    problems = problems_of(config)
    config, prompts = ask(config, config.models, problems)
    engine = lazy_engine(config, config.models[0])
    with Scorer() as scorer, team(config) as hire:
        workers = hire(engine, scorer.score)
        workers.start()
        if config.ray:  # until all have their model
            import ray

            ray.get([actor.ready.remote() for actor in workers._actors])
        if go:
            print("ready", flush=True)
            while not Path(go).exists():
                time.sleep(0.01)
        chunks = chunked(problems, config.chunk_size, config.shard)
        with Store.open(folder, config.recipe(), config.shard) as store:
            started = time.monotonic()
            solutions.write(store, chunks, {config.models[0]: workers}, prompts, config, silent)
            rollouts.write(store, chunks, workers, config, silent)
            print(time.monotonic() - started, flush=True)
    return 0


def nodes(home: Path, apart: bool) -> int:
    """A cluster of two raylets, whose second is killed or cut off while it works. Returns 1 if the tables
    differ."""
    token = home / "token"
    token.write_text("0123456789abcdef" * 4)
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    build(home / "here").communicate(timeout=PATIENCE)
    whole = parts(home / "here")
    addresses = ADDRESSES if apart else ("127.0.0.1", "127.0.0.1")
    within = [["ip", "netns", "exec", space] if apart else [] for space in SPACES]
    ray = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1"]
    ray += ["--object-store-memory=100000000", "--disable-usage-stats"]

    def raylet(number: int, *words: str) -> subprocess.Popen[bytes]:
        own = [f"--node-ip-address={addresses[number]}"] if apart else []
        command = [*within[number], *ray, *own, *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    running: list[subprocess.Popen[bytes]] = []
    try:
        if apart:
            join()
        running.append(raylet(0, "--head", f"--port={HEAD}", "--include-dashboard=false"))
        time.sleep(15)
        bad = 0
        for what in ("left alone", "killed", *(["cut off"] if apart else [])):
            second = raylet(1, f"--address={addresses[0]}:{HEAD}")
            running.append(second)
            time.sleep(10)
            folder, began = home / what, time.monotonic()
            address = f"--ray={addresses[0]}:{HEAD}"
            command = build(folder, address, "--ray-actors=2", within=within[0])
            if what != "left alone":
                while not (folder / "solutions").exists() and command.poll() is None:
                    time.sleep(0.05)
                if what == "killed":
                    end(second)
                else:
                    ip("-n", SPACES[1], "link", "set", CABLE[1], "down")
            left = len(parts(folder))
            _, said = command.communicate(timeout=PATIENCE)
            same = parts(folder) == whole
            bad += not same
            told = f"exit code {command.returncode}, {time.monotonic() - began:.0f} s, same: {same}"
            print(f"second node {what} at {left} of {len(whole)} parts: {told}", flush=True)
            if command.returncode:
                print(said[-1000:])
            end(second)
        return 1 if bad else 0
    finally:
        for one in reversed(running):
            end(one)
        if apart:
            for space in SPACES:
                subprocess.run(["ip", "netns", "del", space], check=False)


def join() -> None:
    """Two network namespaces, each an end of a virtual cable."""
    for space in SPACES:
        ip("netns", "add", space)
    ip("link", "add", "name", CABLE[0], "netns", SPACES[0], "type", "veth",
       "peer", "name", CABLE[1], "netns", SPACES[1])  # fmt: skip
    for space, cable, address in zip(SPACES, CABLE, ADDRESSES, strict=True):
        ip("-n", space, "addr", "add", f"{address}/24", "dev", cable)
        for device in (cable, "lo"):
            ip("-n", space, "link", "set", device, "up")


def ip(*words: str) -> None:
    """The command of that name."""
    subprocess.run(["ip", *words], check=True)


def end(process: subprocess.Popen) -> None:
    """Kills a process of ours with all that it started."""
    if process.poll() is not None:
        return
    own = psutil.Process(process.pid)
    for one in [*own.children(recursive=True), own]:
        one.kill()
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
