"""Rolling out, on a toy engine whose values are known and with the built-in model."""

from dataclasses import replace

import numpy as np
import pytest

from ctm_data.config import BuildConfig
from ctm_data.estimator.settings import RolloutSettings
from ctm_data.run.schema import per_token, to_table
from ctm_data.stages.rollouts import powers_of_two, repeat, repeated, roll_out
from ctm_data.stages.solutions import sample_solutions
from ctm_eval.benchmarks import load_problems
from ctm_eval.engines import Completion, Nucleus, Sampling
from ctm_eval.errors import CtmError
from ctm_eval.metrics import pass_at_k
from ctm_eval.seeds import seed_of
from ctm_eval.types import Problem

EOS = 3


class Tree:
    """An engine over a known tree: three tokens, DEPTH of them, then the end.

    A leaf is correct as `wins` says; the next-token probabilities depend on the path.
    """

    name, eos_ids, depth = "tree", frozenset([EOS]), 4

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        paths = [()]
        for path in paths:
            if len(path) < self.depth:
                paths += [(*path, token) for token in range(3)]
        self.probs = {path: rng.dirichlet([0.4, 0.4, 0.4]) for path in paths}
        self.wins = {path: bool(rng.random() < 0.4) for path in paths if len(path) == self.depth}

    def value(self, path):
        if len(path) == self.depth:
            return float(self.wins[path])
        children = [self.value((*path, token)) for token in range(3)]
        return float(np.dot(self.probs[path], children))

    def decode(self, token_ids):
        path = tuple(token for token in token_ids if token != EOS)
        return f"#### {int(self.wins.get(path, False))}"

    def pieces(self, token_ids):
        return [str(token) for token in token_ids]

    def sample(self, requests, sampling, progress=None):
        completions = []
        for request in requests:
            rng, path = np.random.default_rng(request.seed), tuple(request.prefix_ids)
            while len(path) < self.depth:
                path = (*path, int(rng.choice(3, p=self.probs[path])))
            new = (*path[len(request.prefix_ids) :], EOS)
            completions.append(Completion(new, "stop"))
        return completions

    def next_token_distributions(self, sequences, sampling):
        return [[self._nucleus(path[:t]) for t in range(len(path))] for _, path in sequences]

    def _nucleus(self, path):
        if len(path) == self.depth:
            return Nucleus(np.array([EOS]), np.array([1.0]))
        order = np.argsort(-self.probs[path])
        return Nucleus(order, self.probs[path][order])


class Trajectory:
    """The solution of the tree that is rolled out."""

    solution_id, problem_id, model, prompt_ids = "s", "p", "tree", ()

    def __init__(self, tree, path):
        self.token_ids, self.correct = (*path, EOS), tree.wins[path]


PROBLEM = Problem("p", "pocket", "test", "?", "1")


def curves(tree, path, runs, **settings):
    """Estimated values V_0..V_L of `runs` runs with seeds of their own, (runs, L + 1)."""
    rows = []
    for seed in range(runs):
        # The rule is no matter to values, and under this one no second run is simulated.
        chosen = RolloutSettings(
            Sampling(), max_new_tokens=99, seed=seed, rule="pivotal", **settings
        )
        [row] = roll_out(tree, [(PROBLEM, Trajectory(tree, path))], chosen)
        rows.append([row["prompt_value"], *row["value"]])
    return np.array(rows)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("estimator", ["branch", "exhaustive"])
def test_values_are_unbiased_and_no_noisier_than_n_rollouts_a_token(seed, estimator):
    """300 runs against the tree's own values: means within 4.5 standard errors, variance at most
    V (1 - V) / N, with room for the noise of a variance measured on 300 runs of a binomial share,
    whose kurtosis is 3 + 1 / (N V (1 - V)) at most."""
    tree, n, runs = Tree(seed), 8, 300
    path = next(path for path, wins in tree.wins.items() if not wins)
    estimates = curves(tree, path, runs, n_rollouts=n, estimator=estimator)
    true = np.array([tree.value(path[:t]) for t in range(5)] + [tree.value(path)])
    bound = true * (1 - true) / n
    assert (np.abs(estimates.mean(0) - true) <= 4.5 * np.sqrt(bound / runs) + 1e-9).all()
    noise = 4.5 * np.sqrt((2 * bound**2 + bound / n**2) / runs)
    assert (estimates.var(0, ddof=1) <= bound + noise + 1e-9).all()


@pytest.mark.parametrize("seed", range(2))
def test_adaptive_values_are_unbiased(seed):
    """150 runs against the tree's own values, within 4.5 standard errors."""
    tree = Tree(seed)
    path = next(path for path, wins in tree.wins.items() if not wins)
    estimates = curves(tree, path, 150, n_rollouts=8, adaptive=True, budget=1.0)
    true = np.array([tree.value(path[:t]) for t in range(5)] + [tree.value(path)])
    error = estimates.std(0, ddof=1) / np.sqrt(150)
    assert (np.abs(estimates.mean(0) - true) <= 4.5 * error + 0.001).all()


