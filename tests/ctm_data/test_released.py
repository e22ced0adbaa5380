"""The authors' formats, on files written here in their shape, malformed ones included."""

import json

import pytest

import ctm_data
from ctm_data.released import import_released, read_released
from ctm_data.run.store import Store
from ctm_data.verify import verify
from ctm_eval.errors import CtmError
from ctm_eval.models import load_tokenizer

PROMPT, RIGHT, WRONG = "Ben has 4 apples.", " He has 4 + 3 = 7.", " He has 4 - 3 = 1."


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("pocket")


def entry(response, answer):
    return {"question": PROMPT, "response": response, "answer": answer}


SELECTION = {
    "config": {"n": 64},
    "pos": {"12": entry(RIGHT, "7")},
    "neg": {
        "12_0": entry(WRONG, "1"),
        "12_1": entry(" 9", "9"),
        "bad": entry(" 9", "9"),
        "13_0": {},
    },
}
PAIRS = {
    "prompt": [PROMPT, PROMPT],
    "chosen": [RIGHT, RIGHT],
    "rejected": [WRONG, " 9"],
    "answer": ["7", "7"],
}


def scored(tokenizer, response, **changes):
    """Scores of a side as the authors write them: k / 100 for the k-th token after the first."""
    ids = tokenizer(PROMPT + response).input_ids
    start = len(tokenizer(PROMPT).input_ids)
    scores = [k / 100 for k in range(1, len(ids))]
    return {"ce_prob": scores, "response_start_idx": start, "text": PROMPT + response, **changes}


def read(data, tokenizer=None, name="data.json"):
    return read_released(name, json.dumps(data).encode(), tokenizer)


def test_selections_become_solutions(tokenizer):
    found = read(SELECTION, tokenizer, "gsm8k.json")
    assert [(s["solution_id"], s["correct"], s["text"]) for s in found.solutions] == [
        ("gsm8k-12-000", True, RIGHT),
        ("gsm8k-12-001", False, WRONG),
        ("gsm8k-12-002", False, " 9"),
    ]
    assert [(p["problem_id"], p["question"], p["answer"]) for p in found.problems] == [
        ("gsm8k-12", PROMPT, "7")
    ]
    assert tokenizer.decode(found.solutions[0]["token_ids"]).strip() == RIGHT.strip()
    assert found.set_aside == {
        "a key of neg that is not qid_k": 1,
        "a row without a text 'question'": 1,
    }


def test_pairs_become_contrast_without_scores():
    found = read(PAIRS)
    assert [(p["prompt"], p["chosen"], p["rejected"]) for p in found.contrast] == [
        (PROMPT, RIGHT, WRONG),
        (PROMPT, RIGHT, " 9"),
    ]
    assert {p["problem_id"] for p in found.contrast} == {"data-00000"}, "one prompt is one problem"
    assert all(p["chosen_ce"] is None and p["chosen_ids"] is None for p in found.contrast)


@pytest.mark.parametrize("counted_among", ["tokens", "scores"])
def test_scores_line_up_with_the_tokens_of_the_response(tokenizer, counted_among):
    negative = scored(tokenizer, WRONG)
    start = negative["response_start_idx"]
    negative["response_start_idx"] -= counted_among == "scores"
    data = {name: column[:1] for name, column in PAIRS.items()}
    found = read({**data, "prob_result": [{"neg": negative}]}, tokenizer)
    (pair,) = found.contrast
    assert pair["rejected_ids"] == tokenizer(PROMPT + WRONG).input_ids[start:]
    assert pair["rejected_ce"] == [k / 100 for k in range(start, start + len(pair["rejected_ids"]))]
    assert pair["chosen_ce"] is None and pair["chosen_ids"] is not None
    assert not found.set_aside


MISFITS = {
    "scores for another number of tokens than the tokenizer makes": {"ce_prob": [0.5, 0.5]},
    "scores outside of [0, 1]": {"ce_prob": [1.5]},
    "scores whose tokens are not those of the response": {"response_start_idx": 1},
    "a response that starts outside of its text": {"response_start_idx": 999},
    "a row without a text 'text'": {"text": None},
}


@pytest.mark.parametrize("reason", MISFITS)
def test_what_does_not_line_up_is_counted_and_set_aside(tokenizer, reason):
    data = {name: column[:1] for name, column in PAIRS.items()}
    data["prob_result"] = [{"pos": scored(tokenizer, RIGHT, **MISFITS[reason])}]
    found = read(data, tokenizer)
    assert found.contrast == []
    assert found.set_aside == {reason: 1}


MALFORMED = {
    "data.json is not JSON": b'{"prompt": [',
    "data.json has none of the known shapes": b'["a list"]',
    "data.json: its parallel lists differ in length": b'{"prompt": ["a"], "chosen": [], "rejected": ["b"]}',
    "a row without a text 'chosen'": b'{"prompt": ["a"], "chosen": [1], "rejected": ["b"]}',
    "a row of prob_result that is no object": (
        b'{"prompt": ["a"], "chosen": ["b"], "rejected": ["c"], "prob_result": [3]}'
    ),
}


@pytest.mark.parametrize("reason", MALFORMED)
def test_a_malformed_file_is_counted_not_fatal(reason):
    found = read_released("data.json", MALFORMED[reason])
    assert found.contrast == found.solutions == []
    assert found.set_aside == {reason: 1}


def test_a_run_folder_of_released_files_passes_verify(tokenizer, tmp_path):
    pairs = {
        **PAIRS,
        "prob_result": [{"pos": scored(tokenizer, RIGHT), "neg": scored(tokenizer, WRONG)}, {}],
    }
    files = {}
    for name, data in (
        ("selection.json", SELECTION),
        ("scored.json", pairs),
        ("broken.json", "no"),
    ):
        files[name] = tmp_path / name
        files[name].write_text(json.dumps(data))
    import_released(
        files, tmp_path / "run", {"source": "user/name", "tokenizer": "pocket"}, tokenizer="pocket"
    )
    store = Store(tmp_path / "run")
    assert store.manifest["recipe"]["set_aside"] == {
        "a key of neg that is not qid_k": 1,
        "a row without a text 'question'": 1,
        "a scored pair without scores": 1,
        "broken.json has none of the known shapes": 1,
    }
    report = verify(tmp_path / "run")
    assert report.ok, report
    con = ctm_data.connect(tmp_path / "run")
    assert con.execute(
        "select count(*) from contrast where rejected_ce is not null"
    ).fetchall() == [(1,)]


def test_files_without_a_row_leave_no_folder(tmp_path):
    (tmp_path / "data.json").write_text("{}")
    with pytest.raises(
        CtmError, match=r"no row can be taken \(data\.json has none of the known shapes: 1\)"
    ):
        import_released({"data.json": tmp_path / "data.json"}, tmp_path / "run", {"source": "x"})
    assert not (tmp_path / "run").exists()
