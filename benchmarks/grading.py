"""Our grader beside math-verify: agreement, speed, cost of hostile input. One run, one process each.

    python benchmarks/grading.py --quick                     # a sample, about a minute
    python benchmarks/grading.py --data ../shared/data       # everything, about twenty minutes

Needs `pip install math-verify`. Real golds are used where `--data` holds them. Each grader answers
the same questions in the same process, one after the other; math-verify is given its own entry
points (`parse`, `verify`) in the way its README shows, with its own time limits.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "tests" / "ctm_eval" / "grading"
sys.path[:0] = [str(ROOT), str(TABLES)]

from rewriting import changed, kept  # noqa: E402

from ctm_eval.grading import gold_answer, grade, matches  # noqa: E402
from ctm_eval.grading.maths import symbolic  # noqa: E402

Question = tuple[str, str, bool]
"""A gold, an answer or response, and whether it is right."""


@dataclass
class Score:
    """What a grader did on a set of questions."""

    false_positives: int = 0
    false_negatives: int = 0
    seconds: list[float] = field(default_factory=list)
    layers: Counter[str] = field(default_factory=Counter)

    @property
    def errors(self) -> int:
        return self.false_positives + self.false_negatives

    @property
    def per_second(self) -> float:
        return len(self.seconds) / sum(self.seconds)

    def quantile(self, q: float) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(q * len(self.seconds)))]


def our_pair(gold: str, answer: str) -> tuple[bool, str]:
    equality = matches(gold, answer)
    return equality.equal, equality.layer or "none"


def our_response(gold: str, text: str) -> tuple[bool, str]:
    verdict = grade(gold, text)
    return verdict.correct, verdict.layer or verdict.reason


def their_pair(gold: str, answer: str) -> tuple[bool, str]:
    from math_verify import parse, verify

    return verify(parse(_as_math(gold)), parse(_as_math(answer))), ""


def their_response(gold: str, text: str) -> tuple[bool, str]:
    from math_verify import parse, verify

    return verify(parse(_as_math(gold)), parse(text)), ""


def _as_math(answer: str) -> str:
    return answer if "$" in answer or r"\(" in answer or r"\[" in answer else f"${answer}$"


def score(judge: Callable[[str, str], tuple[bool, str]], questions: Iterable[Question]) -> Score:
    result = Score()
    for gold, answer, right in questions:
        start = time.perf_counter()
        try:
            said, layer = judge(gold, answer)
        except Exception as error:  # a grader that raises has not said yes
            said, layer = False, type(error).__name__
        result.seconds.append(time.perf_counter() - start)
        result.layers[layer] += 1
        result.false_positives += said and not right
        result.false_negatives += right and not said
    return result


def forget() -> None:
    """Empty every cache of ours, so that a timing starts cold."""
    import gc

    for cached in gc.get_objects():
        if type(cached).__name__ != "_lru_cache_wrapper":
            continue
        if cached.__module__.startswith("ctm_eval") and cached.__name__ not in ("_pool", "_moduli"):
            cached.cache_clear()


def table(name: str) -> list[dict]:
    return [json.loads(line) for line in (TABLES / name).read_text().splitlines()]


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rewritten(golds: list[str]) -> list[Question]:
    return [
        *((gold, form, True) for gold in golds for form in kept(gold).values()),
        *((gold, form, False) for gold in golds for form in changed(gold).values()),
    ]


def compare(name: str, questions: list[Question], ours, theirs, every: int = 1) -> None:  # type: ignore[no-untyped-def]
    """Print one line a grader; `theirs` may be given only each `every`-th question."""
    forget()
    mine, sample = score(ours, questions), questions[::every]
    mine_on_sample = score(ours, sample) if every > 1 else mine
    other = score(theirs, sample)
    for label, result in (("ctm", mine), ("math-verify", other)):
        count = len(result.seconds)
        print(
            f"{name:28} {label:12} {count:7,} asked  "
            f"errors {result.errors:6,} ({result.errors / count:7.3%}; "
            f"{result.false_positives} false positive, {result.false_negatives} false negative)  "
            f"{result.per_second:10,.0f}/s  p50 {result.quantile(0.5) * 1e6:8,.0f} us  "
            f"p99 {result.quantile(0.99) * 1e6:9,.0f} us  max {max(result.seconds) * 1e3:8,.1f} ms",
            flush=True,
        )
    share = {k: f"{v / len(questions):.2%}" for k, v in mine.layers.most_common()}
    rate = mine_on_sample.errors / len(sample), other.errors / len(sample)
    print(
        f"{'':28} throughput x {mine.per_second / other.per_second:,.0f}; errors on the same "
        f"{len(sample):,}: {rate[0]:.3%} against {rate[1]:.3%}; settled by {share}",
        flush=True,
    )


def import_seconds(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(5)
    ]
    return min(float(run.stdout) for run in runs)


def hostile(grader: str) -> None:
    """Grade the hostile list in this process and print what it cost (run in a fresh process)."""
    from hostile import CASES

    judge = our_response if grader == "ctm" else their_response
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    if grader == "ctm":
        symbolic.warm_up()
    else:
        judge("1", "1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slow, raised, accepted, worst = [], 0, 0, 0.0
    for name, gold, answer in CASES:
        start = time.perf_counter()
        try:
            said, _ = judge(gold, rf"\boxed{{{answer}}}")
            accepted += said
        except Exception:
            raised += 1
        seconds = time.perf_counter() - start
        worst = max(worst, seconds)
        if seconds > 1:
            slow.append(name)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    alive = judge("1/2", r"\boxed{0.5}")[0]
    print(
        f"{len(CASES)} hostile inputs, {grader}: {len(slow)} over 1 s, slowest {worst:.2f} s, "
        f"{raised} raised, {accepted} accepted, {grown:,.0f} MB more, "
        f"files made {os.listdir(folder)}, answers afterwards {alive}",
        flush=True,
    )
    if slow:
        print("   over 1 s:", ", ".join(slow))


def filters(responses: list[tuple[str, str]]) -> None:
    """Print how often lm-evaluation-harness's two GSM8K filters agree with us on the same responses."""
    for name, pattern in (("strict-match", _STRICT), ("flexible-extract", _FLEXIBLE)):
        agree = ours_only = theirs_only = 0
        for gold, response in responses:
            found = pattern.findall(response)
            last = found[0 if name == "strict-match" else -1] if found else ""
            last = next((part for part in last if part), "") if isinstance(last, tuple) else last
            theirs, mine = _bare(last) == _bare(gold), grade(gold, response, "gsm8k").correct
            agree += theirs == mine
            ours_only += mine and not theirs
            theirs_only += theirs and not mine
        print(
            f"GSM8K {name:17} {len(responses):,} responses: agrees on {agree:,}, "
            f"right for us alone {ours_only:,}, for it alone {theirs_only:,}",
            flush=True,
        )


