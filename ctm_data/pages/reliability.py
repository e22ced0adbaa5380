"""The test-retest reliability of a run's labels: how often a second run gives the same critical token."""

from array import array
from collections import defaultdict
from collections.abc import Collection, Sequence
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
    predicted, checked = _Agreed(), _Agreed()
    columns = ["problem_id", "critical_index", "repeat_predicted", "repeat_index", "repeat_tokens"]
    for part in store.each("rollouts", columns):
        said: dict[str, list[bool]] = defaultdict(list)
        found: dict[str, list[bool]] = defaultdict(list)
        for row in part.to_pylist():
            if row["repeat_predicted"] is not None:
                said[row["problem_id"]].append(row["repeat_predicted"])
            if row["repeat_tokens"] is not None:
                found[row["problem_id"]].append(row["repeat_index"] == row["critical_index"])
        predicted.add(said.values())
        checked.add(found.values())
    return predicted.figure(), checked.figure()


class _Agreed:
    """Whether the trajectories of each problem agree, of which only the share is held."""

    def __init__(self) -> None:
        self._shares, self._most, self._count = array("d"), 0, 0

    def add(self, problems: Collection[Sequence[bool]]) -> None:
        """The trajectories of further problems: a part has all of each."""
        self._shares.extend(float(np.mean(own)) for own in problems)
        self._most = max(self._most, *map(len, problems), 0)
        self._count += sum(map(len, problems))

    def figure(self) -> Reliability | None:
        """The mean over the problems; None where there are none."""
        if not self._shares:
            return None
        found = clustered(np.asarray(self._shares), self._most)
        return Reliability(found.value, found.low, found.high, self._count, len(self._shares))