def adaptive_rows(tree, trajectories, **settings):
    chosen = RolloutSettings(
        Sampling(), n_rollouts=16, max_new_tokens=99, adaptive=True, budget=2.0, **settings
    )
    return roll_out(tree, [(PROBLEM, trajectory) for trajectory in trajectories], chosen)


def named(tree, path, name):
    trajectory = Trajectory(tree, path)
    trajectory.solution_id = name
    return trajectory


def test_adaptive_rows_do_not_depend_on_the_other_trajectories():
    tree = Tree(0)
    wrong = [path for path, wins in tree.wins.items() if not wins][:4]
    own = [named(tree, path, str(i)) for i, path in enumerate(wrong)]
    together = adaptive_rows(tree, own)
    assert together == [row for one in own for row in adaptive_rows(tree, [one])]


def test_adaptive_stops_at_the_confidence_or_the_budget():
    tree = Tree(1)
    wrong = [path for path, wins in tree.wins.items() if not wins][:4]
    own = [named(tree, path, str(i)) for i, path in enumerate(wrong)]
    for row in adaptive_rows(tree, own, confidence=1.0):
        assert sum(row["n_rollouts"]) <= 2.0 * 16 * len(row["token_ids"])
    some = sum(sum(row["n_rollouts"]) for row in adaptive_rows(tree, own, confidence=0.6))
    assert some < sum(sum(row["n_rollouts"]) for row in adaptive_rows(tree, own, confidence=1.0))


@pytest.mark.parametrize("estimator", ["branch", "exhaustive"])
def test_the_critical_index_is_the_likeliest_token(estimator):
    tree = Tree(2)
    path = next(path for path, wins in tree.wins.items() if not wins)
    settings = RolloutSettings(Sampling(), max_new_tokens=99, estimator=estimator)
    [row] = roll_out(tree, [(PROBLEM, Trajectory(tree, path))], settings)
    prob = row["critical_prob"]
    assert sum(prob) <= 1 + 1e-9
    assert prob[row["critical_index"]] == max(prob)
    assert sum(prob[row["critical_low"] : row["critical_high"] + 1]) >= 0.9 - 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_label_only_marks_the_token_that_the_whole_curve_marks(seed):
    """Same seeds, same draws: what was looked at is equal, and so is what the rule marks."""
    tree = Tree(seed)
    path = next(path for path, wins in tree.wins.items() if not wins)
    for run in range(5):
        settings = RolloutSettings(Sampling(), n_rollouts=16, max_new_tokens=99, seed=run)
        only = RolloutSettings(
            Sampling(), n_rollouts=16, max_new_tokens=99, seed=run, label_only=True
        )
        [whole] = roll_out(tree, [(PROBLEM, Trajectory(tree, path))], settings)
        [part] = roll_out(tree, [(PROBLEM, Trajectory(tree, path))], only)
        assert part["marked"] == whole["marked"]
        seen = [i for i, value in enumerate(part["value"]) if value is not None]
        assert [part["value"][i] for i in seen] == [whole["value"][i] for i in seen]
        assert part["generated_tokens"] <= whole["generated_tokens"]


@pytest.fixture(scope="module")
def wrong(engine):
    """(problem, wrong solution) of the built-in model, a few."""
    problems = {p.problem_id: p for p in load_problems("pocket", limit=12)}
    solutions = sample_solutions(
        engine,
        list(problems.values()),
        Sampling(1.0, 0.95),
        n_samples=6,
        max_new_tokens=150,
        seed=0,
    )
    pairs = [(problems[s.problem_id], s) for s in solutions if not s.correct]
    assert len(pairs) >= 3
    return pairs[:3]


@pytest.fixture(scope="module", params=["branch", "label-only", "exhaustive"])
def rows(request, engine, wrong):
    settings = RolloutSettings(
        Sampling(1.0, 0.95),
        n_rollouts=8,
        max_new_tokens=150,
        estimator="exhaustive" if request.param == "exhaustive" else "branch",
        label_only=request.param == "label-only",
    )
    return roll_out(engine, wrong, settings)


def test_per_token_lists_are_as_long_as_the_tokens(rows):
    table = to_table("rollouts", rows)
    for row in table.to_pylist():
        for column in per_token("rollouts"):
            assert len(row[column]) == len(row["token_ids"])


def test_a_list_of_another_length_is_refused(rows):
    broken = {**rows[0], "value": rows[0]["value"][:-1]}
    with pytest.raises(CtmError, match=r"rollouts\.value of .* entries for"):
        to_table("rollouts", [broken])


