"""How well cheap scores find the tokens that rollouts find: contrastive estimation (CE), what the policy
itself says of a token, and the value drop of a curve made of few rollouts.

The tokens of every wrong trajectory with a critical token are ranked, most suspicious first: by CE (low
s_t), by surprisal (low probability under the rollout policy), by the entropy of the policy's distribution
there, by the margin between its two likeliest tokens (small is suspicious), by how much the value drops
on a curve of its own, or at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ctm_data.pages.reliability import reliability
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError
from ctm_eval.progress import Counter, Progress
from ctm_eval.seeds import seed_of

RELIABILITY = "same label in a second run"
COST = "tokens generated"
MEASURES = ("correlation", "auc", "mrr", "hit@1", "hit@3", "hit@5", "hit@10%")
DROP = "value drop"
SCORES = ("CE", "surprisal", "entropy", "margin", DROP)
ROUNDS = 2000
AT_ONCE = 16  # trajectories rolled out together


class NothingToCompare(CtmError):
    """No trajectory has a critical token."""


@dataclass(frozen=True)
class Trajectory:
    """A wrong trajectory of T tokens: its suspicion by each score (higher is more suspicious; not every
    run has all), the drop of the value at every token (NaN where it was not estimated), its critical
    token, and the tokens that its rollouts generated."""

    suspicion: dict[str, np.ndarray]
    drop: np.ndarray
    critical_index: int
    problem_id: str = ""
    solution_id: str = ""
    generated: int = 0


@dataclass(frozen=True)
class Agreement:
    """The mean of a measure over `n` trajectories with its 95% bootstrap interval over their problems."""

    measure: str
    ranking: str
    mean: float
    low: float
    high: float
    n: int


def compare(
    run: str,
    *,
    curve: int | None = None,
    seed: int = 0,
    most: int | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> list[Agreement]:
    """Every measure for CE, surprisal, entropy, margin and chance, and for CE minus each of the others.

    `correlation` is Spearman's rank correlation of suspicion and value drop. `auc` is the probability
    that the critical token is more suspicious than another token, `mrr` the mean of one over its rank.
    `hit@k` is how often the critical token is among the k most suspicious tokens, `hit@10%` among a tenth
    of the tokens (rounded up). Ties count as if broken at random.
    CE is measured on the trajectories that have its scores, and then all else too; if none has, it is left
    out, and so are entropy and margin if one has none. Of more than `most` trajectories, so many are taken
    at random.

    With `curve`, every trajectory is rolled out once more by the run's model, with so many rollouts behind
    a value, and the drop of this second curve is a score too. Its draws are its own: none is behind the
    label. COST is what rollouts generated for a trajectory, for its label and for this curve.

    RELIABILITY is how often two runs give the same critical token, predicted from the rollouts and checked
    by a second run, with an interval over problems. Raises CtmError if there is nothing to measure.
    """
    rng = np.random.default_rng(seed)
    trajectories = read(Store(run), most, rng)
    labels = [
        Agreement(RELIABILITY, how, own.share, own.low, own.high, own.trajectories)
        for how, own in zip(("predicted", "checked"), reliability(Store(run)), strict=True)
        if own
    ]
    if not trajectories and labels:
        return labels
    if not trajectories:
        how = f"run `ctm build-dataset --output-dir {run}` with the stages rollouts and contrast"
        recipe = Store(run).manifest["recipe"]
        if recipe.get("command") == "eval":
            how = "it is an evaluation; `ctm build-dataset` makes a run that has them"
        elif "model" not in recipe:
            how = "it holds the data of others, without rollouts and contrastive scores"
        raise NothingToCompare(
            f"{run} has no trajectory with a critical token: {how}",
            usage=True,
        )
    costs = {}
    if curve:
        trajectories, spent = _with_drops(Store(run), trajectories, curve, seed, device, progress)
        costs = {"label": [one.generated for one in trajectories], f"{DROP}, N = {curve}": spent}
    scores = [name for name in SCORES if all(name in t.suspicion for t in trajectories)]
    per_trajectory = {
        name: np.array([measures(t.suspicion[name], t) for t in trajectories]) for name in scores
    }
    per_trajectory["chance"] = np.array([measures(np.zeros(len(t.drop)), t) for t in trajectories])
    per_trajectory["chance"][:, 0] = 0.0  # the correlation of a random order, on average
    for name in scores[1:] if scores[0] == "CE" else ():
        per_trajectory[f"CE - {name}"] = per_trajectory["CE"] - per_trajectory[name]
    _, problem = np.unique([one.problem_id for one in trajectories], return_inverse=True)
    count = int(problem.max()) + 1
    resamples = rng.integers(count, size=(ROUNDS, count))
    measured = [
        _agreement(measure, ranking, values[:, column], problem, resamples)
        for column, measure in enumerate(MEASURES)
        for ranking, values in per_trajectory.items()
    ]
    spent_on = [
        _agreement(COST, of, np.array(tokens), problem, resamples) for of, tokens in costs.items()
    ]
    return measured + spent_on + labels


def read(store: Store, most: int | None, rng: np.random.Generator) -> list[Trajectory]:
    """The rolled-out trajectories of a run that have a critical token; those with CE scores, if any has.

    Of more than `most`, so many are drawn by `rng`, and only these are held.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    usable, scored = _usable(store)
    if most is not None and len(usable) > most:
        names = list(usable)
        chosen = np.sort(rng.choice(len(names), most, replace=False))
        usable = {names[i]: usable[names[i]] for i in chosen}
    wanted = pa.array(usable, pa.string())
    scores: dict[str, list[float]] = {}
    for part in store.each("contrast", ["rejected_id", "rejected_ce"]) if scored else ():
        own = part.filter(pc.is_in(part["rejected_id"], wanted))
        scores |= {row["rejected_id"]: row["rejected_ce"] for row in own.to_pylist()}
    found = []
    columns = ["keep_prob", "entropy", "margin", "value"]
    names = ["solution_id", "problem_id", "prompt_value", "critical_index", "generated_tokens"]
    for part in store.each("rollouts", [*names, *columns]):
        for row in part.filter(pc.is_in(part["solution_id"], wanted)).to_pylist():
            ce, length = scores.get(row["solution_id"]), usable[row["solution_id"]]
            for name in columns:
                row[name] = row[name] and row[name][:length]
            suspicion = {} if ce is None else {"CE": -np.array(ce[:length])}
            suspicion["surprisal"] = -np.array(row["keep_prob"])
            if row["entropy"] and row["margin"]:
                suspicion["entropy"] = np.array(row["entropy"])
                suspicion["margin"] = -np.array(row["margin"])
            found.append(
                Trajectory(
                    suspicion=suspicion,
                    drop=_drop(row),
                    critical_index=row["critical_index"],
                    problem_id=row["problem_id"],
                    solution_id=row["solution_id"],
                    generated=row["generated_tokens"],
                )
            )
    return found


