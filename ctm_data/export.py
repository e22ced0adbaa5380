"""`export`: a run's steps, pivotal tokens, pairs or samples as a JSONL file in a format of others."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ctm_data.formats import FORMATS
from ctm_data.formats.record import Step, Stepped, Unfit
from ctm_data.run.store import Store
from ctm_eval.data_files import writable
from ctm_eval.errors import CtmError
from ctm_eval.output_file import output_file
from ctm_eval.steps import StepRule, token_steps

TABLES = {"dpo": "contrast", "lm-eval": "solutions"}  # formats of whole tables
KINDS = (*FORMATS, *TABLES)
PIVOTAL = 0.2  # by how much the value changes at a pivotal token (arXiv 2412.08905)
Row = dict[str, Any]


@dataclass(frozen=True)
class Exported:
    """How many rows were written, and how many solutions could not be, by reason."""

    rows: int
    set_aside: dict[str, int]


def export(run: str | Path, kind: str, output: str | Path, *, rule: StepRule = "lines") -> Exported:
    """Writes `run` as the JSONL file `output` in the format `kind`, whole or not at all.

    The steps are those of the table `steps`, or else the values of `rollouts` at the ends of the steps
    that `rule` cuts; `pts` takes the tokens at which the value changes by 0.2 or more. `dpo` has the pairs
    of `contrast`, `lm-eval` the samples as lm-evaluation-harness logs them. Raises CtmError.
    """

    if kind not in KINDS:
        raise CtmError(f"unknown format {kind!r}; there are: {', '.join(KINDS)}", usage=True)
    writable(output)
    store, aside, written = Store(run), Counter[str](), 0
    rows: Iterable[Row | Unfit]
    if kind in TABLES:
        rows = _pairs(store) if kind == "dpo" else _samples(store)
    else:
        records = stepped(store, rule, tokens=kind == "pts")
        rows = FORMATS[kind].write(_one_by_one(records) if kind == "pts" else records)

    def lines() -> Iterator[bytes]:
        nonlocal written
        for row in rows:
            if isinstance(row, Unfit):
                aside[str(row)] += 1
                continue
            written += 1
            yield json.dumps(row, ensure_ascii=False).encode() + b"\n"
        if not written:
            reasons = "; ".join(f"{reason}: {count}" for reason, count in aside.most_common(5))
            needs = TABLES.get(kind, "steps or rollouts")
            raise CtmError(
                f"{run} has nothing to write as {kind} ({reasons or f'it has no {needs}'})",
                usage=True,
            )

    path = Path(output)
    with output_file(path) as file:
        file.writelines(lines())
    return Exported(written, dict(sorted(aside.items())))


def stepped(store: Store, rule: StepRule = "lines", *, tokens: bool = False) -> Iterator[Stepped]:
    """The solutions of a run that have steps; with `tokens`, pivotal tokens in their place where the run
    has rollouts."""
    problems = {
        row["problem_id"]: row
        for part in store.each("problems", ["problem_id", "question", "answer"])
        for row in part.to_pylist()
    }
    solutions = {
        row["solution_id"]: row
        for part in store.each(
            "solutions", ["solution_id", "problem_id", "text", "correct", "model"]
        )
        for row in part.to_pylist()
    }

    def record(solution_id: str, text: str, steps: Iterable[Step]) -> Stepped:
        solution = solutions[solution_id]
        problem = problems[solution["problem_id"]]
        return Stepped(
            question=problem["question"],
            answer=problem["answer"],
            text=text,
            steps=tuple(steps),
            correct=solution["correct"],
            model=solution["model"],
        )

    own: dict[str, list[Step]] = {}
    names = [field.name for field in fields(Step)]
    for part in store.each("steps", ["solution_id", *names]):
        for row in part.to_pylist():
            own.setdefault(row.pop("solution_id"), []).append(Step(**row))
    for solution_id, steps in own.items():
        yield record(solution_id, solutions[solution_id]["text"], steps)
    for part in store.each(
        "rollouts", ["solution_id", "token_ids", "pieces", "prompt_value", "value"]
    ):
        for row in part.to_pylist():
            if row["solution_id"] in own:
                continue
            steps = list(_tokens(row) if tokens else _lines(row, rule))
            if steps:
                yield record(row["solution_id"], "".join(row["pieces"]), steps)


def _lines(row: Row, rule: StepRule) -> Iterator[Step]:
    """The steps of a rolled-out solution, each with the values before and after it."""
    starts = _starts(row["pieces"])
    before = row["prompt_value"]
    for step in token_steps(row["pieces"], rule):
        text = "".join(row["pieces"][step.start : step.stop])
        first = starts[step.start] + len(text) - len(text.lstrip())
        after = row["value"][step[-1]]
        if text.strip():
            yield Step(first, first + len(text.strip()), value_before=before, value=after)
        before = after


def _tokens(row: Row) -> Iterator[Step]:
    """The pivotal tokens of a rolled-out solution."""
    starts = _starts(row["pieces"])
    before = row["prompt_value"]
    for i, (token_id, after) in enumerate(zip(row["token_ids"], row["value"], strict=True)):
        known = before is not None and after is not None
        if known and abs(after - before) >= PIVOTAL and row["pieces"][i]:
            yield Step(starts[i], starts[i + 1], before, after, token_id=token_id)
        before = after


def _starts(pieces: list[str]) -> list[int]:
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    return starts


def _one_by_one(records: Iterable[Stepped]) -> Iterator[Stepped]:
    """A record a step, whose text ends with it."""
    for one in records:
        for step in one.steps:
            yield Stepped(
                one.question, one.text[: step.end], (step,), one.answer, one.correct, one.model
            )


def _pairs(store: Store) -> Iterator[Row]:
    for part in store.each("contrast", ["prompt", "chosen", "rejected"]):
        yield from part.to_pylist()


def _samples(store: Store) -> Iterator[Row]:
    """A row a problem, as `lm_eval --log_samples` writes it."""
    questions = {
        row["problem_id"]: row
        for part in store.each("problems", ["problem_id", "question", "answer"])
        for row in part.to_pylist()
    }
    grouped: dict[str, list[Row]] = {}
    columns = ["problem_id", "text", "answer", "correct"]
    for part in store.each("solutions", columns):
        for row in part.to_pylist():
            grouped.setdefault(row["problem_id"], []).append(row)
    for number, (problem_id, own) in enumerate(grouped.items()):
        problem = questions[problem_id]
        graded = [row["correct"] for row in own if row["correct"] is not None]
        yield {
            "doc_id": number,
            "doc": {"question": problem["question"], "answer": problem["answer"]},
            "target": problem["answer"],
            "arguments": [[problem["question"], {}]],
            "resps": [[row["text"] for row in own]],
            "filtered_resps": [row["answer"] for row in own],
            "exact_match": sum(graded) / len(graded) if graded else None,
        }
