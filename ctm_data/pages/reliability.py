"""The test-retest reliability of a run's labels: how often a second run gives the same critical token."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ctm_data.run.store import Store
from ctm_eval.metrics import clustered


@dataclass(frozen=True)
class Reliability:
    """How often two runs give the same critical token, or both none.

    The mean of the problems' shares, with its 95% interval; a problem is a cluster.
    """

    share: float
    low: float
    high: float
    trajectories: int
    problems: int


def reliability(store: Store) -> tuple[Reliability | None, Reliability | None]:
    """The one that is predicted from the rollouts, and the one that a second run of
    `--reliability-sample` found; None where the run has none."""
    predicted: dict[str, list[bool]] = defaultdict(list)
    checked: dict[str, list[bool]] = defaultdict(list)
    columns = ["problem_id", "critical_index", "repeat_predicted", "repeat_index", "repeat_tokens"]
    for part in store.each("rollouts", columns):
        for row in part.to_pylist():
            if row["repeat_predicted"] is not None:
                predicted[row["problem_id"]].append(row["repeat_predicted"])
            if row["repeat_tokens"] is not None:
                checked[row["problem_id"]].append(row["repeat_index"] == row["critical_index"])
    return _over_problems(predicted), _over_problems(checked)


def _over_problems(agreed: dict[str, list[bool]]) -> Reliability | None:
    if not agreed:
        return None
    most = max(map(len, agreed.values()))
    found = clustered([float(np.mean(own)) for own in agreed.values()], most)
    count = sum(map(len, agreed.values()))
    return Reliability(found.value, found.low, found.high, count, len(agreed))
