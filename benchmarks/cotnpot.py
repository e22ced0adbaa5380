"""CoTnPoT on pocket: what dropping the solutions that a program contradicts gives, and what it costs.

    python benchmarks/cotnpot.py [--quick] [--write-card]

pocket solves held-out problems, 16 times each; `pocket-coder` turns every solution into a program, and
those whose answer it does not print are dropped. Then pocket-coder's own figures on pocket-code, and how
often its description of a program says what the program does. `--write-card` renders the figures
into its card.
"""

import argparse
import re
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby

import numpy as np

from ctm_eval.benchmarks import load_problems
from ctm_eval.cotnpot import Check, check, counts, describe, filter_figures, keep
from ctm_eval.engines import Engine, Request, Sampling, load_engine
from ctm_eval.grading import grade
from ctm_eval.pair_selection import by_answer
from ctm_eval.pocket import MODELS
from ctm_eval.pocket.coder import IN_WORDS
from ctm_eval.printed import same_answer
from ctm_eval.prompts import Prompting
from ctm_eval.sandbox import Sandbox
from ctm_eval.scoring import Scorer, program_of
from ctm_eval.seeds import seed_of
from ctm_eval.types import Problem
from ctm_train.pocket import RECIPES

GREEDY, SAMPLED = Sampling(0.0), Sampling(1.0, 0.95)
MAX_NEW_TOKENS, SAMPLES = 192, 16
STEP = re.compile(r"^    \w+ = (\w+) ([-+*]|//) (\w+)$", re.MULTILINE)
PHRASE = re.compile(r"Add \w+ and \w+|(?:Subtract|Multiply|Divide) \w+ (?:from|by) \w+")


@dataclass(frozen=True)
class Solved:
    """A sampled solution, graded."""

    problem: Problem
    text: str
    token_ids: tuple[int, ...]
    answer: str | None
    correct: bool


def sample(
    engine: Engine, problems: list[Problem], n: int, sampling: Sampling
) -> list[tuple[Problem, tuple[int, ...], bool]]:
    """`n` responses a problem: (problem, token ids, whether it ended by itself)."""
    asked = [(problem, j) for problem in problems for j in range(n)]
    requests = [
        Request(Prompting().encode(engine, problem), seed_of(problem.problem_id, j), MAX_NEW_TOKENS)
        for problem, j in asked
    ]
    completions = engine.sample(requests, sampling)
    return [
        (problem, completion.token_ids, completion.finish_reason == "stop")
        for (problem, _), completion in zip(asked, completions, strict=True)
    ]


def texts(
    engine: Engine, drawn: list[tuple[Problem, tuple[int, ...], bool]]
) -> list[tuple[Problem, str, bool]]:
    """The same with texts, ready to be scored."""
    return [(problem, engine.decode(ids), finished) for problem, ids, finished in drawn]


def solve(problems: list[Problem], n: int) -> list[Solved]:
    """pocket's solutions."""
    pocket = load_engine("transformers", "pocket", device="cpu")
    solved = []
    for problem, ids, finished in sample(pocket, problems, n, SAMPLED):
        text = pocket.decode(ids)
        verdict = grade(problem.answer, text, "pocket", finished=finished)
        solved.append(Solved(problem, text, ids, verdict.answer, verdict.correct))
    return solved


def filtering(coder: Engine, problems: list[Problem], n: int, sandbox: Sandbox) -> dict[str, str]:
    """What the filter does to pocket's solutions, and what it costs."""
    solved = solve(problems, n)
    checks = check(coder, [(s.problem, s.text, s.answer) for s in solved], sandbox)
    figures = filter_figures(
        (s.problem.problem_id, s.correct, c.agrees) for s, c in zip(solved, checks, strict=True)
    )
    written = {(s.problem.problem_id, s.text): c for s, c in zip(solved, checks, strict=True)}
    own = [
        c.printed is not None and same_answer(s.problem.answer, c.printed)
        for s, c in zip(solved, checks, strict=True)
    ]
    kept = [s for s, is_kept in zip(solved, kept_ones(solved, checks), strict=True) if is_kept]
    tokens = [sum(len(x.token_ids) for x in these) for these in (solved, written.values(), checks)]
    low, high = interval(solved, checks)
    results = ", ".join(f"{name} {n}" for name, n in counts(checks).items() if n)
    return {
        "solutions": f"{figures.solutions:,} of {figures.problems} problems",
        "right solutions, unfiltered": f"{figures.accuracy:.1%}",
        "right solutions among the kept": f"{figures.precision:.1%} ({low:+.1%} to {high:+.1%})",
        "kept": f"{figures.kept:.1%}",
        "right solutions that are kept": f"{figures.recall:.1%}",
        "problems that lose every right solution": f"{figures.recall_lost:.1%}",
        "problems that keep all, none agreeing": f"{figures.fallbacks}",
        "results": results,
        "majority vote: of all, of the kept": f"{majority(solved):.1%}, {majority(kept):.1%}",
        "programs that print the problem's own answer": f"{np.mean(own):.1%}",
        "tokens of the solutions": f"{tokens[0]:,}",
        "tokens of the programs": f"{tokens[1]:,} for {len(written):,} different solutions; "
        f"{tokens[2]:,} if each were asked about",
    }


