"""Kinds of tokens that move the value: cliff tokens by what the policy thought of them, pivotal by sign.

Cliff tokens (arXiv 2606.25524): `deterministic` is the policy's likeliest token where it is nearly sure
(entropy at most that of a coin of 0.99), `uncertain` its likeliest where it is not, `sampled-off` any other
token. Theirs is the entropy of the model itself; ours that of what the token was drawn from, after
temperature and top-p.

Pivotal tokens (Phi-4, arXiv 2412.08905, and `pts`): the value rises by 0.2 or more (`positive`), or falls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Literal

import numpy as np

from ctm_data.estimator.critical import cliff, pivotal
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError
from ctm_eval.metrics import Estimate, pooled

Cliff = Literal["deterministic", "uncertain", "sampled-off"]
SURE = -0.99 * log(0.99) - 0.01 * log(0.01)  # nats: 0.0560
ROLLOUTS = 64  # behind a value, where a run does not say (arXiv 2606.25524)
KINDS = {
    "cliff": ("deterministic", "uncertain", "sampled-off"),
    "pivotal": ("positive", "negative"),
}


@dataclass(frozen=True)
class Kind:
    """The `tokens` of a kind among those that a rule marks, their share of these with its interval over
    problems, and by how much the value drops on average (negative where it rises).

    `of_all` is the share of the kind among all tokens of the trajectories, None for pivotal ones.
    """

    rule: str
    kind: str
    tokens: int
    share: Estimate | None
    drop: float | None
    of_all: float | None


def kinds(run: str) -> list[Kind]:
    """The kinds of cliff and pivotal tokens of a run, by whatever rule it was made, in the order of KINDS.

    Trajectories whose curve is not whole (label-only runs) are left out. Raises CtmError if none is left,
    or for a run whose policy left no entropy.
    """
    store = Store(run)
    recipe = store.manifest["recipe"]
    n = recipe.get("n_rollouts") or ROLLOUTS
    marked: dict[str, dict[str, list[tuple[str, float]]]] = {rule: {} for rule in KINDS}
    every: list[str] = []
    columns = ["problem_id", "token_ids", "prompt_value", "value", "entropy", "greedy_id"]
    for part in store.each("rollouts", columns):
        for row in part.to_pylist():
            if row["prompt_value"] is None or None in row["value"]:
                continue
            if not row["entropy"] or not row["greedy_id"]:
                raise CtmError(
                    f"{run} has no entropy of its tokens: it was made by an older version, make it anew",
                    usage=True,
                )
            curve = np.array([row["prompt_value"], *row["value"]])
            drop = -np.diff(curve)
            own = of_cliffs(row)
            every += own
            signs = ["negative" if fall > 0 else "positive" for fall in drop]
            for rule, at, names in (
                ("cliff", cliff(curve, n), own),
                ("pivotal", pivotal(curve), signs),
            ):
                found = marked[rule].setdefault(row["problem_id"], [])
                found += [(names[i], float(drop[i])) for i in at]
    if not every:
        raise CtmError(
            f"{run} has no whole curves: run its `ctm build-dataset` with --stages rollouts, without "
            "--label-only",
            usage=True,
        )
    return [
        _kind(rule, name, list(marked[rule].values()), every if rule == "cliff" else None)
        for rule, names in KINDS.items()
        for name in names
    ]


def of_cliffs(row: Mapping[str, Any]) -> list[Cliff]:
    """The kind that each token of a row of `rollouts` would be if the value fell with it."""
    return [
        "sampled-off" if token != greedy else "deterministic" if entropy <= SURE else "uncertain"
        for token, greedy, entropy in zip(
            row["token_ids"], row["greedy_id"], row["entropy"], strict=True
        )
    ]


def _kind(
    rule: str,
    name: str,
    problems: Sequence[Sequence[tuple[str, float]]],
    every: Sequence[str] | None,
) -> Kind:
    some = [own for own in problems if own]
    drops = [drop for own in some for kind, drop in own if kind == name]
    hits = [sum(kind == name for kind, _ in own) for own in some]
    return Kind(
        rule=rule,
        kind=name,
        tokens=len(drops),
        share=pooled(hits, [len(own) for own in some]) if some else None,
        drop=float(np.mean(drops)) if drops else None,
        of_all=None if every is None else every.count(name) / len(every),
    )
