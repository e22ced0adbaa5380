"""How trajectories are rolled out and marked: the choices and the numbers, light to import."""

from dataclasses import dataclass
from typing import Literal, get_args

from ctm_eval.engines.base import Sampling
from ctm_eval.thinking import Thinking

Estimator = Literal["branch", "exhaustive"]
Rule = Literal["critical", "pivotal", "cliff"]
LOST = 0.05  # a later success rate that resets the search for the critical token
RESOLUTION = 1 - 0.5 ** (1 / 64)  # 0.0108: below it, 0 of 64 is the likelier outcome
POSTERIOR = 2  # version of what rollouts say about a label; in 1 each counted whole
ALLOCATION = 2  # version of how `adaptive` spends its budget; 1 gave half of it to the values
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class RolloutSettings:
    """How trajectories are rolled out. `max_new_tokens` bounds prefix and continuation together; with
    `thinking`, what follows the thought.

    A value below `resolution` counts as 0. `adaptive` spends at most a share `budget` of the rollouts of
    `exhaustive`, N L, until the critical token has a probability of `confidence`.
    """

    sampling: Sampling
    n_rollouts: int = 64
    max_new_tokens: int = 1024
    estimator: Estimator = "branch"
    label_only: bool = False
    rule: Rule = "critical"
    resolution: float = RESOLUTION
    adaptive: bool = False
    confidence: float = 0.95
    budget: float = 0.125
    seed: int = 0
    thinking: Thinking | None = None
