"""Others' formats, in and out: worked rows, what is refused, and rows of any kind."""

import copy
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctm_data.export import export
from ctm_data.formats import FORMATS
from ctm_data.formats.record import Step, Stepped, Unfit
from ctm_data.imports import checked, format_called, import_steps
from ctm_data.run.store import Store
from ctm_data.verify import verify
from ctm_eval.errors import CtmError
from ctm_eval.models import load_tokenizer

ROWS = {
    "trl-stepwise": [
        {
            "prompt": "What is 2 + 3?",
            "completions": ["2 + 3 = 6", "So 6"],
            "labels": [False, False],
        }
    ],
    "prm800k": [
        {
            "question": {"problem": "What is 2 + 3?", "ground_truth_answer": "5"},
            "label": {
                "finish_reason": "found_error",
                "steps": [
                    {
                        "completions": [
                            {"text": "Hm.", "rating": 0},
                            {"text": "Add.", "rating": 1},
                        ],
                        "human_completion": None,
                        "chosen_completion": 1,
                    },
                    {
                        "completions": [{"text": "It is 6.", "rating": -1}],
                        "human_completion": None,
                        "chosen_completion": None,
                    },
                ],
            },
        }
    ],
    "math-shepherd": [
        {
            "input": "What is 2 + 3? Step 1: 2 + 3 = 5 ки\nStep 2: The answer is: 6 ки",
            "label": "What is 2 + 3? Step 1: 2 + 3 = 5 +\nStep 2: The answer is: 6 -",
            "task": "GSM8K",
        }
    ],
    "pts": [
        {
            "query": "What is 2 + 3?",
            "pivot_context": "What is 2 + 3? It is",
            "pivot_token": " 6",
            "pivot_token_id": 7,
            "prob_before": 0.75,
            "prob_after": 0.25,
            "prob_delta": -0.5,
            "is_positive": False,
            "model_id": "m",
        },
        {
            "event_type": "thought_anchor",
            "granularity": "sentence",
            "query": "What is 2 + 3?",
            "context": "It is",
            "label": "So six.",
            "prob_before": 0.25,
            "prob_after": 0.5,
            "is_positive": True,
            "model_id": "m",
        },
    ],
    "thought-anchors": [
        {
            "path": "a/problem_7/problem.json",
            "content": '{"problem": "What is 2 + 3?", "gt_answer": "5"}',
        },
        {"path": "a/problem_7/base_solution.json", "content": '{"is_correct": false}'},
        {
            "path": "a/problem_7/chunks_labeled.json",
            "content": '[{"chunk": "Add.", "chunk_idx": 0, "accuracy": 0.75, '
            '"resampling_importance_accuracy": -0.5}, '
            '{"chunk": "It is 6.", "chunk_idx": 1, "accuracy": 0.25}]',
        },
    ],
}
STORE = {
    "meta": {"question": "What is 2 + 3? A: 5, B: 6", "answer_letter": "A", "model_id": "m"},
    "categories": ["A", "B", "Other"],
    "base": {"gen_ids": [7, 8], "token_texts": [" It is", " B"]},
    "idxs": [0, 1],
    "branches": [
        {"t": 0, "tok_id": 7, "tok_p": 0.75, "is_base": True, "answers": ["A", "B", "B", "B"]},
        {"t": 0, "tok_id": 9, "tok_p": 0.25, "is_base": False, "answers": ["A", "A", "A", "A"]},
        {"t": 1, "tok_id": 5, "tok_p": 0.5, "is_base": False, "answers": ["A", "A", "B", "B"]},
    ],
    "o_t_full": [[0.4375, 0.5625, 0.0], [0.5, 0.5, 0.0]],
}
STEPS = {  # (start, end) in the text, and what is known
    "trl-stepwise": [[Step(0, 9, label=False), Step(10, 14, label=False)]],
    "prm800k": [[Step(0, 4, label=True, rating=1), Step(5, 13, label=False, rating=-1)]],
    "math-shepherd": [[Step(0, 17, label=True), Step(18, 42, label=False)]],
    "pts": [
        [Step(6, 8, value_before=0.75, value=0.25, token_id=7)],
        [Step(5, 12, value_before=0.25, value=0.5)],
    ],
    "thought-anchors": [
        [Step(0, 4, value_before=0.75, value=0.25), Step(5, 13, value_before=0.25)]
    ],
}


