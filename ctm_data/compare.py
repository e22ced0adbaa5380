"""How well cheap scores find the tokens that rollouts find: contrastive estimation (CE), and what the
policy itself says of a token.

The tokens of every wrong trajectory that has both CE scores and rollouts are ranked, most suspicious first:
by CE (low s_t), by surprisal (low probability under the rollout policy), by the entropy of the policy's
distribution there, by the margin between its two likeliest tokens (small is suspicious), or at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctm_data.pages.reliability import reliability
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

RELIABILITY = "same label in a second run"
MEASURES = ("correlation", "auc", "hit@1", "hit@3", "hit@5", "hit@10%")
SCORES = ("CE", "surprisal", "entropy", "margin")
ROUNDS = 2000


class NothingToCompare(CtmError):
    """No trajectory has a critical token and scores to compare it with."""


@dataclass(frozen=True)
class Trajectory:
    """A wrong trajectory of T tokens: its suspicion by each score (higher is more suspicious; older
    runs lack some), the drop of the value at every token (NaN where it was not estimated), and
    its critical token."""

    suspicion: dict[str, np.ndarray]
    drop: np.ndarray
    critical_index: int


@dataclass(frozen=True)
class Agreement:
    """The mean of a measure over `n` trajectories with its 95% bootstrap interval over them."""

    measure: str
    ranking: str
    mean: float
    low: float
    high: float
    n: int


def compare(run: str, *, seed: int = 0, most: int | None = None) -> list[Agreement]:
    """Every measure for CE, surprisal, entropy, margin and chance, and for CE minus each of the cheap ones.

    `correlation` is Spearman's rank correlation of suspicion and value drop. `auc` is the probability
    that the critical token is more suspicious than another token. `hit@k` is how often the critical token
    is among the k most suspicious tokens, `hit@10%` among a tenth of the tokens (rounded up). Ties count
    as if broken at random.
    Entropy and margin are left out if a trajectory of the run has none. Of more than `most` trajectories,
    so many are taken at random.

    RELIABILITY is how often two runs give the same critical token, predicted from the rollouts and checked
    by a second run, with an interval over problems. Raises CtmError if there is nothing to measure.
    """
    trajectories = read(Store(run))
    labels = [
        Agreement(RELIABILITY, how, own.share, own.low, own.high, own.trajectories)
        for how, own in zip(("predicted", "checked"), reliability(Store(run)), strict=True)
        if own
    ]
    if not trajectories and labels:
        return labels
    if not trajectories:
        raise NothingToCompare(
            f"{run} has no trajectory with a critical token and CE scores: run `ctm build-dataset "
            f"--output-dir {run}` with the stages rollouts and contrast",
            usage=True,
        )
    rng = np.random.default_rng(seed)
    if most is not None and len(trajectories) > most:
        chosen = np.sort(rng.choice(len(trajectories), most, replace=False))
        trajectories = [trajectories[i] for i in chosen]
    scores = [name for name in SCORES if all(name in t.suspicion for t in trajectories)]
    per_trajectory = {
        name: np.array([measures(t.suspicion[name], t) for t in trajectories]) for name in scores
    }
    per_trajectory["chance"] = np.array([measures(np.zeros(len(t.drop)), t) for t in trajectories])
    per_trajectory["chance"][:, 0] = 0.0  # the correlation of a random order, on average
    for name in scores[1:]:
        per_trajectory[f"CE - {name}"] = per_trajectory["CE"] - per_trajectory[name]
    resamples = rng.integers(len(trajectories), size=(ROUNDS, len(trajectories)))
    return [
        _agreement(measure, ranking, values[:, column], resamples)
        for column, measure in enumerate(MEASURES)
        for ranking, values in per_trajectory.items()
    ] + labels


def read(store: Store) -> list[Trajectory]:
    """The rolled-out trajectories of a run that have a critical token and CE scores."""
    scores: dict[str, list[float] | None] = {}
    for part in store.each("contrast", ["rejected_id", "rejected_ce"]):
        scores |= {row["rejected_id"]: row["rejected_ce"] for row in part.to_pylist()}
    found = []
    columns = ["keep_prob", "entropy", "margin", "value"]
    wanted = ["solution_id", "prompt_value", "critical_index", *columns]
    for part in store.each("rollouts", wanted):
        for row in part.to_pylist():
            ce = scores.get(row["solution_id"])
            if ce is None or row["critical_index"] is None or row["critical_index"] >= len(ce):
                continue
            # Behind the scored tokens is a stop string, which is no part of the pair.
            ce = ce[: len(row["keep_prob"])]
            for name in columns:
                row[name] = row[name] and row[name][: len(ce)]
            suspicion = {"CE": -np.array(ce), "surprisal": -np.array(row["keep_prob"])}
            if row["entropy"] and row["margin"]:
                suspicion["entropy"] = np.array(row["entropy"])
                suspicion["margin"] = -np.array(row["margin"])
            curve = np.array([row["prompt_value"], *row["value"]], dtype=float)
            found.append(
                Trajectory(
                    suspicion=suspicion,
                    drop=-np.diff(curve),
                    critical_index=row["critical_index"],
                )
            )
    return found


def measures(suspicion: np.ndarray, trajectory: Trajectory) -> list[float]:
    """The MEASURES of one ranking of one trajectory, in order; NaN where a measure is undefined."""
    own = suspicion[trajectory.critical_index]
    above = int((suspicion > own).sum())
    tied = int((suspicion == own).sum())  # includes the critical token itself
    others = len(suspicion) - 1
    auc = 1 - (above + (tied - 1) / 2) / others if others else float("nan")
    tenth = -(-len(suspicion) // 10)
    hits = [min(1.0, max(0.0, (k - above) / tied)) for k in (1, 3, 5, tenth)]
    return [_correlation(suspicion, trajectory.drop), auc, *hits]


def _correlation(suspicion: np.ndarray, drop: np.ndarray) -> float:
    from scipy.stats import rankdata

    seen = ~np.isnan(drop)
    if len(set(suspicion[seen])) < 2 or len(set(drop[seen])) < 2:
        return float("nan")
    return float(np.corrcoef(rankdata(suspicion[seen]), rankdata(drop[seen]))[0, 1])


def _agreement(
    measure: str, ranking: str, values: Sequence[float] | np.ndarray, resamples: np.ndarray
) -> Agreement:
    values = np.asarray(values)
    known = ~np.isnan(values)
    filled, weight = np.where(known, values, 0.0), known.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = filled[resamples].sum(1) / weight[resamples].sum(1)
        mean = filled.sum() / weight.sum()
    low, high = np.nanquantile(means, [0.025, 0.975]) if known.any() else (np.nan, np.nan)
    return Agreement(measure, ranking, float(mean), float(low), float(high), int(known.sum()))
