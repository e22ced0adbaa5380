"""`pts` (pivotal tokens, arXiv 2412.08905): a token or a sentence, and the success rate before and after.

version 1   {"query", "pivot_context", "pivot_token", "pivot_token_id", "prob_before", "prob_after",
             "prob_delta", "is_positive", "model_id"}; of a sentence {"query", "prefix_context", "sentence",
             "sentence_id", "prob_without_sentence", "prob_with_sentence"}
version 2   {"event_type", "granularity": "token" | "sentence", "query", "context", "label", "token_id",
             "prob_before", "prob_after", "prob_delta", "is_positive", "model_id"}

The context may begin with the query. Version 2 is written.
"""

from typing import Any

from ctm_data.formats.record import (
    Format,
    Row,
    Step,
    Stepped,
    Unfit,
    at,
    each,
    follows,
    probability,
    text,
)

TOKEN, SENTENCE = "pivotal_token", "thought_anchor"


def _read(row: Row) -> Stepped:
    # In a table, every row has every column.
    if (granularity := at(row, "granularity")) is not None:
        if granularity not in ("token", "sentence"):
            raise Unfit("an event inside of the model, which has no place in a text")
        names = ("context", "label", "token_id", "prob_before", "prob_after")
    elif at(row, "pivot_token") is not None:
        names = ("pivot_context", "pivot_token", "pivot_token_id", "prob_before", "prob_after")
    else:
        names = ("prefix_context", "sentence", "", "prob_without_sentence", "prob_with_sentence")
    context, said, token, before, after = names
    # A token may be a blank.
    piece, prefix = at(row, said), at(row, context)
    if not isinstance(piece, str) or not piece or not isinstance(prefix, str):
        raise Unfit(f"no text in {context} or {said}")
    text({"text": f"x{prefix}{piece}"}, "text")  # refuses halves of characters
    question, low, high = text(row, "query"), probability(row, before), probability(row, after)
    follows(row, "prob_delta", high - low)
    positive = at(row, "is_positive")
    if positive is not None and positive != (high > low):
        raise Unfit("an is_positive that does not follow from its probabilities")
    token_id = at(row, token) if token else None
    if token_id is not None and (
        isinstance(token_id, bool) or not isinstance(token_id, int) or not 0 <= token_id < 2**31
    ):
        raise Unfit("a token id that is none")
    prefix = prefix.removeprefix(question)
    model = at(row, "model_id")
    return Stepped(
        question=question,
        text=prefix + piece,
        steps=(
            Step(
                len(prefix),
                len(prefix + piece),
                value_before=low,
                value=high,
                token_id=token_id,
            ),
        ),
        model=text(row, "model_id") if model is not None else None,
    )


def _write(record: Stepped) -> dict[str, Any]:
    [step] = record.steps
    if step.value is None or step.value_before is None:
        raise Unfit("a step without values")
    change = step.value - step.value_before
    of_token = step.token_id is not None
    return {
        "event_type": TOKEN if of_token else SENTENCE,
        "granularity": "token" if of_token else "sentence",
        "visibility": "emitted",
        "model_id": record.model,
        "query": record.question,
        "context": record.question + record.text[: step.start],
        "label": record.text[step.start : step.end],
        "token_id": step.token_id,
        "prob_before": step.value_before,
        "prob_after": step.value,
        "prob_delta": change,
        "score": abs(change),
        "is_positive": change > 0,
        "search_method": "ctm",
        "schema_version": "2.0",
    }


PTS = Format("pts", each(_read), each(_write))
