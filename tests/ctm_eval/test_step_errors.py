"""Finding first wrong steps: figures worked by hand, and where a step ends in tokens."""

import json

import pytest

from ctm_data.config import EvalConfig
from ctm_data.eval import evaluate_steps
from ctm_data.train import train
from ctm_eval.errors import CtmError
from ctm_eval.marked import Marked
from ctm_eval.step_errors import first_error, subset
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