def read(kind, rows):
    return checked(format_called(kind), rows)


def written(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_a_row_of_a_format_is_these_steps(kind):
    records, aside = read(kind, ROWS[kind])
    assert [list(record.steps) for record in records] == STEPS[kind]
    assert {record.question for record in records} == {"What is 2 + 3?"}
    assert not aside


@pytest.mark.parametrize("kind", FORMATS)
def test_imported_exported_and_imported_again_is_the_same(kind, tmp_path):
    import_steps(written(tmp_path / "in.jsonl", ROWS[kind]), kind, tmp_path / "run")
    export(tmp_path / "run", kind, tmp_path / "out.jsonl")
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert read(kind, out) == read(kind, ROWS[kind])
    assert verify(tmp_path / "run").ok


def test_steps_that_are_not_all_numbered_come_back_as_they_were():
    """They used to come back with a number of their own."""
    row = {
        "input": "Q? Step 1: 2 + 3 = 5 ки\nSo it is 5 ки",
        "label": "Q? Step 1: 2 + 3 = 5 +\nSo it is 5 -",
    }
    [record], _ = read("math-shepherd", [row])
    assert record.pieces() == ["Step 1: 2 + 3 = 5", "So it is 5"]
    [out] = FORMATS["math-shepherd"].write([record])
    assert read("math-shepherd", [out]) == ([record], {})


def test_a_question_that_holds_the_first_step_is_not_written_as_math_shepherd():
    """Its reader takes the question to end before `Step 1:`."""
    record = Stepped("See Step 1: why?", "It is 5", (Step(0, 7, label=True),))
    [refused] = FORMATS["math-shepherd"].write([record])
    assert str(refused) == "a question that holds Step 1"


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("trl-stepwise", {"labels": [True]}, "another number of labels than of completions"),
        ("trl-stepwise", {"labels": [True, 1]}, "a label that is neither true nor false"),
        ("trl-stepwise", {"completions": ["a", " "]}, "no text in completions"),
        ("prm800k", {"label": {"finish_reason": "give_up"}}, "a solution that labellers gave up"),
        ("math-shepherd", {"input": "Q Step 1: a ки b"}, "text after the last step"),
        ("math-shepherd", {"label": "Q"}, "input and label that are not the same text"),
        ("pts", {"prob_after": 1.5}, "a prob_after outside of [0, 1]"),
        ("pts", {"prob_after": float("nan")}, "a prob_after outside of [0, 1]"),
        ("pts", {"prob_delta": 0.5}, "a prob_delta that does not follow from its probabilities"),
        (
            "pts",
            {"is_positive": True},
            "an is_positive that does not follow from its probabilities",
        ),
        ("pts", {"query": "\ud800"}, "a text with halves of characters"),
    ],
)
def test_a_row_that_does_not_fit_is_counted_under_its_reason(kind, change, reason):
    records, aside = read(kind, [{**ROWS[kind][0], **change}])
    assert (records, dict(aside)) == ([], {reason: 1})


@pytest.mark.parametrize("kind", [*FORMATS, "forking-fast"])
def test_what_is_no_object_is_counted(kind):
    records, aside = read(kind, [5, None, [], "x", True])
    assert not records and sum(aside.values()) == 5


def test_lines_that_are_no_object_are_counted_and_the_others_taken(tmp_path):
    good = json.dumps(ROWS["trl-stepwise"][0]).encode()
    lines = [good, b'{"prompt": ', b'{"prompt": "\xff"}', b"[1]", b"5", b"[" * 100_000]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    found = import_steps(tmp_path / "in.jsonl", "trl-stepwise", tmp_path / "run")
    assert found.solutions == 1
    assert found.set_aside == {
        "a line that is not JSON": 2,
        "a line that is not UTF-8": 1,
        "a line that is not a JSON object": 2,
    }


