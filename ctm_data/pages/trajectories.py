"""A rolled-out solution as a page shows it: its values, what was tried at its tokens, and its scores.

The tables keep which tokens the rollouts drew at the critical token only, and the texts of no rollout. What
the page has for every other token are the samples of the same problem that agree with the solution up to
there: what they wrote instead, how often that went well, and a text each way.

Shares travel as whole thousandths, entropies and surprisals as whole thousandths of a nat.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ctm_data.estimator.critical import cliff, pivotal
from ctm_data.estimator.values import beta_interval
from ctm_data.pages.lists import fetched, placeholders

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXAMPLE = 400  # characters of an example
ALTERNATIVES = 8  # at a token, those with the most samples
NAMED = 2000  # trajectories whose tokens give the texts of token ids


def name_tokens(con: "DuckDBPyConnection") -> None:
    """Makes the table `names`: the text of token ids, as far as trajectories and replacements have them."""
    con.execute(f"""
create table names as
select token_id, min(piece) as piece
from (
    select unnest(token_ids) as token_id, unnest(pieces) as piece
    from (select token_ids, pieces from rollouts limit {NAMED})
    union all
    select replaced.token_id, replaced.piece
    from (select unnest(replacements) as replaced from (select replacements from rollouts limit {NAMED}))
)
group by token_id
""")


def trajectories(
    con: "DuckDBPyConnection", ids: Sequence[str], n_rollouts: int
) -> dict[str, dict[str, Any]]:
    """What the page shows of the rolled-out solutions `ids`, by id; those that there are.

    `n_rollouts` is how many rollouts are behind a value, by the run's recipe. Needs `name_tokens`.
    """
    among = placeholders(ids)
    found = fetched(
        con,
        f"""
select rollouts.*, question, right_answer, answer, verdict
from rollouts
left join (select problem_id, question, answer as right_answer from problems) using (problem_id)
left join (select solution_id, answer, verdict from solutions where solution_id in ({among}))
    using (solution_id)
where solution_id in ({among})
""",
        [*ids, *ids],
    )
    scores = {
        row["id"]: row["ce"]
        for row in fetched(
            con,
            f"""
select rejected_id as id, rejected_ce as ce from contrast
where rejected_id in ({among}) and rejected_ce is not null
union all
select chosen_id, chosen_ce from contrast where chosen_id in ({among}) and chosen_ce is not null
""",
            [*ids, *ids],
        )
    }
    samples = _samples(con, sorted({row["problem_id"] for row in found}))
    others = {row["solution_id"]: _others(row, samples.get(row["problem_id"], ())) for row in found}
    names = _names(con, found, others.values())
    return {
        name: _whole(row, scores.get(name), others[name], names, n_rollouts)
        for row in found
        if (name := row["solution_id"])
    }


def _samples(con: "DuckDBPyConnection", problems: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The samples of problems in the order in which they were drawn."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in fetched(
        con,
        f"""
select solution_id, problem_id, model, token_ids, text, correct
from solutions
where problem_id in ({placeholders(problems)})
order by problem_id, sample_index, solution_id
""",
        problems,
    ):
        found.setdefault(row["problem_id"], []).append(row)
    return found


Others = dict[int, dict[str, Any]]  # by position


def _others(row: Mapping[str, Any], samples: Iterable[Mapping[str, Any]]) -> Others:
    """By position, the samples that leave the solution there: counts a token, and an example each way."""
    found: Others = {}
    for sample in samples:
        if sample["solution_id"] == row["solution_id"] or sample["model"] != row["model"]:
            continue
        at = _parting(row["token_ids"], sample["token_ids"])
        if at is None:
            continue
        here = found.setdefault(at, {"counts": {}})
        count = here["counts"].setdefault(sample["token_ids"][at], [0, 0])
        count[0] += 1
        count[1] += bool(sample["correct"])
        way = "right" if sample["correct"] else "wrong"
        if way not in here and (text := _rest(row["pieces"][:at], sample["text"])):
            here[way] = text
    return found


def _parting(own: Sequence[int], other: Sequence[int]) -> int | None:
    """The first position at which two solutions differ; None if one begins with the other."""
    return next((i for i, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), None)


def _rest(pieces: Sequence[str], text: str) -> str | None:
    """A sample's text from where it parts; None if its tokens spell the beginning differently."""
    before = "".join(pieces)
    for beginning in (before, before.lstrip()):
        if text.startswith(beginning):
            rest = text[len(beginning) :]
            return rest if len(rest) <= EXAMPLE else rest[:EXAMPLE] + "…"
    return None


