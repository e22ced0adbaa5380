"""trl's stepwise supervision: {"prompt": …, "completions": ["2 + 3 = 5", …], "labels": [true, …]}."""

from typing import Any

from ctm_data.formats.record import (
    Format,
    Row,
    Step,
    Stepped,
    Unfit,
    each,
    entries,
    hard,
    joined,
    text,
)


def _read(row: Row) -> Stepped:
    pieces, labels = entries(row, "completions"), entries(row, "labels")
    if len(pieces) != len(labels):
        raise Unfit("another number of labels than of completions")
    if not all(isinstance(label, bool) for label in labels):
        raise Unfit("a label that is neither true nor false")
    whole, spans = joined([text({"completions": piece}, "completions") for piece in pieces])
    return Stepped(
        question=text(row, "prompt"),
        text=whole,
        steps=tuple(Step(*span, label=one) for span, one in zip(spans, labels, strict=True)),
    )


def _write(record: Stepped) -> dict[str, Any]:
    return {
        "prompt": record.question,
        "completions": record.pieces(),
        "labels": [hard(step) for step in record.steps],
    }


TRL_STEPWISE = Format("trl-stepwise", each(_read), each(_write))