def test_a_row_that_is_there_twice_is_taken_once():
    records, aside = read("trl-stepwise", ROWS["trl-stepwise"] * 3)
    assert len(records) == 1
    assert dict(aside) == {"a row that is there twice": 2}


def test_an_import_without_a_row_says_why(tmp_path):
    path = written(tmp_path / "in.jsonl", [{"prompt": 1}, {"prompt": 2}])
    with pytest.raises(CtmError, match=r"no row can be taken .*no list in completions: 2"):
        import_steps(path, "trl-stepwise", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_was_set_aside_stands_in_the_manifest(tmp_path):
    path = written(tmp_path / "in.jsonl", [*ROWS["pts"], {"query": 1}])
    found = import_steps(path, "pts", tmp_path / "run")
    assert (found.rises, found.falls) == (1, 1)
    assert sum(found.set_aside.values()) == 1
    assert Store(tmp_path / "run").manifest["recipe"]["set_aside"] == found.set_aside


def test_a_rolled_out_solution_is_cut_into_steps_with_their_values(tmp_path):
    """Two lines whose values are 0.5 and 0: right so far, and wrong. The drop at `7` is 0.5."""
    pieces, value = ["6", "\n", "7", "\n"], [0.5, 0.5, 0.0, 0.0]
    with Store.open(tmp_path / "run", {"model": "m"}) as store:
        ids = {"solution_id": "p-0", "problem_id": "p", "model": "m"}
        store.write("problems", 0, [{"problem_id": "p", "question": "Q", "answer": "6"}])
        store.write(
            "solutions", 0, [{**ids, "sample_index": 0, "text": "6\n7\n", "correct": False}]
        )
        rolled = {"token_ids": [1, 2, 3, 2], "pieces": pieces, "prompt_value": 0.6, "value": value}
        store.write("rollouts", 0, [{**ids, **rolled}])

    def exported(kind):
        export(tmp_path / "run", kind, tmp_path / "out.jsonl")
        return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    [row] = exported("trl-stepwise")
    assert row == {"prompt": "Q", "completions": ["6", "7"], "labels": [True, False]}
    [row] = exported("pts")
    assert (row["context"], row["label"], row["token_id"]) == ("Q6\n", "7", 3)
    assert (row["prob_before"], row["prob_after"], row["is_positive"]) == (0.5, 0.0, False)
    [row] = exported("lm-eval")
    assert (row["target"], row["resps"], row["exact_match"]) == ("6", [["6\n7\n"]], 0.0)


def test_a_run_without_what_a_format_needs_writes_no_file(tmp_path):
    path = written(tmp_path / "in.jsonl", ROWS["trl-stepwise"])
    import_steps(path, "trl-stepwise", tmp_path / "run")
    with pytest.raises(CtmError, match=r"nothing to write as dpo .*it has no contrast"):
        export(tmp_path / "run", "dpo", tmp_path / "out.jsonl")
    with pytest.raises(CtmError, match=r"nothing to write as pts .*a step without values: 2"):
        export(tmp_path / "run", "pts", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_an_outcome_store_has_the_value_before_a_token_and_after_its_own_branch():
    """Before ` It is`: 0.75 * 1/4 + 0.25 * 1 = 0.4375; after it, in its own branch, 1/4. At ` B` its own
    branch was not kept."""
    [record], aside = read("forking-fast", [STORE])
    assert record.text == " It is B" and record.answer == "A" and not aside
    assert record.steps == (
        Step(0, 6, value_before=0.4375, value=0.25, token_id=7),
        Step(6, 8, value_before=0.5, value=None, token_id=8),
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"o_t_full": [[0.5, 0.5, 0], [0.5, 0.5, 0]]},
            "an o_t_full that does not follow from its branches",
        ),
        (
            {"o_t_full": [[10**400, 0, 0], [0.5, 0.5, 0]]},
            "an o_t_full that does not follow from its branches",
        ),
        ({"idxs": [0]}, "positions that are not those of the branches"),
        (
            {"base": {"gen_ids": [7], "token_texts": []}},
            "another number of token texts than of tokens",
        ),
        ({"categories": ["B"]}, "an answer that is no category"),
    ],
)
def test_a_store_that_does_not_fit_is_counted_under_its_reason(change, reason):
    assert dict(read("forking-fast", [{**STORE, **change}])[1]) == {reason: 1}


