"""The figures of a run that the final summary and the card show."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ctm_data.pages.reliability import Reliability, reliability
from ctm_data.run.store import Store
from ctm_eval.pair_selection import left_out

VERDICTS = ("truncated", "unfinished_thought", "no_answer")  # told beside right and wrong
CONFIDENT = 0.8  # a critical_prob that is called confident
SOLUTIONS = [
    "solution_id",
    "thought_end",
    "problem_id",
    "correct",
    "verdict",
    "suspicious",
    "token_ids",
]
ROLLOUTS = ["solution_id", "problem_id", "token_ids", "critical_index", "critical_prob", "prompt_value",
            "generated_tokens", "replacement_tokens", "repeat_tokens"]  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """The contents of a run, counted from its tables.

    `suspicious` counts programs that did what an honest one would not. `hopeless` counts trajectories
    whose value was 0 before their first token. That token is then the critical one, which says more
    about the problem than about the token. `confident` counts trajectories whose critical token has a
    probability of CONFIDENT or more. `reliability` is how often two runs give the same critical token,
    predicted from the rollouts and checked by a second run, None where there is none.
    `exhaustive_tokens` is the number of tokens that N rollouts after every token would generate, if
    each were as long as the rest of its trajectory. `generators` maps each generator to its numbers of
    right and wrong rows in the `verifier` table. `asked` is how the questions were put to the model,
    None for data of others. `left_out` counts the problems that were not rolled out by reason. `thoughts`
    counts the solutions with a thought, `in_thought` the critical tokens that are part of one.
    """

    problems: int
    solutions: int
    correct: int
    truncated: int
    unfinished_thought: int
    thoughts: int
    in_thought: int
    no_answer: int
    suspicious: int
    trajectories: int
    critical: int
    hopeless: int
    confident: int
    pairs: int
    solution_tokens: int
    rollout_tokens: int
    replacement_tokens: int
    repeat_tokens: int
    exhaustive_tokens: int
    generators: dict[str, tuple[int, int]]
    asked: str | None
    left_out: dict[str, int]
    reliability: dict[str, Reliability | None]

    @property
    def generated_tokens(self) -> int:
        """All tokens drawn: for the solutions, the values, the replacements and the second runs."""
        values = self.rollout_tokens + self.repeat_tokens
        return self.solution_tokens + values + self.replacement_tokens

    @property
    def accuracy(self) -> float | None:
        """Share of sampled solutions that are correct; None if there are none."""
        return self.correct / self.solutions if self.solutions else None


def summarize(store: Store) -> Summary:
    """The figures of a run, finished or not."""
    import pyarrow.compute as pc

    recipe = store.manifest["recipe"]
    counts: Counter[str] = Counter()
    labels: Counter[tuple[str, bool]] = Counter()
    for part in store.each("verifier", ["generator", "correct"]):
        labels.update(zip(*(column.to_pylist() for column in part.columns), strict=True))
    names = sorted({name for name, _ in labels})
    generators = {name: (labels[name, True], labels[name, False]) for name in names}
    counts["pairs"] = sum(part.num_rows for part in store.each("contrast", ["pair_id"]))
    counts["problems"] = sum(part.num_rows for part in store.each("problems", ["problem_id"]))
    n = recipe.get("n_rollouts", 0)
    reasons: Counter[str] = Counter()
    for chunk in sorted({*store.chunks("solutions"), *store.chunks("rollouts")}):
        part = store.part("solutions", chunk, SOLUTIONS)
        thinks = part.filter(pc.is_valid(part["thought_end"]))
        ends = zip(
            thinks["solution_id"].to_pylist(), thinks["thought_end"].to_pylist(), strict=True
        )
        thought_ends = dict(ends)
        tried = Counter(part["problem_id"].to_pylist())
        solved = Counter(part.filter(part["correct"])["problem_id"].to_pylist())
        counts["thoughts"] += len(thought_ends)
        counts["solutions"] += part.num_rows
        counts["correct"] += pc.sum(part["correct"]).as_py() or 0
        counts["solution_tokens"] += pc.sum(pc.list_value_length(part["token_ids"])).as_py() or 0
        counts.update(v for v in part["verdict"].to_pylist() if v in VERDICTS)
        counts["suspicious"] += sum(map(bool, part["suspicious"].to_pylist()))
        part = store.part("rollouts", chunk, ROLLOUTS)
        rolled = set(part["problem_id"].to_pylist())
        lengths = pc.list_value_length(part["token_ids"]).to_pylist()
        counts["trajectories"] += part.num_rows
        counts["critical"] += part.num_rows - part["critical_index"].null_count
        named = zip(
            part["solution_id"].to_pylist(), part["critical_index"].to_pylist(), strict=True
        )
        counts["in_thought"] += sum(
            at is not None and at < thought_ends.get(name, 0) for name, at in named
        )
        counts["hopeless"] += part["prompt_value"].to_pylist().count(0.0)
        counts["confident"] += sum(
            max(prob, default=0.0) >= CONFIDENT
            for prob in part["critical_prob"].to_pylist()
            if prob
        )
        counts["rollout_tokens"] += pc.sum(part["generated_tokens"]).as_py() or 0
        counts["replacement_tokens"] += pc.sum(part["replacement_tokens"]).as_py() or 0
        counts["repeat_tokens"] += pc.sum(part["repeat_tokens"]).as_py() or 0
        counts["exhaustive_tokens"] += sum(n * length * (length + 1) // 2 for length in lengths)
        if "trajectories" in recipe and not generators:
            reasons.update(
                _why_not(recipe, solved[name], tried[name]) for name in tried if name not in rolled
            )
    numbers = {f.name: counts[f.name] for f in fields(Summary) if f.type is int}
    asked = how_asked(recipe)
    both = dict(zip(("predicted", "checked"), reliability(store), strict=True))
    return Summary(
        **numbers,
        generators=generators,
        asked=asked,
        left_out=dict(sorted(reasons.items())),
        reliability=both,
    )


def _why_not(recipe: Mapping[str, Any], right: int, samples: int) -> str:
    """Why nothing of a problem was rolled out."""
    rate = recipe.get("pass_rate", (0.0, 1.0))
    reason = left_out(right, samples, None if rate is None else (rate[0], rate[1]))
    if reason:
        return reason
    if recipe.get("of", "wrong") == "right":
        return "never solved"
    return "always solved" if right == samples else "no wrong sample with an answer"


def how_asked(recipe: Mapping[str, Any]) -> str | None:
    """How a run's questions were put to its models, in words; None if no model was asked."""
    if "model" not in recipe:
        return None
    chat, shots = recipe.get("chat"), recipe.get("few_shot")
    counted = f"{shots} shot{'s' if shots != 1 else ''}" if shots else None
    return ", ".join(filter(None, ("chat" if chat else None, counted))) or "zero-shot"
