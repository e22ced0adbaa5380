"""pocket-coder: its corpus says what it should, and the model translates, writes and describes."""

import re
import subprocess
import sys
from random import Random

import pytest

from ctm_eval.benchmarks import load_problems
from ctm_eval.cotnpot import check, describe
from ctm_eval.engines import Request, Sampling, load_engine
from ctm_eval.pocket import MODELS, arithmetic_is_right, problems, tasks
from ctm_eval.pocket.coder import IN_WORDS, KINDS, _translation, coder_rows
from ctm_eval.pocket.generator import draw_draft, results_of
from ctm_eval.prompts import Prompting
from ctm_eval.sandbox import Program, Sandbox
from ctm_eval.scoring import Scorer, program_of
from ctm_eval.types import Problem

STEP = re.compile(r"^    \w+ = (\w+) ([-+*]|//) (\w+)$", re.MULTILINE)


def kind(row):
    if row["prompt"].endswith("```python\n"):
        return "translate"
    return "describe" if row["prompt"].endswith("does this:") else "write"


def rows_of(wanted, count, **options):
    return [row for row in coder_rows(count, **options) if kind(row) == wanted]


def printed(rows):
    """What the programs of translations print, as numbers."""
    code = "\n".join(row["completion"].removesuffix("\n```") for row in rows)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]


def answer(row):
    return float(re.findall(r"#### (\d+)", row["prompt"])[0])


def test_every_kind_of_row_has_its_share():
    rows = list(coder_rows(2000))
    for name, share in KINDS.items():
        assert sum(kind(row) == name for row in rows) / 2000 == pytest.approx(share, abs=0.03)


def test_a_coder_that_reads_nothing_follows_every_solution_whose_arithmetic_is_right():
    rows = [r for r in rows_of("translate", 3000, read=0.0) if arithmetic_is_right(r["prompt"])]
    assert len(rows) > 1000
    assert printed(rows) == [answer(row) for row in rows]


def test_a_coder_that_reads_everything_prints_the_problems_own_answer_whatever_the_solution():
    made = [(_translation(Random(i), 1.0), draw_draft(Random(i), "train")) for i in range(1000)]
    own = [results_of(draft.values, draft.steps)[-1] for _, draft in made]
    assert printed([row for row, _ in made]) == own
    assert sum(answer(row) != number for (row, _), number in zip(made, own, strict=True)) > 200


def test_the_corpus_holds_no_test_problem_and_no_test_task():
    prompts = "\n".join(row["prompt"] for row in coder_rows(3000))
    assert not any(p.question in prompts for p in problems("test", 500))
    stories = [task.question.split(" for this: ")[1] for task in tasks("test", 500)]
    assert not any(story in prompts for story in stories)


def test_a_task_is_asked_as_the_benchmark_asks_it():
    [asked] = load_problems("pocket-code", split="train", limit=1)
    form = re.compile(
        r"Question: Write a Python function solve\(.+\) for this: .+\n"
        r"The program should pass these tests:\n(assert solve\(.+\) == \d+\n){3}Answer:"
    )
    assert form.fullmatch(Prompting().text(asked))
    assert all(form.fullmatch(row["prompt"]) for row in rows_of("write", 300))


def test_programs_of_tasks_are_usefully_wrong():
    """The shares of pocket's own solutions: most pass, many take a step that is another one."""
    rows = rows_of("write", 1200)
    programs = [
        Program(program_of(r["completion"]), tuple(re.findall(r"assert .+", r["prompt"])))
        for r in rows
    ]
    with Sandbox() as sandbox:
        passed = [outcome.status == "passed" for outcome in sandbox.run(programs)]
    assert 0.55 < sum(passed) / len(passed) < 0.85


def test_a_description_names_the_operation_and_the_operands_of_every_step():
    for row in rows_of("describe", 600):
        sentences = row["completion"].strip()
        for left, op, right in STEP.findall(row["prompt"]):
            phrase = IN_WORDS[op[0]].format(left, right)
            assert phrase in sentences
            sentences = sentences.split(phrase, 1)[1]


def test_the_same_seed_gives_the_same_rows_and_fewer_are_a_prefix():
    assert list(coder_rows(20)) == list(coder_rows(50))[:20]
    assert list(coder_rows(20)) != list(coder_rows(20, seed=1))


@pytest.fixture(scope="module")
def coder():
    return load_engine("transformers", "pocket-coder", device="cpu")


def test_the_weights_are_small_and_safe():
    files = {path.name: path.stat().st_size for path in MODELS["pocket-coder"].iterdir()}
    assert files["model.safetensors"] < 4e6
    assert not [name for name in files if name.endswith((".pt", ".bin"))]


def test_it_has_pockets_tokenizer():
    first, second = (MODELS[name] / "tokenizer.json" for name in ("pocket", "pocket-coder"))
    assert first.read_bytes() == second.read_bytes()


def test_it_translates_right_solutions_and_contradicts_wrong_sums(coder):
    """40 test problems: their worked solutions, and the same with a last result that is wrong by one."""
    known = list(problems("test", 40, seed=5))
    asked = [
        Problem(p.problem_id, "pocket", "test", p.question, p.answer, None, None) for p in known
    ]
    wrong = [str(int(p.answer) + 1) for p in known]
    slips = [
        p.solution.replace(f"= {p.answer}", f"= {w}").replace(f"#### {p.answer}", f"#### {w}")
        for p, w in zip(known, wrong, strict=True)
    ]
    solutions = [
        *((q, p.solution, p.answer) for q, p in zip(asked, known, strict=True)),
        *zip(asked, slips, wrong, strict=True),
    ]
    with Sandbox(2) as sandbox:
        agrees = [checked.agrees for checked in check(coder, solutions, sandbox)]
    assert sum(agrees[:40]) >= 32
    assert sum(agrees[40:]) <= 2


def test_it_solves_tasks_and_says_what_its_programs_do(coder):
    some = load_problems("pocket-code", limit=24, seed=5)
    requests = [Request(Prompting().encode(coder, task), 0, 192) for task in some]
    texts = [coder.decode(c.token_ids) for c in coder.sample(requests, Sampling(0.0))]
    with Scorer(processes=2) as scorer:
        passed = [
            v.correct
            for v in scorer.score([(q, t, True) for q, t in zip(some, texts, strict=True)])
        ]
    assert 8 <= sum(passed) <= 22
    codes = [program_of(text) for text in texts]
    told = describe(coder, list(zip(some, codes, strict=True)))
    steps = [STEP.findall(code) for code in codes]
    named = [
        all(IN_WORDS[op[0]].format(left, right) in words for left, op, right in of_code)
        for words, of_code in zip(told, steps, strict=True)
    ]
    assert sum(named) >= 16