def test_the_last_value_is_that_of_the_finished_wrong_solution(rows):
    assert all(row["value"][-1] == 0 for row in rows)


def test_replacement_pass_at_k_follows_from_the_draws(rows):
    for row in rows:
        n = sum(r["n_rollouts"] for r in row["replacements"])
        correct = sum(r["n_correct"] for r in row["replacements"])
        assert n in (0, 8)
        expected = [pass_at_k(n, correct, k) for k in powers_of_two(n)]
        assert row["replacement_pass_at_k"] == expected


def test_the_critical_token_itself_is_never_its_replacement(rows):
    for row in rows:
        if row["critical_index"] is not None:
            own = row["token_ids"][row["critical_index"]]
            assert own not in [r["token_id"] for r in row["replacements"]]


def test_the_same_seed_gives_the_same_rows(engine, wrong):
    settings = RolloutSettings(Sampling(1.0, 0.95), n_rollouts=8, max_new_tokens=150)
    assert roll_out(engine, wrong, settings) == roll_out(engine, wrong, settings)


def test_the_whole_solution_is_graded_not_the_continuation_alone(engine):
    """'4' + '2' is 42: graded on the continuation alone, every rollout from inside it would be wrong."""
    problem = Problem("p", "pocket", "test", "What is 40 + 2?", "42")
    text = " Add: That makes 40 + 2 = 42 dollars.\n#### 42"
    ids = engine.tokenizer(text, add_special_tokens=False).input_ids
    solution = Trajectory.__new__(Trajectory)
    solution.token_ids, solution.correct = (*ids, *engine.eos_ids), True
    solution.prompt_ids = engine.encode("Question: What is 40 + 2?\nAnswer:")
    settings = RolloutSettings(
        Sampling(temperature=0), n_rollouts=4, max_new_tokens=150, estimator="exhaustive"
    )
    [row] = roll_out(engine, [(problem, solution)], settings)
    inside = len(ids) - 2  # after '#### 4': what is left to write is '2' and the end
    assert row["pieces"][inside] == " 4"
    assert row["value"][inside] == 1


def test_powers_of_two():
    assert powers_of_two(64) == [1, 2, 4, 8, 16, 32, 64]
    assert powers_of_two(0) == []


def test_entropy_margin_and_greedy_token_are_those_of_the_policy():
    """At every token of the tree: -sum p log p, the gap of the two largest p, and the largest p's token."""
    tree = Tree(0)
    path = next(path for path, wins in tree.wins.items() if not wins)
    settings = RolloutSettings(Sampling(), n_rollouts=2, max_new_tokens=99)
    [row] = roll_out(tree, [(PROBLEM, Trajectory(tree, path))], settings)
    for t in range(tree.depth):
        p = tree.probs[path[:t]]
        assert row["entropy"][t] == pytest.approx(-sum(p * np.log(p)))
        assert row["margin"][t] == pytest.approx(sorted(p)[2] - sorted(p)[1])
        assert row["greedy_id"][t] == p.argmax()
    assert (row["entropy"][-1], row["margin"][-1], row["greedy_id"][-1]) == (0.0, 1.0, EOS)


@pytest.mark.parametrize("ways", [{}, {"estimator": "exhaustive"}, {"adaptive": True}])
def test_a_repeat_is_a_run_with_another_seed(ways):
    tree = Tree(2)
    path = next(path for path, wins in tree.wins.items() if not wins)
    pairs = [(PROBLEM, Trajectory(tree, path))]
    first = RolloutSettings(Sampling(), n_rollouts=8, max_new_tokens=99, **ways)
    second = replace(first, seed=seed_of(0, "second run"))
    [row] = roll_out(tree, pairs, second)
    found = {"repeat_index": row["critical_index"], "repeat_tokens": row["generated_tokens"]}
    assert repeat(tree, pairs, first) == [found]


def test_what_is_repeated_does_not_depend_on_the_order_of_the_problems():
    problems = [Problem(str(i), "pocket", "test", "?", "1") for i in range(9)]
    config = BuildConfig(reliability_sample=4, seed=1)
    assert len(repeated(problems, config)) == 4
    assert repeated(problems, config) == repeated(problems[::-1], config)
    assert repeated(problems, config) != repeated(problems, replace(config, seed=2))


def test_under_another_rule_no_reliability_is_predicted():
    tree = Tree(2)
    path = next(path for path, wins in tree.wins.items() if not wins)
    settings = RolloutSettings(Sampling(), n_rollouts=8, max_new_tokens=99, rule="pivotal")
    [row] = roll_out(tree, [(PROBLEM, Trajectory(tree, path))], settings)
    assert row["repeat_predicted"] is None
