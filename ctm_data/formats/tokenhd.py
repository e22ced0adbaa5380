"""TokenHD (arXiv 2605.12384): a solution whose tokens have scores of hallucination, by critics.

{"problem": "What is 2 + 3?", "raw_answer": "2 + 3 = 6", "correctness": -1, "token_ids": [17, …],
 "token_weights": [0.0, 0.95, …]}

`correctness` is 1 or 0 for right ones, -1 for wrong ones. Scores belong to the tokens of one tokenizer,
which says where they lie in the text. Tokens with a score of one half or more are wrong; a step is a run of
tokens that are all right or all wrong. They are read, not written.
"""

from itertools import groupby
from typing import Any

from ctm_data.formats.record import Format, Row, Step, Stepped, Unfit, at, each, entries, text

WRONG = 0.5  # from which score a token is wrong (the least that its authors train on)


def tokenhd(tokenizer: Any) -> Format:
    """The format, for the tokens of a fast tokenizer."""

    def read(row: Row) -> Stepped:
        answer, ids = text(row, "raw_answer"), entries(row, "token_ids")
        scores, start = entries(row, "token_weights"), at(row, "start_id") or 0
        correctness = at(row, "correctness")
        if isinstance(correctness, bool) or correctness not in (-1, 0, 1):
            raise Unfit("a correctness that is none of -1, 0 and 1")
        if isinstance(start, bool) or not isinstance(start, int) or not 0 <= start <= len(ids):
            raise Unfit("a start_id outside of the tokens")
        own = ids[start:]
        scores = scores[start:] if len(scores) == len(ids) else scores
        if len(scores) != len(own):
            raise Unfit("another number of token weights than of tokens")
        if not all(_is_score(score) for score in scores):
            raise Unfit("a token weight outside of [0, 1]")
        encoded = tokenizer(answer, add_special_tokens=False, return_offsets_mapping=True)
        if list(encoded["input_ids"]) != own:
            raise Unfit("token ids that are not those of the text: another tokenizer's")
        tokens = zip(encoded["offset_mapping"], own, scores, strict=True)
        steps: list[Step] = []
        for label, run in groupby(tokens, lambda token: token[2] < WRONG):
            spans = list(run)
            # Two tokens may share a character.
            begin, end = max(spans[0][0][0], steps[-1].end if steps else 0), spans[-1][0][1]
            only = spans[0][1] if len(spans) == 1 else None
            if end > begin:
                steps.append(Step(begin, end, label=label, token_id=only))
        return Stepped(
            question=text(row, "problem"),
            text=answer,
            steps=tuple(steps),
            correct=correctness >= 0,
        )

    return Format("tokenhd", each(read), each(_write))


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _write(_: Stepped) -> Any:
    raise Unfit("a format that is read, not written")
