"""The sandbox's speed: programs a second, beside a fresh Python for each without any isolation.

    python benchmarks/sandbox.py [--programs 500] [--repeats 5] [--mbpp mbpp.jsonl]

Both run the reference programs of pocket-code with their tests, on all cores, warmed up. A fresh
`python -I -S` a program in a pool of threads is the least that a harness without a sandbox pays.
With MBPP's file the references of its 500 test problems are run too, and those that fail are named.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from ctm_eval.benchmarks import load_problems
from ctm_eval.pocket import tasks
from ctm_eval.sandbox import Program, Sandbox


def rate(run: Callable[[list[Program]], int], programs: list[Program], repeats: int) -> list[float]:
    """Programs a second of every repeat, after a warm-up; all programs must pass."""
    run(programs[:20])
    rates = []
    for _ in range(repeats):
        started = time.perf_counter()
        passed = run(programs)
        rates.append(len(programs) / (time.perf_counter() - started))
        assert passed == len(programs)
    return rates


def fresh(programs: list[Program]) -> int:
    def one(program: Program) -> bool:
        code = "\n".join([program.code, *program.tests])
        return subprocess.run([sys.executable, "-I", "-S", "-c", code]).returncode == 0

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return sum(threads.map(one, programs))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--mbpp", help="MBPP's own file, or another in its format")
    options = parser.parse_args()
    programs = [Program(t.program, t.tests) for t in tasks("test", options.programs)]

    print("| how | programs a second, median | least | most |\n|---|---|---|---|")
    with Sandbox() as sandbox:

        def isolated(some: list[Program]) -> int:
            return sum(outcome.status == "passed" for outcome in sandbox.run(some))

        medians = []
        for name, run in (("sandbox", isolated), ("fresh Python, not isolated", fresh)):
            rates = rate(run, programs, options.repeats)
            medians.append(median(rates))
            print(f"| {name} | {medians[-1]:.0f} | {min(rates):.0f} | {max(rates):.0f} |")
    if options.mbpp:
        problems = load_problems("mbpp", data_file=options.mbpp)
        references = [Program(p.answer, tuple(p.tests)) for p in problems]
        with Sandbox() as sandbox:
            sandbox.run(references[:20])
            started = time.perf_counter()
            outcomes = sandbox.run(references)
            speed = len(references) / (time.perf_counter() - started)
        print(f"| sandbox, MBPP's references | {speed:.0f} | {speed:.0f} | {speed:.0f} |")
        passed = sum(outcome.status == "passed" for outcome in outcomes)
        suspicious = sum(bool(outcome.suspicious) for outcome in outcomes)
        print(
            f"\nof MBPP's {len(references)} references {passed} pass, {suspicious} are suspicious"
        )
        for problem, outcome in zip(problems, outcomes, strict=True):
            if outcome.status != "passed":
                print(f"{problem.problem_id}: {outcome.status}, {outcome.detail}")
    print(
        f"\n{os.cpu_count()} cores; the sandbox is {medians[0] / medians[1]:.1f} × the fresh Python"
    )


if __name__ == "__main__":
    main()
