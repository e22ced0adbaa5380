"""The tables of a run folder: every column once, with its type, its meaning and what it is as long as."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ctm_eval.errors import CtmError

SCHEMA_VERSION = 4  # of the runs that are written
READABLE_VERSIONS = {
    1,
    2,
    3,
    4,
}  # of the runs that are read; columns of a later version read as null

_text, _flag, _index, _count, _real = (
    pa.string(),
    pa.bool_(),
    pa.int32(),
    pa.int64(),
    pa.float64(),
)
_texts, _ids, _reals = pa.list_(_text), pa.list_(_index), pa.list_(_real)
_replacements = pa.list_(
    pa.struct({"token_id": _index, "piece": _text, "n_rollouts": _index, "n_correct": _index})
)


@dataclass(frozen=True)
class Column:
    """A column. `per_token` names the column of token ids that its lists are exactly as long as.

    `since` is the schema version that brought it; in older runs it reads as null.
    """

    name: str
    type: pa.DataType
    meaning: str
    per_token: str | None = None
    since: int = 1


@dataclass(frozen=True)
class Table:
    """A table: the columns that identify a row, and all columns in their order."""

    key: tuple[str, ...]
    columns: tuple[Column, ...]


TABLES: dict[str, Table] = {
    "problems": Table(
        ("problem_id",),
        (
            Column("problem_id", _text, "Key."),
            Column("benchmark", _text, "Benchmark that the problem comes from."),
            Column("split", _text, "Dataset split."),
            Column("question", _text, "Text of the problem."),
            Column(
                "answer", _text, "Reference answer; a reference program for a programming task."
            ),
            Column("subject", _text, "Subject, as the benchmark names it."),
            Column("level", _text, "Difficulty level, as the benchmark states it."),
            Column("tests", _texts, "Tests that a program must pass; null for other problems."),
        ),
    ),
    "solutions": Table(
        ("problem_id", "sample_index"),
        (
            Column("solution_id", _text, "Key."),
            Column("problem_id", _text, "Problem that is solved."),
            Column("sample_index", _index, "Number of the sample within its problem, from 0."),
            Column("model", _text, "Model that wrote the solution."),
            Column("prompt_ids", _ids, "Token ids of the prompt."),
            Column(
                "token_ids",
                _ids,
                "Token ids of the solution, including the end-of-sequence token if it was drawn.",
            ),
            Column(
                "text",
                _text,
                "Decoded solution. A thought stands between `<think>` and `</think>`, whatever tags the "
                "model has.",
            ),
            Column("answer", _text, "Final answer found in the solution."),
            Column(
                "correct", _flag, "Whether the answer is right, or the program passes its tests."
            ),
            Column(
                "verdict", _text, "Result of grading: correct, wrong, or the reason for neither."
            ),
            Column(
                "suspicious",
                _text,
                "What a program did that an honest one would not, such as bringing an equality of its own; "
                "empty for nothing, null where no program was run.",
                since=4,
            ),
            Column(
                "finish_reason", _text, "stop, or length if the token limit cut the solution off."
            ),
            Column("temperature", _real, "Sampling temperature."),
            Column("top_p", _real, "Nucleus mass, applied after the temperature."),
            Column("seed", _count, "Random seed of this sample."),
            Column(
                "thought_end",
                _index,
                "How many of the tokens belong to the thought, its tags included; null if there is none.",
                since=3,
            ),
        ),
    ),
    "rollouts": Table(
        ("solution_id",),
        (
            Column("solution_id", _text, "Key: the solution that was rolled out."),
            Column("problem_id", _text, "Problem that is solved."),
            Column("model", _text, "Model that wrote the solution and continues it."),
            Column("prompt_ids", _ids, "Token ids of the prompt."),
            Column("token_ids", _ids, "Token ids of the solution."),
            Column("pieces", _texts, "Text of each token.", "token_ids"),
            Column("prompt_value", _real, "Probability of a right answer before the first token."),
            Column(
                "value",
                _reals,
                "Estimated probability of a right answer after each token.",
                "token_ids",
            ),
            Column("value_low", _reals, "Lower end of the 95% interval of the value.", "token_ids"),
            Column(
                "value_high", _reals, "Upper end of the 95% interval of the value.", "token_ids"
            ),
            Column("n_rollouts", _ids, "Number of rollouts made at each token.", "token_ids"),
            Column("n_correct", _ids, "Number of those rollouts that were right.", "token_ids"),
            Column(
                "keep_prob",
                _reals,
                "Probability that the policy draws exactly this token.",
                "token_ids",
            ),
            Column(
                "entropy",
                _reals,
                "Entropy in nats of the distribution that the policy draws this token from.",
                "token_ids",
                since=3,
            ),
            Column(
                "margin",
                _reals,
                "By how much the policy prefers its likeliest token here to the second.",
                "token_ids",
                since=3,
            ),
            Column(
                "greedy_id", _ids, "Id of the policy's likeliest token here.", "token_ids", since=3
            ),
            Column("estimator", _text, "Estimator of the values: branch or exhaustive."),
            Column("rule", _text, "Rule that marks tokens on the value curve."),
            Column("marked", _ids, "Indices of the marked tokens, from 0."),
            Column(
                "critical_index",
                _index,
                "Likeliest critical token, or the first marked one under another rule; null for none.",
            ),
            Column("critical_piece", _text, "Text of that token."),
            Column(
                "critical_prob",
                _reals,
                "Probability that the token is the critical one, given the rollouts.",
                "token_ids",
                since=2,
            ),
            Column(
                "critical_low",
                _index,
                "First token of the smallest run that holds the critical one with 90% probability.",
                since=2,
            ),
            Column("critical_high", _index, "Last token of that run.", since=2),
            Column(
                "repeat_predicted",
                _flag,
                "Whether two runs simulated from the rollouts give the same critical token; null under "
                "another rule and for right solutions.",
                since=3,
            ),
            Column(
                "repeat_index",
                _index,
                "Critical token of a second run with another seed; null for none or no second run.",
                since=3,
            ),
            Column(
                "repeat_tokens",
                _count,
                "Tokens generated by the second run; null if there was none.",
                since=3,
            ),
            Column(
                "replacement_pass_at_k",
                _reals,
                "pass@1, 2, 4, … when another token is drawn in its place.",
            ),
            Column("replacements", _replacements, "Those rollouts, grouped by the token drawn."),
            Column("generated_tokens", _count, "Tokens generated to estimate the values."),
            Column("replacement_tokens", _count, "Further tokens generated for the replacements."),
            Column("temperature", _real, "Temperature of the rollouts."),
            Column("top_p", _real, "Nucleus mass of the rollouts."),
            Column("seed", _count, "Random seed of the run."),
        ),
    ),
    "contrast": Table(
        ("pair_id",),
        (
            Column("pair_id", _text, "Key."),
            Column("problem_id", _text, "Problem that both solutions answer."),
            Column("chosen_id", _text, "Right solution, if it is in `solutions`."),
            Column("rejected_id", _text, "Wrong solution, if it is in `solutions`."),
            Column("prompt", _text, "Prompt that both continue."),
            Column("chosen", _text, "Text of the right solution."),
            Column("rejected", _text, "Text of the wrong solution."),
            Column("prompt_ids", _ids, "Token ids of the prompt."),
            Column("chosen_ids", _ids, "Token ids of the right solution."),
            Column("rejected_ids", _ids, "Token ids of the wrong solution."),
            Column(
                "chosen_ce",
                _reals,
                "Contrastive score of each token of the right solution, in [0, 1]; a low score suggests a "
                "critical token.",
                "chosen_ids",
            ),
            Column("rejected_ce", _reals, "The same score for the wrong solution.", "rejected_ids"),
            Column(
                "chosen_log_ratio",
                _reals,
                "log p+ - log p- of each token of the right solution, in nats.",
                "chosen_ids",
                since=4,
            ),
            Column(
                "rejected_log_ratio",
                _reals,
                "The same for the wrong solution.",
                "rejected_ids",
                since=4,
            ),
            Column(
                "rejected_value_drop",
                _reals,
                "By how much each token of the wrong solution lowers the estimated probability of a right "
                "answer, negative where it raises it; null without rollouts.",
                "rejected_ids",
                since=2,
            ),
            Column(
                "rejected_critical",
                _index,
                "Index of the critical token of the wrong solution, from 0; null without one.",
                since=2,
            ),
            Column("positive_model", _text, "p+, the model trained on right solutions."),
            Column("negative_model", _text, "p-, the model trained on wrong solutions."),
            Column("ce_beta", _real, "β of the contrastive score."),
            Column("ce_plausibility", _real, "Plausibility threshold of the score; 0 for none."),
            Column("seed", _count, "Random seed that chose the pair."),
        ),
    ),
    "verifier": Table(
        ("solution_id",),
        (
            Column("solution_id", _text, "Key: the solution in `solutions`."),
            Column("problem_id", _text, "Problem that is solved."),
            Column("kind", _text, "math or code."),
            Column("generator", _text, "Model that wrote the solution."),
            Column("question", _text, "Text of the problem."),
            Column(
                "prompt",
                _text,
                "What a verifier reads before the solution: the question as an exercise, without the chat "
                "or the worked examples that its generator was given.",
            ),
            Column(
                "solution",
                _text,
                "Text of the solution. Of solutions that differ in white space, one.",
            ),
            Column(
                "description",
                _text,
                "What a program does, in the words of the model that wrote it; null if not asked for.",
            ),
            Column(
                "correct", _flag, "Label: the answer is right, or the program passes its tests."
            ),
        ),
    ),
    "steps": Table(
        ("solution_id", "step_index"),
        (
            Column("solution_id", _text, "Solution that the step is of."),
            Column("problem_id", _text, "Problem that is solved."),
            Column("step_index", _index, "Number of the step within its solution, from 0."),
            Column("start", _index, "First character of the step in the solution's text."),
            Column("end", _index, "The character after its last one."),
            Column("value_before", _real, "Probability of a right answer before the step."),
            Column("value", _real, "Probability of a right answer after the step."),
            Column("label", _flag, "Whether the step is right."),
            Column("rating", _index, "Rating by a human: -1 bad, 0 neutral, 1 good."),
            Column("token_id", _index, "Token that the step is; null if it is more than one."),
        ),
    ),
    "scores": Table(
        ("solution_id", "verifier", "pool"),
        (
            Column("solution_id", _text, "Solution that was scored."),
            Column("problem_id", _text, "Problem that is solved."),
            Column("verifier", _text, "Verifier that gave the score."),
            Column("method", _text, "Method that trained the verifier."),
            Column("pool", _text, "How token scores became one score; null without a scalar head."),
            Column("score", _real, "Score: higher is better, comparable within a problem."),
        ),
    ),
    "programs": Table(
        ("solution_id", "coder"),
        (
            Column("solution_id", _text, "Solution that was turned into a program."),
            Column("problem_id", _text, "Problem that is solved."),
            Column("coder", _text, "Model that wrote the program."),
            Column("token_ids", _ids, "Token ids of what the coder wrote."),
            Column("program", _text, "Program found in it."),
            Column("printed", _text, "Last answer that the program printed."),
            Column("result", _text, "agrees, or why the program does not confirm the solution."),
            Column(
                "agrees",
                _flag,
                "Whether the program printed the solution's answer; null where the solution is a program.",
            ),
            Column("description", _text, "What a solution that is a program does, in words."),
        ),
    ),
}


def schemas_of(version: int) -> dict[str, pa.Schema]:
    """The Arrow schemas of the tables of a schema version."""
    return {
        name: pa.schema([(c.name, c.type) for c in table.columns if c.since <= version])
        for name, table in TABLES.items()
    }


SCHEMAS: dict[str, pa.Schema] = schemas_of(SCHEMA_VERSION)
KEYS: dict[str, tuple[str, ...]] = {name: table.key for name, table in TABLES.items()}


def fits(found: pa.Schema, table: str) -> bool:
    """Whether a part of the schema `found` can be read as one of a table, of any readable version."""
    return any(found.equals(schemas_of(version)[table]) for version in READABLE_VERSIONS)


def per_token(table: str) -> dict[str, str]:
    """The columns of a table whose lists are as long as a list of token ids, and which one that is."""
    columns = TABLES[table].columns
    return {column.name: column.per_token for column in columns if column.per_token}


def to_table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as an Arrow table of the schema `name`.

    Raises CtmError if a per-token list is not exactly as long as its row's token list.
    """
    rows = list(rows)
    lengths = per_token(name)
    for row in rows:
        for column, ids in lengths.items():
            if row.get(column) is not None and len(row[column]) != len(row[ids]):
                raise CtmError(
                    f"{name}.{column} of {'/'.join(str(row[key]) for key in KEYS[name])} has "
                    f"{len(row[column])} entries for {len(row[ids])} tokens"
                )
    return pa.Table.from_pylist(rows, schema=SCHEMAS[name])