def _usable(store: Store) -> tuple[dict[str, int], bool]:
    """How many tokens of a trajectory are measured, by trajectory, and whether they have CE scores."""
    import pyarrow.compute as pc

    scores: dict[str, int | None] = {}  # how many, by trajectory
    for part in store.each("contrast", ["rejected_id", "rejected_ce"]):
        counts = pc.list_value_length(part["rejected_ce"]).to_pylist()
        scores |= zip(part["rejected_id"].to_pylist(), counts, strict=True)
    scored = any(count is not None for count in scores.values())
    found: dict[str, int] = {}
    for part in store.each("rollouts", ["solution_id", "critical_index", "keep_prob"]):
        ids, critical = (part[name].to_pylist() for name in ("solution_id", "critical_index"))
        tokens = pc.list_value_length(part["keep_prob"]).to_pylist()
        for name, at, length in zip(ids, critical, tokens, strict=True):
            # Behind the scored tokens is a stop string, which is no part of the pair.
            own = min(length, scores.get(name) or 0) if scored else length
            if at is not None and at < own:
                found[name] = own
    return found, scored


def _with_drops(
    store: Store,
    trajectories: Sequence[Trajectory],
    n_rollouts: int,
    seed: int,
    device: str | None,
    progress: Progress | None,
) -> tuple[list[Trajectory], list[int]]:
    """The trajectories with the drops of second curves as a score, and the tokens of each curve."""
    from ctm_data.config import BuildConfig
    from ctm_data.options import options
    from ctm_data.run.records import solutions_in
    from ctm_data.stages.rollouts import roll_out
    from ctm_eval.engines import load_engine

    recipe = store.manifest["recipe"]
    if recipe.get("engine") not in ("transformers", "vllm") or not isinstance(recipe["model"], str):
        raise CtmError(
            f"{store.folder} was not made by one model that can be loaded here: leave out --curve",
            usage=True,
        )
    known = {name for name, _ in options(BuildConfig)} - {"data_file", "few_shot_file"}
    config = BuildConfig(**{name: value for name, value in recipe.items() if name in known})
    settings = replace(
        config.rollout_settings(),
        n_rollouts=n_rollouts,
        estimator="branch",
        label_only=False,
        adaptive=False,
        seed=seed_of(config.seed, "second curve", seed),
    )
    wanted = {one.solution_id for one in trajectories}
    pairs = {
        solution.solution_id: (problem, solution)
        for _, rows in solutions_in(store)
        for problem, solution in rows
        if solution.solution_id in wanted
    }
    engine = load_engine(config.engine, recipe["model"], device=device, dtype=config.dtype)
    counter = Counter(progress, "rolling out", len(trajectories))
    found, spent = [], []
    for start in range(0, len(trajectories), AT_ONCE):
        some = trajectories[start : start + AT_ONCE]
        own = [pairs[one.solution_id] for one in some]
        rows = roll_out(engine, own, settings, counter.scaled(len(own)))
        for one, row in zip(some, rows, strict=True):
            suspicion = {**one.suspicion, DROP: _drop(row)[: len(one.drop)]}
            found.append(replace(one, suspicion=suspicion))
            spent.append(row["generated_tokens"])
    return found, spent


