"""The figures of a run: what the closing summary and the card say."""

from dataclasses import dataclass

from ctm_data.store import Store


@dataclass(frozen=True)
class Summary:
    """What a run holds, read off its tables.

    `exhaustive_tokens` is what N rollouts after every token would generate, taking each rollout to
    be as long as what is left of its trajectory.
    """

    problems: int
    solutions: int
    correct: int
    truncated: int
    no_answer: int
    trajectories: int
    critical: int
    solution_tokens: int
    rollout_tokens: int
    replacement_tokens: int
    exhaustive_tokens: int

    @property
    def generated_tokens(self) -> int:
        """All tokens drawn: for the solutions, the values and the replacements."""
        return self.solution_tokens + self.rollout_tokens + self.replacement_tokens

    @property
    def accuracy(self) -> float | None:
        """Share of sampled solutions that are correct; None if there are none."""
        return self.correct / self.solutions if self.solutions else None


def summarize(store: Store) -> Summary:
    """The figures of a run, finished or not."""
    solutions = store.read("solutions", ["correct", "verdict", "token_ids"])
    columns = ["critical_index", "token_ids", "generated_tokens", "replacement_tokens"]
    rollouts = store.read("rollouts", columns)
    verdicts = solutions["verdict"].to_pylist()
    lengths = [len(ids) for ids in rollouts["token_ids"].to_pylist()]
    n = store.manifest["recipe"]["n_rollouts"]
    return Summary(
        problems=store.read("problems", ["problem_id"]).num_rows,
        solutions=solutions.num_rows,
        correct=sum(solutions["correct"].to_pylist()),
        truncated=verdicts.count("truncated"),
        no_answer=verdicts.count("no_answer"),
        trajectories=rollouts.num_rows,
        critical=rollouts.num_rows - rollouts["critical_index"].null_count,
        solution_tokens=sum(len(ids) for ids in solutions["token_ids"].to_pylist()),
        rollout_tokens=sum(rollouts["generated_tokens"].to_pylist()),
        replacement_tokens=sum(rollouts["replacement_tokens"].to_pylist()),
        exhaustive_tokens=sum(n * length * (length + 1) // 2 for length in lengths),
    )