def kept_ones(solved: list[Solved], checks: list[Check]) -> list[bool]:
    """Which solutions are kept; those of a problem stand together."""
    kept: list[bool] = []
    for _, group in groupby(zip(solved, checks, strict=True), lambda x: x[0].problem.problem_id):
        kept += keep([c for _, c in group])
    return kept


def majority(solved: list[Solved]) -> float:
    """How often the most frequent answer is right."""
    groups = [list(g) for _, g in groupby(solved, lambda s: s.problem.problem_id)]
    votes = [by_answer(group) for group in groups]
    return float(np.mean([bool(vote) and vote[0][0].correct for vote in votes]))


def interval(solved: list[Solved], checks: list[Check], draws: int = 2000) -> tuple[float, float]:
    """95% of the gain in precision, problems drawn with replacement."""
    rows: dict[str, list[tuple[str, bool, bool]]] = {}
    for s, c in zip(solved, checks, strict=True):
        key = s.problem.problem_id
        rows.setdefault(key, []).append((key, s.correct, c.agrees))
    parts = [filter_figures(problem) for problem in rows.values()]
    n = np.array([p.solutions for p in parts], float)
    kept = n * np.array([p.kept for p in parts], float)
    right = n * np.array([p.accuracy for p in parts], float)
    kept_right = kept * np.array([p.precision for p in parts], float)
    chosen = np.random.default_rng(0).integers(len(parts), size=(draws, len(parts)))
    before = right[chosen].sum(1) / n[chosen].sum(1)
    after = kept_right[chosen].sum(1) / kept[chosen].sum(1)
    low, high = np.quantile(after - before, [0.025, 0.975])
    return float(low), float(high)


def coding(coder: Engine, tasks: list[Problem], n: int) -> dict[str, str]:
    """How often pocket-coder's programs pass, and whether its descriptions are true."""
    with Scorer() as scorer:
        greedy = texts(coder, sample(coder, tasks, 1, GREEDY))
        passed = [verdict.correct for verdict in scorer.score(greedy)]
        sampled = scorer.score(texts(coder, sample(coder, tasks, n, SAMPLED)))
    right = np.array([verdict.correct for verdict in sampled]).reshape(len(tasks), n)
    items = [(problem, code) for problem, text, _ in greedy if (code := program_of(text))]
    told = [
        says(description, code)
        for description, (_, code) in zip(describe(coder, items), items, strict=True)
    ]
    return {
        "tasks": f"{len(tasks)}",
        "greedy pass rate": f"{np.mean(passed):.1%}",
        "sampled pass rate": f"{right.mean():.1%}",
        f"pass@{n}": f"{right.any(1).mean():.1%}",
        "descriptions that say every step of the program": f"{np.mean(told):.1%}",
    }


def says(description: str, code: str) -> bool:
    """Whether a description names the operation and the operands of every step, in order, and no more."""
    steps = STEP.findall(code)
    wanted = [IN_WORDS[op[0]].format(left, right) for left, op, right in steps]
    return bool(wanted) and PHRASE.findall(description) == wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="problems that nothing was tuned on")
    parser.add_argument("--coder", default="pocket-coder")
    parser.add_argument("--split", default="test")
    parser.add_argument("--quick", action="store_true", help="24 problems: does it run?")
    parser.add_argument("--write-card", action="store_true")
    options = parser.parse_args()
    count = 24 if options.quick else options.problems
    coder = load_engine("transformers", options.coder, device="cpu")
    given = {"split": options.split, "limit": count, "seed": options.seed}
    with Sandbox() as sandbox:
        filtered = filtering(coder, load_problems("pocket", **given), SAMPLES, sandbox)
    coded = coding(coder, load_problems("pocket-code", **given), SAMPLES)
    print(table(filtered), table(coded), sep="\n\n")
    if options.write_card:
        tables = {"filtered": table(filtered), "coded": table(coded)}
        (MODELS["pocket-coder"] / "README.md").write_text(render_card(tables))


def table(figures: dict[str, str]) -> str:
    """The rows of a Markdown table of two columns."""
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in figures.items())])


def render_card(tables: dict[str, str]) -> str:
    """The card of pocket-coder with these tables."""
    card = (files("ctm_cards") / "pocket-coder.md.j2").read_text(encoding="utf-8")
    for name, text in {**tables, "rows": f"{RECIPES['coder'].rows:,}"}.items():
        card = card.replace(f"{{{{ {name} }}}}", text)
    return card


if __name__ == "__main__":
    main()