def _drop(row: dict[str, Any]) -> np.ndarray:
    """By how much each token (T,) lowers the value; NaN where it is not known."""
    return -np.diff(np.array([row["prompt_value"], *row["value"]], dtype=float))


def measures(suspicion: np.ndarray, trajectory: Trajectory) -> list[float]:
    """The MEASURES of one ranking of one trajectory, in order; NaN where a measure is undefined."""
    own = suspicion[trajectory.critical_index]
    above = int((suspicion > own).sum())
    tied = int((suspicion == own).sum())  # includes the critical token itself
    others = len(suspicion) - 1
    auc = 1 - (above + (tied - 1) / 2) / others if others else float("nan")
    # Ties make each of the ranks from above + 1 to above + tied as likely.
    reciprocal = float(np.mean(1 / np.arange(above + 1, above + tied + 1)))
    tenth = -(-len(suspicion) // 10)
    hits = [min(1.0, max(0.0, (k - above) / tied)) for k in (1, 3, 5, tenth)]
    return [_correlation(suspicion, trajectory.drop), auc, reciprocal, *hits]


def _correlation(suspicion: np.ndarray, drop: np.ndarray) -> float:
    from scipy.stats import rankdata

    seen = ~np.isnan(drop)
    if len(set(suspicion[seen])) < 2 or len(set(drop[seen])) < 2:
        return float("nan")
    return float(np.corrcoef(rankdata(suspicion[seen]), rankdata(drop[seen]))[0, 1])


def _agreement(
    measure: str,
    ranking: str,
    values: np.ndarray,
    problem: np.ndarray,
    resamples: np.ndarray,
) -> Agreement:
    """The mean of `values` (T,), and its interval from `resamples` (R, P) of the problems, which `problem`
    (T,) numbers."""
    known = ~np.isnan(values)
    filled = np.bincount(problem, np.where(known, values, 0.0))
    weight = np.bincount(problem, known.astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = filled[resamples].sum(1) / weight[resamples].sum(1)
        mean = filled.sum() / weight.sum()
    low, high = np.nanquantile(means, [0.025, 0.975]) if known.any() else (np.nan, np.nan)
    return Agreement(measure, ranking, float(mean), float(low), float(high), int(known.sum()))