def gsm8k_responses(solutions: list[str]) -> list[tuple[str, str]]:
    """Return each solution in five forms: as it is, boxed, in words, another's, and cut short."""
    made = []
    for own, other in zip(solutions, solutions[1:] + solutions[:1], strict=True):
        work, gold = own.rsplit("####", 1)[0], gold_answer(own)
        made += [
            (gold, own),
            (gold, rf"{work}\boxed{{{gold}}}"),
            (gold, f"{work}The answer is ${gold}.00."),
            (gold, f"{work}#### {gold} dollars"),
            (gold, f"{work}#### {gold_answer(other)}"),
        ]
    return made


def _bare(answer: str) -> str:
    for ignored in (r",", r"\$", r"(?s).*#### ", r"\.$"):
        answer = re.sub(ignored, "", answer)
    return answer.lower()


_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")


def main(arguments: argparse.Namespace) -> None:
    every = 40 if arguments.quick else arguments.every
    for module in ("ctm_eval.grading", "math_verify"):
        print(f"import {module}: {import_seconds(module):.3f} s")
    pairs = [(row["gold"], row["answer"], row["equal"]) for row in table("pairs.jsonl")]
    compare("table of pairs", pairs, our_pair, their_pair, 10 if arguments.quick else 1)
    responses = [
        (row["gold"], row["text"], row["reason"] == "correct")
        for row in table("responses.jsonl")
        if row.get("finished", True) and not row.get("benchmark") and len(row["text"]) < 3000
    ]
    compare(
        "table of responses", responses, our_response, their_response, 5 if arguments.quick else 1
    )
    math500 = rows(arguments.data / "math-500" / "test.jsonl")
    gsm8k = [row["answer"] for row in rows(arguments.data / "openai-gsm8k" / "test.jsonl")]
    if not math500 or not gsm8k:
        print(f"no real benchmarks under {arguments.data}: skipped")
    else:
        filters(gsm8k_responses(gsm8k))
        golds = [row["answer"] for row in math500]
        compare("MATH500 golds, rewritten", rewritten(golds), our_pair, their_pair, every)
        numbers = [gold_answer(text) for text in gsm8k]
        compare("GSM8K golds, rewritten", rewritten(numbers), our_pair, their_pair, 4 * every)
        shifted = golds[1:] + golds[:1]
        plain = [(g, g, True) for g in golds]
        plain += [
            (g, other, matches(g, other).equal) for g, other in zip(golds, shifted, strict=True)
        ]
        compare(
            "MATH500 golds, own and next", plain, our_pair, their_pair, 10 if arguments.quick else 1
        )
        own = [(number, text, True) for number, text in zip(numbers, gsm8k, strict=True)]
        others = zip(numbers, numbers[1:], gsm8k[1:], strict=False)
        own += [(number, text, number == other) for number, other, text in others]
        compare("GSM8K responses", own, our_response, their_response, 20 if arguments.quick else 1)
        solutions = [(row["answer"], row["solution"], True) for row in math500]
        compare(
            "MATH500 responses",
            solutions,
            our_response,
            their_response,
            10 if arguments.quick else 1,
        )
    for grader in ("ctm", "math-verify"):
        try:
            subprocess.run([sys.executable, __file__, "--hostile", grader], check=True, timeout=900)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            print(f"hostile list, {grader}: did not finish ({type(error).__name__})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="give math-verify a sample only")
    parser.add_argument(
        "--every", type=int, default=1, help="give math-verify every n-th rewriting"
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--hostile", choices=["ctm", "math-verify"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # math-verify logs each time-out with its whole input
    if options.hostile:
        hostile(options.hostile)
    else:
        main(options)
