"""Math-Shepherd (arXiv 2312.08935): a solution whose steps end with `ки`, and the same text with labels.

{"input": "What is 2 + 3? Step 1: 2 + 3 = 5 ки", "label": "What is 2 + 3? Step 1: 2 + 3 = 5 +",
 "task": "GSM8K"}
"""

import re
from typing import Any

from ctm_data.formats.record import Format, Row, Step, Stepped, Unfit, each, hard, joined, text

TAG = "ки"
FIRST = re.compile(r"Step 1\s*:")


def _read(row: Row) -> Stepped:
    parts, label = text(row, "input").split(TAG), text(row, "label")
    if parts.pop().strip():
        raise Unfit("text after the last step")
    labels, position = [], 0
    for part in parts:
        end = position + len(part)
        if label[position:end] != part or label[end : end + 1] not in ("+", "-"):
            raise Unfit("input and label that are not the same text")
        labels.append(label[end] == "+")
        position = end + 1
    if label[position:].strip():
        raise Unfit("input and label that are not the same text")
    first = FIRST.search(parts[0]) if parts else None
    if first is None or not parts[0][: first.start()].strip():
        raise Unfit("no question before Step 1")
    question, parts[0] = parts[0][: first.start()].strip(), parts[0][first.start() :]
    whole, spans = joined([part.strip() for part in parts])
    return Stepped(
        question=question,
        text=whole,
        steps=tuple(Step(*span, label=one) for span, one in zip(spans, labels, strict=True)),
        correct=labels[-1],  # the last step is followed by the final answer alone
    )


def _write(record: Stepped) -> dict[str, Any]:
    pieces = [piece.strip() for piece in record.pieces()]
    if not pieces or any(TAG in piece for piece in (record.question, *pieces)):
        raise Unfit("a solution without steps, or with the mark of a step in its text")
    if FIRST.search(record.question):
        raise Unfit("a question that holds Step 1")
    if not FIRST.match(pieces[0]):
        pieces = [f"Step {number}: {piece}" for number, piece in enumerate(pieces, 1)]
    labels = ["+" if hard(step) else "-" for step in record.steps]

    def line(marks: list[str]) -> str:
        steps = (f"{piece} {mark}" for piece, mark in zip(pieces, marks, strict=True))
        return f"{record.question} " + "\n".join(steps)

    return {"input": line([TAG] * len(pieces)), "label": line(labels), "task": "MATH"}


MATH_SHEPHERD = Format("math-shepherd", each(_read), each(_write))
