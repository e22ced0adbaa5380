"""Thought anchors (arXiv 2506.19143): files of a folder a problem, as rows {"path": …, "content": JSON}.

…/problem_7/problem.json          {"problem", "gt_answer"}
…/problem_7/base_solution.json    {"full_cot" or "solution", "is_correct"}
…/problem_7/chunks_labeled.json   [{"chunk", "chunk_idx", "accuracy", "resampling_importance_accuracy"}]

The accuracy of a sentence is that of the rollouts from before it. Its importance is that of the next
sentence minus its own, or the size of that. Other files, the rollouts themselves, are left alone.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from ctm_data.formats.record import (
    Format,
    Row,
    Step,
    Stepped,
    Unfit,
    at,
    each,
    entries,
    follows,
    joined,
    probability,
    text,
)

PROBLEM, BASE, CHUNKS = "problem.json", "base_solution.json", "chunks_labeled.json"
IMPORTANCE = "resampling_importance_accuracy"


def _read(rows: Iterable[Row]) -> Iterator[Stepped | Unfit]:
    folders: dict[str, dict[str, Any]] = {}
    for row in rows:
        try:
            path = PurePosixPath(text(row, "path"))
            if path.name not in (PROBLEM, BASE, CHUNKS):
                continue
            own = folders.setdefault(str(path.parent), {})
            if path.name in own:
                raise Unfit("a file that is there twice")
            own[path.name] = json.loads(text(row, "content"))
        except Unfit as reason:
            yield reason
        except (ValueError, RecursionError):
            yield Unfit("a content that is not JSON")
    yield from each(_record)(folders.values())


def _record(files: dict[str, Any]) -> Stepped:
    if not {PROBLEM, CHUNKS} <= set(files):
        raise Unfit(f"a folder without {PROBLEM} or {CHUNKS}")
    chunks = entries(files, CHUNKS)
    whole, spans = joined([text(chunk, "chunk") for chunk in chunks], " ")
    if any(at(chunk, "chunk_idx") not in (None, i) for i, chunk in enumerate(chunks)):
        raise Unfit("sentences that are missing or out of order")
    correct = at(files, BASE, "is_correct")
    before = [probability(chunk, "accuracy") for chunk in chunks]
    steps = []
    for i, (span, chunk) in enumerate(zip(spans, chunks, strict=True)):
        after = before[i + 1] if i + 1 < len(before) else None
        if after is not None:
            follows(chunk, IMPORTANCE, after - before[i], absolute=True)
        steps.append(Step(*span, value_before=before[i], value=after))
    answer = at(files, PROBLEM, "gt_answer")
    return Stepped(
        question=text(files, PROBLEM, "problem"),
        text=whole,
        steps=tuple(steps),
        answer=text(files, PROBLEM, "gt_answer") if answer is not None else None,
        correct=correct if isinstance(correct, bool) else None,
    )


def _write(records: Iterable[Stepped]) -> Iterator[dict[str, Any] | Unfit]:
    for number, record in enumerate(records):
        if any(step.value_before is None for step in record.steps):
            yield Unfit("a step without values")
            continue
        files = {
            PROBLEM: {"problem": record.question, "gt_answer": record.answer},
            BASE: {"solution": record.text, "is_correct": record.correct},
            CHUNKS: [
                {
                    "chunk": piece,
                    "chunk_idx": i,
                    "accuracy": step.value_before,
                    IMPORTANCE: None
                    if step.value is None or step.value_before is None
                    else step.value - step.value_before,
                }
                for i, (piece, step) in enumerate(zip(record.pieces(), record.steps, strict=True))
            ],
        }
        for name, content in files.items():
            yield {"path": f"problem_{number}/{name}", "filename": name,
                   "content": json.dumps(content, ensure_ascii=False)}  # fmt: skip


THOUGHT_ANCHORS = Format("thought-anchors", _read, _write)