def scored():
    """`2 + 3 = 6` in pocket's tokens, the last of which the critics do not believe."""
    text = "2 + 3 = 6"
    ids = load_tokenizer("pocket")(text, add_special_tokens=False).input_ids
    weights = [0.0] * (len(ids) - 1) + [0.9]
    return {"problem": "What is 2 + 3?", "raw_answer": text, "correctness": -1, "token_ids": ids,
            "token_weights": weights}  # fmt: skip


def test_scored_tokens_are_runs_of_right_and_wrong_ones():
    [record], _ = checked(format_called("tokenhd", "pocket"), [scored()])
    right, wrong = record.steps
    assert (right.label, wrong.label, record.correct) == (True, False, False)
    assert record.pieces() == ["2 + 3 =", " 6"]
    assert wrong.token_id == scored()["token_ids"][-1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"token_ids": [1, 2]}, "another number of token weights than of tokens"),
        (
            {"raw_answer": "2 + 3 = 5"},
            "token ids that are not those of the text: another tokenizer's",
        ),
        ({"correctness": 2}, "a correctness that is none of -1, 0 and 1"),
        ({"start_id": 99}, "a start_id outside of the tokens"),
    ],
)
def test_a_scored_row_that_does_not_fit_is_counted_under_its_reason(change, reason):
    form = format_called("tokenhd", "pocket")
    assert dict(checked(form, [{**scored(), **change}])[1]) == {reason: 1}


@pytest.mark.parametrize(("kind", "tokenizer"), [("tokenhd", None), ("pts", "pocket")])
def test_a_tokenizer_goes_with_scored_tokens_alone(kind, tokenizer):
    with pytest.raises(CtmError, match="a --tokenizer"):
        format_called(kind, tokenizer)


def test_a_dataset_on_the_hub_is_imported_as_its_file_is(tmp_path):
    """Stock clients in a fresh process, against a Hub on loopback."""
    from hub import Hub

    path = written(tmp_path / "in.jsonl", ROWS["pts"])
    import_steps(path, "pts", tmp_path / "here")
    with Hub() as hub:
        commit = hub.put("alice/pivots", {"train.jsonl": path.read_bytes()})
        words = ["import", "alice/pivots", "--from", "pts", "--output-dir", str(tmp_path / "there")]
        command = [sys.executable, "-c", "from ctm_cli.main import run; run()", *words]
        environment = {**os.environ, **hub.env(tmp_path / "home")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    here, there = (Store(tmp_path / name) for name in ("here", "there"))
    for table in ("problems", "solutions", "steps"):
        assert there.read(table).to_pylist() == here.read(table).to_pylist()
    assert there.manifest["recipe"]["source"] == f"alice/pivots {commit}"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=5,
)


@st.composite
def malformed(draw, kind):
    """A row with something else at a place of it, at any depth."""
    row = copy.deepcopy(draw(st.sampled_from([STORE] if kind == "forking-fast" else ROWS[kind])))
    place = row
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        place[key] = draw(anything)
        return row


@pytest.mark.parametrize("kind", [*FORMATS, "forking-fast"])
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_malformed_row_is_taken_or_counted(kind, data):
    rows = data.draw(st.lists(malformed(kind), min_size=1, max_size=5))
    records, aside = read(kind, rows)
    if kind != "thought-anchors":  # there, a record is several rows
        assert len(records) + sum(aside.values()) == len(rows)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_taken_comes_back_as_it_was(kind, data):
    row, others = data.draw(malformed(kind)), []
    if kind == "thought-anchors":
        others = [one for one in ROWS[kind] if one["path"] != row.get("path")]
    records, _ = read(kind, [row, *others])
    for record in records:
        out = list(FORMATS[kind].write([record]))
        assert not any(isinstance(one, Unfit) for one in out)
        assert read(kind, json.loads(json.dumps(out))) == ([record], {})
