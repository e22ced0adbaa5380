"""The figures of an evaluation, computed from graded samples: as a table, lm-eval JSON, or one line."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ctm_eval.cotnpot import Filter, filter_counts, filter_figures
from ctm_eval.errors import CtmError
from ctm_eval.metrics import Comparison, Estimate, clustered, maj_at_k, paired, pass_at_k
from ctm_eval.pair_selection import by_answer
from ctm_eval.types import Solution
from ctm_eval.voting import best_of_k, weighted_at_k

SEPARATE = (
    "no_answer",
    "truncated",
    "unfinished_thought",
    "timeout",
    "refused",
    "unparsed",
)  # counted apart from `wrong`


class UnevenSamples(CtmError):
    """Problems have different numbers of samples, or there are none: an evaluation is not finished."""


@dataclass(frozen=True)
class Results:
    """The figures over `problems` problems with `samples` samples each.

    `accuracy` is avg@n, the mean share of correct samples. `pass_at` and `maj_at` map every k up to n to
    its figure; `maj_at` is empty for programs, which have no answers to vote with. `chosen` holds the
    figures of verifiers and CoTnPoT, by name (`best`, `weighted`, `cotnpot maj`, …) and k. `filters`
    describes by coder what CoTnPoT keeps. `reasons` counts the verdicts of all samples, `suspicious` the
    programs that did what an honest one would not; None where none was run, or the run is older.
    """

    problems: int
    samples: int
    accuracy: Estimate
    pass_at: Mapping[int, Estimate]
    maj_at: Mapping[int, Estimate]
    reasons: Mapping[str, int]
    chosen: Mapping[str, Mapping[int, Estimate]] = field(default_factory=dict)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    suspicious: int | None = None


@dataclass(frozen=True)
class Sampled:
    """The samples of one problem, with what was said of each, in their order.

    `scores` has the (score, weight in a vote) by verifier, `kept` by coder whether its program agrees.
    Verifiers and coders are the same for all problems of an evaluation.
    """

    samples: Sequence[Solution]
    scores: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    kept: Mapping[str, Sequence[bool]] = field(default_factory=dict)


def measure(problems: Iterable[Sampled], *, programs: bool = False) -> Results:
    """The figures of graded samples; every problem must have the same number of samples.

    Problems are taken one by one, and of each only its numbers are held. Raises UnevenSamples, a CtmError,
    if there are no samples or the numbers per problem differ.
    """
    sizes: set[int] = set()
    right: list[int] = []
    reasons: Counter[str] = Counter()
    ran: Counter[bool] = Counter()  # programs, by whether they are suspicious
    filters: defaultdict[str, Counter[str]] = defaultdict(Counter)
    majorities = array("d")
    chosen: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
    for one in problems:
        own = one.samples
        sizes.add(len(own))
        if len(sizes) > 1:
            continue  # there will be no figures
        right.append(sum(sample.correct for sample in own))
        reasons.update(sample.verdict for sample in own)
        ran.update(bool(s.suspicious) for s in own if s.suspicious is not None)
        for coder, agrees in one.kept.items():
            marks = [(s.correct, agree) for s, agree in zip(own, agrees, strict=True)]
            filters[coder].update(filter_counts(marks))
        if not programs:
            majorities.extend(maj_at_k(*votes(own)))
        for name, at in choices(one, programs).items():
            chosen[name].extend(at)
    if len(sizes) != 1:
        what = f"{min(sizes)} to {max(sizes)} samples a problem" if sizes else "no samples"
        raise UnevenSamples(
            f"there are {what}: figures need the same number of samples for every problem"
        )
    n = sizes.pop()
    ks = range(1, n + 1)
    return Results(
        problems=len(right),
        samples=n,
        accuracy=clustered([correct / n for correct in right], n),
        pass_at={k: clustered([pass_at_k(n, c, k) for c in right], n // k) for k in ks},
        maj_at={} if programs else _curve(majorities, n),
        reasons=dict(reasons.most_common()),
        suspicious=ran[True] if ran else None,
        filters={coder: filter_figures(counts) for coder, counts in filters.items()},
        chosen={name: _curve(chances, n) for name, chances in chosen.items()},
    )


def _curve(chances: "array[float]", n: int) -> dict[int, Estimate]:
    """The estimate at every k from the problems' chances at k = 1 to n, one problem after the other."""
    at = np.array(chances).reshape(-1, n)
    return {k: clustered(at[:, k - 1], n // k) for k in range(1, n + 1)}


def choices(one: Sampled, programs: bool) -> dict[str, list[float]]:
    """For every way to choose among a problem's samples, by name: the probability that the chosen answer
    is right at k = 1 to n."""
    own = one.samples
    group_of = {s.solution_id: i for i, group in enumerate(by_answer(own)) for s in group}
    answers = [group_of.get(s.solution_id) for s in own]
    correct = [float(s.correct) for s in own]
    filters: dict[str, Sequence[bool] | None] = {"": None}
    for coder, agrees in one.kept.items():
        of = f" ({coder})" if len(one.kept) > 1 else ""
        filters[f"cotnpot{of} "] = agrees
    found: dict[str, list[float]] = {}
    for prefix, keep in filters.items():
        if prefix and not programs:
            found[f"{prefix}maj"] = weighted_at_k(answers, correct, [1.0] * len(own), keep)
        for verifier, scores in one.scores.items():
            of = f" ({verifier})" if len(one.scores) > 1 else ""
            values, weights = zip(*scores, strict=True)
            found[f"{prefix}best{of}"] = best_of_k(correct, values, keep)
            if not programs:
                found[f"{prefix}weighted{of}"] = weighted_at_k(answers, correct, weights, keep)
    return found


SELECT = {
    "first": "avg",
    "majority": "maj",
    "best-of-n": "best",
    "weighted": "weighted",
    "oracle": "pass",
}


def shown(results: Results, select: str | None = None) -> dict[str, Estimate]:
    """The figures to print: accuracy, then pass@k, maj@k and so on, for n and powers of two.

    `select`, one of `SELECT`, keeps only the figures of one way to choose among k samples. Raises CtmError
    if the run has no such figures.
    """
    ks = [k for k in results.pass_at if k == results.samples or k & (k - 1) == 0]
    table = {"accuracy" if results.samples == 1 else f"avg@{results.samples}": results.accuracy}
    if results.samples > 1:
        table |= {f"pass@{k}": results.pass_at[k] for k in ks}
        table |= {f"maj@{k}": results.maj_at[k] for k in ks if k in results.maj_at and k > 2}
        for name, at in results.chosen.items():
            table |= {f"{name}@{k}": at[k] for k in ks if k > 1}
    if select is None:
        return table
    if select not in SELECT:
        raise CtmError(f"unknown --select {select!r}; there are: {', '.join(SELECT)}", usage=True)
    if select == "first":
        return dict(list(table.items())[:1])
    kind = SELECT[select]
    left = {name: e for name, e in table.items() if kind in name.partition("@")[0].split()}
    if not left:
        needs = {"maj": "answers to vote with and --n above 2", "pass": "--n above 1"}
        raise CtmError(
            f"--select {select} needs {needs.get(kind, '--n and --verifier')}", usage=True
        )
    return left


def paired_by_problem(
    first: Iterable[tuple[str, bool]], second: Iterable[tuple[str, bool]]
) -> Comparison:
    """The paired test of two runs on the problems that both have, from (problem id, whether it is right) of
    their samples. Raises CtmError if they share none."""
    tallies: list[dict[str, tuple[int, int]]] = []
    for samples in (first, second):
        tally: dict[str, tuple[int, int]] = {}
        for problem_id, right in samples:
            correct, n = tally.get(problem_id, (0, 0))
            tally[problem_id] = (correct + right, n + 1)
        tallies.append(tally)
    common = [problem for problem in tallies[0] if problem in tallies[1]]
    if not common:
        raise CtmError("the two runs have no problem in common", usage=True)
    return paired([tallies[0][p] for p in common], [tallies[1][p] for p in common])


def lm_eval(
    results: Results, recipe: Mapping[str, Any], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """The figures in the format of lm-evaluation-harness' results files. What the format has no place for,
    such as the intervals, is under `ctm`. It contains no date, so equal runs give equal files."""
    task, figures = str(recipe["benchmark"]), _named(results)
    flat: dict[str, Any] = {"alias": task}
    for name, estimate in figures.items():
        flat |= {f"{name},none": estimate.value, f"{name}_stderr,none": _number(estimate.stderr)}
    shots = recipe.get("few_shot", 0)
    greedy = recipe["temperature"] == 0
    return {
        "results": {task: flat},
        "group_subtasks": {task: []},
        "configs": {
            task: {
                "task": task,
                "dataset_path": extra.get("dataset") or recipe.get("data_file") or task,
                "dataset_kwargs": {"revision": recipe.get("revision")},
                "test_split": recipe["split"],
                "num_fewshot": shots,
                "repeats": results.samples,
                "output_type": "generate_until",
                "generation_kwargs": {
                    "do_sample": not greedy,
                    "temperature": recipe["temperature"],
                    "top_p": recipe["top_p"],
                    "max_gen_toks": recipe["max_new_tokens"],
                },
            }
        },
        "versions": {task: 1},
        "n-shot": {task: shots},
        "higher_is_better": {task: dict.fromkeys(figures, True)},
        "n-samples": {task: {"original": results.problems, "effective": results.problems}},
        "config": {
            "model": recipe["engine"],
            "model_args": f"pretrained={recipe['model']}",
            "limit": recipe.get("limit"),
            "random_seed": recipe["seed"],
        },
        "ctm": {
            **extra,
            "recipe": dict(recipe),
            "verdicts": dict(results.reasons),
            "suspicious": results.suspicious,
            "cotnpot": {coder: asdict(filtered) for coder, filtered in results.filters.items()},
            "intervals_95": {name: [e.low, e.high] for name, e in figures.items()},
        },
    }


def markdown(results: Results, recipe: Mapping[str, Any]) -> str:
    """A table row for a model card: benchmark, prompt and decoding, figure with its interval, n."""
    name, estimate = next(iter(shown(results).items()))
    shots = "chat" if recipe.get("chat") else f"{recipe.get('few_shot', 0)}-shot"
    how = "greedy" if recipe["temperature"] == 0 else f"T={recipe['temperature']}"
    interval = f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"
    return (
        f"| {recipe['benchmark']} | {shots}, {how} | {name} | {interval} | {results.problems:,} |"
    )


def _named(results: Results) -> dict[str, Estimate]:
    """Every figure by its name in lm-evaluation-harness."""
    main = "exact_match" if results.maj_at else "pass_at_1"
    return {
        main: results.accuracy,
        **{f"pass@{k}": e for k, e in results.pass_at.items()},
        **{f"maj@{k}": e for k, e in results.maj_at.items()},
        **{f"{name}@{k}": e for name, at in results.chosen.items() for k, e in at.items()},
    }


def votes(own: Sequence[Solution]) -> tuple[list[tuple[int, float]], int]:
    """The arguments of `maj_at_k` for the samples of one problem."""
    groups = by_answer(own)
    votes = [(len(group), sum(s.correct for s in group) / len(group)) for group in groups]
    return votes, len(own) - sum(len(group) for group in groups)


def _number(value: float) -> float | str:
    return value if value == value else "N/A"  # how the harness writes a missing standard error
