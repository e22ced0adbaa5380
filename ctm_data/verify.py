"""`verify`: whether a run is what its manifest says, and its tables agree with themselves.

What can be said in SQL is a condition below that no row may meet; the rest (hashes, schemas, the rule
that marks tokens, decoding) is computed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_data.run.files import sha256
from ctm_eval.errors import CtmError
from ctm_eval.printable import printable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from ctm_data.run.store import Store

SHOWN = 5  # failures that a check names
LONGEST = 500  # characters of one
NOISE = 1e-9  # of floating point
UNIT = {  # columns whose values are probabilities
    "rollouts": (
        "value",
        "value_low",
        "value_high",
        "keep_prob",
        "replacement_pass_at_k",
        "critical_prob",
    ),
    "contrast": ("chosen_ce", "rejected_ce"),
}
NO_SOLUTION = (
    "exists (from solutions) "
    "and (run, solution_id) not in (select (run, solution_id) from solutions)"
)
NEVER = {  # by table, what no row may be
    "solutions": {
        "a solution of a problem that is not there": (
            "(run, problem_id) not in (select (run, problem_id) from problems) "
            "and exists (from problems)"
        ),
    },
    "rollouts": {
        "prompt_value outside of [0, 1]": "not coalesce(prompt_value between 0 and 1, true)",
        "more right rollouts than rollouts": (
            "list_min(list_transform(list_zip(n_rollouts, n_correct), lambda n: n[1] - n[2])) < 0"
        ),
        "a value outside of its interval": (
            f"list_bool_or(list_transform(list_zip(value_low, value, value_high), "
            f"lambda v: v[1] > v[2] + {NOISE} or v[2] > v[3] + {NOISE}))"
        ),
        "critical_index that is not the first of marked": (
            "(critical_prob is null or rule <> 'critical') and critical_index is distinct from marked[1]"
        ),
        "critical_index that is not the likeliest": (
            "rule = 'critical' and critical_index is not null "
            f"and critical_prob[critical_index + 1] < list_max(critical_prob) - {NOISE}"
        ),
        "no critical_index where one is likelier than none": (
            "rule = 'critical' and critical_index is null "
            f"and list_max(critical_prob) > 1 - list_sum(critical_prob) + {NOISE}"
        ),
        "probabilities of the critical token that add up to more than 1": (
            f"list_sum(critical_prob) > 1 + {NOISE}"
        ),
        "a run of tokens that does not hold 90%": (
            "critical_low > critical_high or list_sum(list_slice(critical_prob, critical_low + 1, "
            f"critical_high + 1)) < 0.9 - {NOISE}"
        ),
        "repeat_index that is no token": (
            "not coalesce(repeat_index between 0 and len(token_ids) - 1 and repeat_tokens >= 0, true)"
        ),
        "critical_piece that is not the piece there": (
            "critical_piece is distinct from pieces[critical_index + 1]"
        ),
        "no solution of these tokens in `solutions`": (
            "exists (from solutions) and (run, solution_id, hash(token_ids)) not in "
            "(select (run, solution_id, hash(token_ids)) from solutions)"
        ),
        "a last value that is not what the solution was graded": (
            "exists (from solutions) and (run, solution_id, value[-1] = 1) not in "
            "(select (run, solution_id, correct) from solutions)"
        ),
    },
    "verifier": {
        "a label that is not the solution's": (
            "exists (from solutions) and (run, solution_id, correct) not in "
            "(select (run, solution_id, correct) from solutions)"
        ),
        "a text that is not the solution's, or its part before a stop string": (
            "exists (from solutions s where s.run = verifier.run "
            "and s.solution_id = verifier.solution_id and not starts_with(s.text, solution))"
        ),
    },
    "steps": {
        "a step of a solution that is not there": NO_SOLUTION,
        "a value outside of [0, 1]": (
            "not coalesce(value between 0 and 1, true) "
            "or not coalesce(value_before between 0 and 1, true)"
        ),
        "a step that is not within its solution's text": (
            "steps.start < 0 or steps.start >= steps.end or steps.end > (select length(s.text) "
            "from solutions s where s.run = steps.run and s.solution_id = steps.solution_id)"
        ),
    },
    "scores": {
        "a score of a solution that is not there": NO_SOLUTION,
        "a score that is no number": "score is null or not isfinite(score)",
    },
    "programs": {
        "a program of a solution that is not there": NO_SOLUTION,
        "agrees and result that say different things": "agrees <> (result = 'agrees')",
    },
}


@dataclass
class Check:
    """One thing that was looked at: how many items, and what is wrong with some of them."""

    name: str
    looked_at: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: str | None = None

    def fail(self, what: str, count: int = 1) -> None:
        """Counts a failure, and keeps the words of the first few."""
        self.failed += count
        if len(self.failures) < SHOWN:
            self.failures.append(printable(what, LONGEST))


@dataclass(frozen=True)
class Verification:
    """What `verify` found."""

    run: str
    checks: list[Check]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not any(check.failed for check in self.checks)


def verify(
    run: str | Path,
    *,
    revision: str | None = None,
    tokenizer: str | None = None,
    texts: bool = True,
) -> Verification:
    """Checks a run folder, or user/name on the Hub (which is brought to the cache for it).

    Manifest and hashes, schemas, that the parts are of the manifest's recipe, keys, per-token lengths,
    probabilities in [0, 1], critical tokens against the curve and the rule, and `texts` against the
    decoded ids (by `tokenizer`, or that of the
    recipe; skipped if it cannot be had). A file is read within the bounds of `ctm_eval.data_files`.
    Raises CtmError if there is no such run.
    """
    from ctm_data.run.hub_client import is_repo_name
    from ctm_data.run.sources import Source, refuse_revision, size_of_parts
    from ctm_data.run.store import Store
    from ctm_data.sql.connection import open_sources

    if is_repo_name(run):
        from ctm_data.run.hub_client import snapshot

        store = Store(snapshot(str(run), revision))
    else:
        refuse_revision(run, revision)
        store = Store(run)
    hashes, schemas, whole = check_parts(store)
    source = Source(str(run), store.manifest, "", whole, size_of_parts(whole))
    con = open_sources([source])
    checks = [hashes, schemas, _bound(store, whole)]
    checks += [_keys(con), _lengths(con), _probabilities(con)]
    checks += [_never(con, table) for table in NEVER if store.present(table)]
    checks.append(_marks(store, whole))
    if texts:
        checks.append(_texts(store, whole, tokenizer))
    return Verification(str(run), checks)


def check_parts(store: "Store") -> tuple[Check, Check, dict[str, list[str]]]:
    """The parts against the manifest's hashes, and against their schemas; and by table the parts that are
    whole and as listed."""
    from ctm_data.run.schema import SCHEMAS
    from ctm_data.run.store import is_whole

    check, schemas = Check("parts are those of the manifest"), Check("schemas")
    whole: dict[str, list[str]] = {table: [] for table in SCHEMAS}
    if "parts" not in store.manifest:
        check.fail("the run is not finished: run the command that makes it again")
    listed: dict[str, str] = store.manifest.get("parts", {})
    here = {
        str(path.relative_to(store.folder)): table
        for table in SCHEMAS
        for path in store.present(table)
    }
    for part in sorted({*listed, *here}):
        check.looked_at += 1
        path = store.folder / part
        if part not in here:
            check.fail(f"{part} is missing")
            continue
        schemas.looked_at += 1
        readable = is_whole(path, here[part])
        if not readable:
            schemas.fail(f"{part} cannot be read as a part of {here[part]}")
        if part not in listed:
            check.fail(f"{part} is not in the manifest")
        elif not path.is_file() or sha256(path) != listed[part]:
            check.fail(f"{part} was changed or cut off: its SHA-256 is not that of the manifest")
        elif readable:
            whole[here[part]].append(str(path))
    return check, schemas, whole


def _bound(store: "Store", whole: dict[str, list[str]]) -> Check:
    """Parts that say of what recipe they are, and in which place, against the manifest."""
    check, before = Check("parts are of this recipe"), 0
    for path in (Path(path) for paths in whole.values() for path in paths):
        match store.binding(path):
            case "bound":
                check.looked_at += 1
            case "not bound":
                before += 1
            case "other":
                check.looked_at += 1
                check.fail(
                    f"{path.relative_to(store.folder)} is of another recipe or another place"
                )
    if before:
        check.skipped = f"{before} not bound: made before parts said of what recipe they are"
    return check


def _keys(con: "DuckDBPyConnection") -> Check:
    from ctm_data.run.schema import KEYS

    check = Check("keys are unique")
    for table, key in KEYS.items():
        columns = ", ".join(key)
        check.looked_at += _count(con, f"from {table}")
        twice = f"select {columns} from {table} group by {columns}, run having count(*) > 1"
        _note(check, con, twice, f"{table}: twice")
    return check


def _lengths(con: "DuckDBPyConnection") -> Check:
    from ctm_data.run.schema import KEYS, TABLES, per_token

    check = Check("per-token lists are as long as their tokens")
    for table in TABLES:
        if columns := per_token(table):
            check.looked_at += _count(con, f"from {table}")
        for column, ids in columns.items():
            wrong = f"select {KEYS[table][0]} from {table} where len({column}) <> len({ids})"
            _note(check, con, wrong, f"{table}.{column}")
    return check


def _probabilities(con: "DuckDBPyConnection") -> Check:
    from ctm_data.run.schema import KEYS

    check = Check("values, probabilities and scores are in [0, 1]")
    for table, columns in UNIT.items():
        check.looked_at += _count(con, f"from {table}")
        for column in columns:
            # Not a number is above everything in DuckDB, so it is caught as well.
            bad = f"list_min({column}) < -{NOISE} or list_max({column}) > 1 + {NOISE}"
            _note(
                check, con, f"select {KEYS[table][0]} from {table} where {bad}", f"{table}.{column}"
            )
    return check


def _never(con: "DuckDBPyConnection", table: str) -> Check:
    from ctm_data.run.schema import KEYS

    check = Check(f"{table} agree with themselves and with the other tables")
    check.looked_at = _count(con, f"from {table}")
    for what, condition in NEVER[table].items():
        _note(check, con, f"select {KEYS[table][0]} from {table} where {condition}", what)
    return check


def _marks(store: "Store", whole: dict[str, list[str]]) -> Check:
    """The marked tokens against the rule, applied to the curve anew."""
    import numpy as np

    from ctm_data.estimator.critical import mark
    from ctm_data.estimator.settings import RULES
    from ctm_data.estimator.values import Curve

    check = Check("marked tokens are those of the rule")
    recipe = store.manifest["recipe"]
    n, resolution = recipe.get("n_rollouts") or 0, recipe.get("resolution") or 0.0
    columns = ["solution_id", "prompt_value", "value", "rule", "marked", "token_ids"]
    for row in _rows(whole["rollouts"], columns):
        check.looked_at += 1
        if row["rule"] not in RULES:
            check.fail(f"{row['solution_id']}: the rule {row['rule']!r} is not known")
            continue
        if not row["value"] or len(row["value"]) != len(row["token_ids"] or ()):
            continue  # counted above
        value = np.array([row["prompt_value"], *row["value"]], dtype=float)
        expected = mark(row["rule"], Curve(value, value, value), n, resolution)
        if row["marked"] != expected:
            check.fail(f"{row['solution_id']}: {row['marked']}, and by the rule {expected}")
    return check


def _texts(store: "Store", whole: dict[str, list[str]], tokenizer: str | None) -> Check:
    from ctm_eval.models import decode, load_tokenizer

    check = Check("texts are the decoded ids")
    recipe = store.manifest["recipe"]
    name = tokenizer or recipe.get("tokenizer") or recipe.get("model")
    if name is None:
        check.skipped = "no tokenizer is known: give --tokenizer"
        return check
    models = name if isinstance(name, list) else [name]
    if tokenizer is None:
        gone = [model for model in models if _is_path(model) and not Path(model).is_dir()]
        if gone:  # what a manifest says must not be looked for elsewhere
            check.skipped = printable(
                f"cannot load the tokenizer {gone[0]!r}: give --tokenizer", LONGEST
            )
            return check
    try:
        loaded = {model: load_tokenizer(str(model)) for model in models}
    except CtmError as error:
        if tokenizer is not None:
            raise
        check.skipped = printable(error, LONGEST)
        return check
    sides = {"solutions": [("text", "token_ids")],
             "contrast": [("chosen", "chosen_ids"), ("rejected", "rejected_ids")]}  # fmt: skip
    for table, pairs in sides.items():
        for text, ids in pairs:
            key = "solution_id" if table == "solutions" else "pair_id"
            wrote = ["model"] if len(models) > 1 and table == "solutions" else []
            for row in _rows(whole[table], [key, text, ids, *wrote]):
                if row[ids] is None:
                    continue
                check.looked_at += 1
                by = loaded.get(row.get("model", models[0]), loaded[models[0]])
                try:
                    decoded, said = decode(by, row[ids]), row[text] or ""
                except (OverflowError, TypeError, ValueError, IndexError):
                    check.fail(f"{table}.{ids} of {row[key]} are no ids of the tokenizer")
                    continue
                if table == "contrast":  # a pair's text may have lost the blanks around it
                    decoded, said = decoded.strip(), said.strip()
                if decoded != said:
                    check.fail(f"{table}.{text} of {row[key]}")
    return check


def _is_path(name: str) -> bool:
    """Whether a model's name is that of a folder, and not user/name on the Hub or a built-in one."""
    from ctm_data.run.hub_client import REPO
    from ctm_eval.pocket import MODELS

    return name not in MODELS and re.fullmatch(REPO, name) is None


def _rows(parts: list[str], columns: list[str]) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for part in parts:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(1000, columns=columns):
                yield from batch.to_pylist()


def _note(check: Check, con: "DuckDBPyConnection", sql: str, what: str) -> None:
    """Notes the rows of `sql` as failures: the first few by their keys."""
    found = con.execute(f"select * from ({sql}) order by all limit {SHOWN}").fetchall()
    if found:
        keys = ", ".join("/".join(map(str, row)) for row in found)
        check.fail(f"{what}: {keys}", _count(con, f"from ({sql})"))


def _count(con: "DuckDBPyConnection", source: str) -> int:
    return int(con.execute(f"select count(*) {source}").fetchall()[0][0])