def _names(
    con: "DuckDBPyConnection", rows: Sequence[Mapping[str, Any]], others: Iterable[Others]
) -> dict[int, str]:
    """The texts of the token ids that are told of, as far as they are known."""
    ids = {token for row in rows for token in row["greedy_id"] or () if token is not None}
    ids |= {token for own in others for here in own.values() for token in here["counts"]}
    known = con.execute(
        f"select token_id, piece from names where token_id in ({placeholders(list(ids)) or 'null'})",
        list(ids),
    ).fetchall()
    return dict(known)


def _whole(
    row: Mapping[str, Any],
    scores: Sequence[float] | None,
    others: Others,
    names: Mapping[int, str],
    n_rollouts: int,
) -> dict[str, Any]:
    length = len(row["pieces"])
    curve = np.array([row["prompt_value"], *row["value"]], dtype=float)
    return {
        "question": row["question"],
        "answer": row["right_answer"],
        "said": row["answer"],
        "verdict": row["verdict"],
        "model": row["model"],
        "estimator": row["estimator"],
        "n": n_rollouts,
        "pieces": row["pieces"],
        "start": _milli(row["prompt_value"]),
        "value": _millis(row["value"]),
        "low": _millis(row["value_low"]),
        "high": _millis(row["value_high"]),
        "rollouts": row["n_rollouts"],
        "right": row["n_correct"],
        "surprisal": [None if not p else round(-1000 * math.log(p)) for p in row["keep_prob"]],
        "entropy": _millis(row["entropy"]),
        "ce": scores and (_millis(scores)[:length] + [None] * (length - len(scores))),  # type: ignore[index]
        "chance": _millis(row["critical_prob"]),
        "critical": row["critical_index"],
        "run": None if row["critical_low"] is None else [row["critical_low"], row["critical_high"]],
        "pivotal": pivotal(curve),
        "cliff": cliff(curve, max(1, n_rollouts)),
        "passes": _millis(row["replacement_pass_at_k"]),
        "replacements": _replacements(row["replacements"] or ()),
        "likeliest": _likeliest(row, names),
        "others": {at: _told(here, names) for at, here in sorted(others.items())},
    }


def _replacements(drawn: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """[text, rollouts, right ones, 95% interval of the chance] of each token drawn for the critical one."""
    if not drawn:
        return []
    count = np.array([r["n_rollouts"] for r in drawn], dtype=float)
    low, high = beta_interval(np.array([r["n_correct"] for r in drawn]) / count, count)
    return [
        [r["piece"], r["n_rollouts"], r["n_correct"], _milli(a), _milli(b)]
        for r, a, b in zip(drawn, low, high, strict=True)
    ]


def _likeliest(row: Mapping[str, Any], names: Mapping[int, str]) -> dict[int, str | None]:
    """By position, the policy's likeliest token where the solution has another one."""
    return {
        at: names.get(token)
        for at, (token, own) in enumerate(
            zip(row["greedy_id"] or (), row["token_ids"], strict=False)
        )
        if token is not None and token != own
    }


def _told(here: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, Any]:
    ranked = sorted(here["counts"].items(), key=lambda item: (-item[1][0], item[0]))
    rows = [[names.get(token), *count] for token, count in ranked]
    rest = rows[ALTERNATIVES:]
    told: dict[str, Any] = {"tokens": rows[:ALTERNATIVES]}
    if rest:
        told["more"] = [len(rest), sum(n for _, n, _ in rest), sum(right for *_, right in rest)]
    return told | {way: here[way] for way in ("right", "wrong") if way in here}


def _milli(value: float | None) -> int | None:
    return None if value is None else round(1000 * value)


def _millis(values: Sequence[float | None] | None) -> list[int | None] | None:
    return None if values is None else [_milli(value) for value in values]
