"""The tables of a run folder: their columns, and the check that every per-token list fits."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from ctm_eval.errors import CtmError

SCHEMA_VERSION = 1

_ids = pa.list_(pa.int32())
_floats = pa.list_(pa.float64())
_counts = pa.list_(pa.int32())

SCHEMAS: dict[str, pa.Schema] = {
    "problems": pa.schema(
        {
            "problem_id": pa.string(),
            "benchmark": pa.string(),
            "split": pa.string(),
            "question": pa.string(),
            "answer": pa.string(),
            "subject": pa.string(),
            "level": pa.string(),
            "tests": pa.list_(pa.string()),
        }
    ),
    "solutions": pa.schema(
        {
            "solution_id": pa.string(),
            "problem_id": pa.string(),
            "sample_index": pa.int32(),
            "model": pa.string(),
            "prompt_ids": _ids,
            "token_ids": _ids,
            "text": pa.string(),
            "answer": pa.string(),
            "correct": pa.bool_(),
            "verdict": pa.string(),
            "finish_reason": pa.string(),
            "temperature": pa.float64(),
            "top_p": pa.float64(),
            "seed": pa.int64(),
        }
    ),
    "rollouts": pa.schema(
        {
            "solution_id": pa.string(),
            "problem_id": pa.string(),
            "model": pa.string(),
            "prompt_ids": _ids,
            "token_ids": _ids,
            "pieces": pa.list_(pa.string()),
            "prompt_value": pa.float64(),
            "value": _floats,
            "value_low": _floats,
            "value_high": _floats,
            "n_rollouts": _counts,
            "n_correct": _counts,
            "keep_prob": _floats,
            "estimator": pa.string(),
            "rule": pa.string(),
            "marked": _counts,
            "critical_index": pa.int32(),
            "critical_piece": pa.string(),
            "replacement_pass_at_k": _floats,
            "replacements": pa.list_(
                pa.struct(
                    {
                        "token_id": pa.int32(),
                        "piece": pa.string(),
                        "n_rollouts": pa.int32(),
                        "n_correct": pa.int32(),
                    }
                )
            ),
            "generated_tokens": pa.int64(),
            "replacement_tokens": pa.int64(),
            "temperature": pa.float64(),
            "top_p": pa.float64(),
            "seed": pa.int64(),
        }
    ),
    "contrast": pa.schema(
        {
            "pair_id": pa.string(),
            "problem_id": pa.string(),
            "chosen_id": pa.string(),
            "rejected_id": pa.string(),
            "prompt": pa.string(),
            "chosen": pa.string(),
            "rejected": pa.string(),
            "prompt_ids": _ids,
            "chosen_ids": _ids,
            "rejected_ids": _ids,
            "chosen_ce": _floats,
            "rejected_ce": _floats,
            "positive_model": pa.string(),
            "negative_model": pa.string(),
            "ce_beta": pa.float64(),
            "ce_plausibility": pa.float64(),
            "seed": pa.int64(),
        }
    ),
    "verifier": pa.schema(
        {
            "solution_id": pa.string(),
            "problem_id": pa.string(),
            "kind": pa.string(),
            "generator": pa.string(),
            "question": pa.string(),
            "prompt": pa.string(),
            "solution": pa.string(),
            "description": pa.string(),
            "correct": pa.bool_(),
        }
    ),
    "scores": pa.schema(
        {
            "solution_id": pa.string(),
            "problem_id": pa.string(),
            "verifier": pa.string(),
            "method": pa.string(),
            "pool": pa.string(),
            "score": pa.float64(),
        }
    ),
    "programs": pa.schema(
        {
            "solution_id": pa.string(),
            "problem_id": pa.string(),
            "coder": pa.string(),
            "token_ids": _ids,
            "program": pa.string(),
            "printed": pa.string(),
            "result": pa.string(),
            "agrees": pa.bool_(),
            "description": pa.string(),
        }
    ),
}

KEYS: dict[str, tuple[str, ...]] = {
    "problems": ("problem_id",),
    "solutions": ("problem_id", "sample_index"),
    "rollouts": ("solution_id",),
    "contrast": ("pair_id",),
    "verifier": ("solution_id",),
    "scores": ("solution_id", "verifier", "pool"),
    "programs": ("solution_id", "coder"),
}

# By table, and by its column of token ids, the lists that are exactly as long (or null as a whole).
PER_TOKEN: dict[str, dict[str, tuple[str, ...]]] = {
    "rollouts": {
        "token_ids": (
            "pieces",
            "value",
            "value_low",
            "value_high",
            "n_rollouts",
            "n_correct",
            "keep_prob",
        ),
    },
    "contrast": {"chosen_ids": ("chosen_ce",), "rejected_ids": ("rejected_ce",)},
}


def to_table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as an Arrow table of the schema `name`.

    Raises CtmError if a per-token list is not exactly as long as its row's token list.
    """
    rows = list(rows)
    for row in rows:
        for ids, columns in PER_TOKEN.get(name, {}).items():
            for column in columns:
                if row[column] is not None and len(row[column]) != len(row[ids]):
                    raise CtmError(
                        f"{name}.{column} of {'/'.join(str(row[key]) for key in KEYS[name])} has "
                        f"{len(row[column])} entries for {len(row[ids])} tokens"
                    )
    return pa.Table.from_pylist(rows, schema=SCHEMAS[name])
