"""How trajectories are rolled out and marked: the choices and the numbers, light to import."""

from dataclasses import dataclass
from typing import Literal, get_args

from ctm_eval.engines.base import Sampling

Estimator = Literal["branch", "exhaustive"]
Rule = Literal["critical", "pivotal", "cliff"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class RolloutSettings:
    """How trajectories are rolled out. `max_new_tokens` bounds prefix and continuation together."""

    sampling: Sampling
    n_rollouts: int = 64
    max_new_tokens: int = 1024
    estimator: Estimator = "branch"
    label_only: bool = False
    rule: Rule = "critical"
    seed: int = 0
