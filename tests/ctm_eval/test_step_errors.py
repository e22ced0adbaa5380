"""Finding first wrong steps: figures worked by hand, and where a step ends in tokens."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctm_data.config import EvalConfig
from ctm_data.eval import evaluate_steps
from ctm_data.train import train
from ctm_eval.errors import CtmError
from ctm_eval.marked import Marked
from ctm_eval.step_errors import best_threshold, first_error, judged, subset
from ctm_eval.types import Problem
from ctm_eval.verifiers import last_tokens


def marked(problem_id, label):
    problem = Problem(problem_id, "math", "test", "?", "1")
    return Marked("m", problem, "g", "a\nb", ((0, 2), (2, 3)), label, None)


def test_the_first_error_is_the_first_score_below_the_threshold():
    assert first_error([0.9, 0.4, 0.1]) == 1
    assert first_error([0.9, 0.5, 0.6]) is None
    assert first_error([0.9, 0.5, 0.6], threshold=0.6) == 1


def test_f1_is_the_harmonic_mean_of_the_two_accuracies():
    """Of four wrong ones one is found, of two right ones both pass: 2 * 0.25 * 1 / 1.25 = 0.4."""
    judged = [(marked(f"p{i}", 0), i == 0) for i in range(4)]
    judged += [(marked(f"q{i}", None), True) for i in range(2)]
    found = subset("s", judged)
    assert (found.n_wrong, found.wrong.value) == (4, 0.25)
    assert (found.n_right, found.right.value) == (2, 1.0)
    assert found.f1 == pytest.approx(0.4)
    assert found.low <= found.f1 <= found.high


def test_without_a_hit_f1_is_0_and_without_right_solutions_there_is_none():
    assert subset("s", [(marked("p", 0), False), (marked("q", None), False)]).f1 == 0
    alone = subset("s", [(marked("p", 0), True)])
    assert (alone.right, alone.f1) == (None, None)


def test_a_step_ends_with_the_token_before_the_next_steps_first_word():
    """'ab', a line break, ' cd' and EOS: the line break is the first step's."""
    offsets = [(0, 2), (2, 3), (3, 6)]
    assert last_tokens("ab\n cd", offsets, [3, 6], 4) == [1, 3]


def test_a_step_within_a_token_ends_with_the_token_before_it():
    assert last_tokens("abcd", [(0, 4)], [1, 2, 4], 2) == [1, 1, 1]


ROWS = [
    {"id": "gsm8k-0", "problem": "2 + 3?", "steps": ["2 + 3 = 6", "So 6"], "label": 0},
    {"id": "gsm8k-1", "problem": "1 + 1?", "steps": ["1 + 1 = 2", "So 2"], "label": -1},
    {"id": "math-0", "problem": "2 + 2?", "steps": ["2 + 2 = 4", "So 5"], "label": 1},
]


@pytest.fixture
def data_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_a_trained_head_is_measured_by_subset(data_file, tmp_path):
    rows = tmp_path / "train.jsonl"
    row = {"prompt": "Question: 2 + 3?\nAnswer:", "completion": " 5", "correct": True}
    rows.write_text((json.dumps(row) + "\n") * 2)
    train("orm", rows, tmp_path / "orm", epochs=1)
    asked = EvalConfig(
        benchmark="processbench", verifier=tmp_path / "orm", data_file=data_file, device="cpu"
    )
    gsm8k, math = evaluate_steps(asked)
    assert (gsm8k.name, gsm8k.n_wrong, gsm8k.n_right) == ("gsm8k", 1, 1)
    assert (math.name, math.n_wrong, math.right, math.f1) == ("math", 1, None, None)


def test_processbench_needs_a_verifier(data_file):
    with pytest.raises(CtmError, match="give one with --verifier"):
        evaluate_steps(EvalConfig(benchmark="processbench", data_file=data_file))


def test_who_reads_nothing_has_an_f1_too():
    """Two steps each, so a random verdict is right in a third of either kind: F1 1/3. A first step is the
    wrong one in 1 of 4: the best coin has 2 * 0.25 / (1 + 0.5)^2 = 2/9."""
    hits = [(marked(f"p{i}", int(i > 0)), 1.0) for i in range(4)]
    found = subset("s", [*hits, (marked("q", None), 1.0)])
    assert found.random == pytest.approx(1 / 3)
    assert found.coin == pytest.approx(2 / 9)


def test_the_threshold_with_the_best_f1_is_found():
    """0.6 tells all three apart: the wrong one has its step at 0.5, the right ones nothing below 0.7."""
    solutions = [([0.9, 0.5], 1), ([0.7, 0.8], None), ([0.8, 0.7], None)]
    assert best_threshold(solutions) == pytest.approx(0.6)


def test_a_threshold_may_have_to_be_above_all_scores():
    """Only above 0.9 is the first step the wrong one; then no right solution passes, but for 1.0."""
    threshold = best_threshold([([0.9, 0.1], 0), ([1.0], None)])
    assert 0.9 < threshold <= 1


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), min_size=2, max_size=2),
            st.sampled_from([None, 0, 1]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_no_other_threshold_is_better(solutions):
    own = [(marked(str(i), label), scores) for i, (scores, label) in enumerate(solutions)]

    def f1(threshold):
        hits = [(one, float(first_error(scores, threshold) == one.label)) for one, scores in own]
        return subset("s", hits).f1

    if f1(0.5) is not None:
        best = f1(best_threshold([(scores, one.label) for one, scores in own]))
        assert all(best >= f1(t) for t in (-1.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.1))


def test_subsets_share_the_threshold_of_one_and_have_an_average():
    """On `a` 0.45 is best (F1 1); on `b` it misses the wrong step at 0.6: F1 0; their average is 1/2."""
    rows = [
        (marked("p", 1), "a"),
        (marked("q", None), "a"),
        (marked("r", 0), "b"),
        (marked("s", None), "b"),
    ]
    both = [replace(one, subset=name) for one, name in rows]
    scores = [[0.9, 0.2], [0.7, 0.8], [0.6, 0.6], [0.9, 0.9]]
    a, b, average = judged(both, scores, tune_on="a")
    assert (a.f1, b.f1, average.f1) == (1.0, 0.0, 0.5)
    assert [one.threshold for one in (a, b, average)] == pytest.approx([0.45] * 3)
    assert (average.name, average.n_wrong, average.n_right) == ("average", 2, 2)
    with pytest.raises(CtmError, match="no subset 'c'; there are: a, b"):
        judged(both, scores, tune_on="c")


def test_accuracy_is_over_solutions_even_where_a_problem_has_more():
    """Three of one problem are found, the one of another is not: 3 of 4, not the mean of 1 and 0."""
    found = subset("s", [(marked("p", 0), 1.0)] * 3 + [(marked("q", 0), 0.0)])
    assert found.wrong.value == 0.75
