"""`verify`: a sound run passes; each way to be unsound is found and named."""

import json

import pytest

from ctm_data.run.store import Store
from ctm_data.verify import verify
from ctm_eval.errors import CtmError


def failures(run):
    return [failure for check in verify(run).checks for failure in check.failures]


def test_a_sound_run_passes_and_everything_was_looked_at(whole_run):
    report = verify(whole_run)
    assert report.ok
    assert all(check.looked_at for check in report.checks)
    assert not any(check.skipped for check in report.checks)


def first(column, value):
    return lambda rows: rows[0].update({column: value(rows[0]) if callable(value) else value})


def item(column, value, index=0):
    return first(column, lambda row: [*row[column][:index], value, *row[column][index + 1 :]])


UNSOUND = {
    "a value above one": ("rollouts", item("value", 1.5), "rollouts.value"),
    "a value that is no number": ("rollouts", item("value", float("nan")), "rollouts.value"),
    "a score below zero": ("contrast", item("rejected_ce", -0.1), "contrast.rejected_ce"),
    "a list that is too short": ("rollouts", first("value_low", [0.0]), "rollouts.value_low"),
    "a value outside of its interval": (
        "rollouts", item("value_low", 1.0, 5), "a value outside of its interval",
    ),
    "more right than rolled out": (
        "rollouts", item("n_correct", 99), "more right rollouts than rollouts",
    ),
    "a critical token that the curve does not give": (
        "rollouts", first("marked", [0, 1]), "and by the rule",
    ),
    "a critical index that is not the likeliest": (
        "rollouts", first("critical_index", 1), "critical_index that is not the likeliest",
    ),
    "a critical piece from elsewhere": (
        "rollouts", first("critical_piece", " never"), "critical_piece that is not the piece there",
    ),
    "a rollout of no solution": (
        "rollouts", first("solution_id", "nobody"), "no solution of these tokens",
    ),
    "a text that is not the ids": ("solutions", first("text", "other"), "solutions.text of"),
    "a key twice": ("problems", lambda rows: rows.append(rows[0]), "problems: twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSOUND)
def test_what_is_unsound_is_named(run, case, change):
    table, row_change, expected = UNSOUND[case]
    change(run, table, row_change)
    assert any(expected in failure for failure in failures(run)), failures(run)


def test_a_part_that_was_changed_cut_off_added_or_removed_is_named(run):
    (run / "rollouts" / "part-00000.parquet").write_bytes(b"PAR1")
    part = run / "solutions" / "part-00001.parquet"
    part.with_name("part-00009.parquet").write_bytes(part.read_bytes())
    part.unlink()
    said = verify(run).checks[0].failures
    assert said == [
        "rollouts/part-00000.parquet was changed or cut off: its SHA-256 is not that of the manifest",
        "solutions/part-00001.parquet is missing",
        "solutions/part-00009.parquet is not in the manifest",
    ]


def test_a_run_that_is_not_finished_fails(run):
    manifest = Store(run).manifest
    del manifest["parts"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert "the run is not finished: run the command that makes it again" in failures(run)


def test_a_tokenizer_that_cannot_be_had_is_said_not_failed(run):
    manifest = Store(run).manifest
    manifest["recipe"]["model"] = "./gone"
    (run / "manifest.json").write_text(json.dumps(manifest))
    report = verify(run)
    assert not report.checks[-1].failed
    assert "cannot load the tokenizer './gone'" in report.checks[-1].skipped
    with pytest.raises(CtmError, match="there is no model folder"):
        verify(run, tokenizer="./gone")


@pytest.mark.parametrize("name", ["./gone", "/gone", "~/gone", "a/b/c", "../gone", "a\\b"])
def test_a_path_in_a_manifest_is_never_looked_for_on_the_hub(run, name, monkeypatch):
    """What a pulled manifest says loads nothing from elsewhere."""
    import ctm_eval.models

    manifest = Store(run).manifest
    manifest["recipe"]["model"] = name
    (run / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(ctm_eval.models, "load_tokenizer", lambda name: pytest.fail(name))
    assert "cannot load the tokenizer" in verify(run).checks[-1].skipped


def test_a_part_of_another_recipe_is_named_even_if_the_manifest_lists_it(run):
    manifest = Store(run).manifest
    manifest["recipe"]["seed"] = 1
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert any("is of another recipe or another place" in failure for failure in failures(run))


def test_parts_from_before_parts_were_bound_pass_and_are_said_to_be_so(run):
    import pyarrow.parquet as pq

    from ctm_data.run.files import sha256

    manifest = Store(run).manifest
    for part in manifest["parts"]:
        arrow = pq.read_table(run / part, partitioning=None).replace_schema_metadata(None)
        pq.write_table(arrow, run / part)
        manifest["parts"][part] = sha256(run / part)
    (run / "manifest.json").write_text(json.dumps(manifest))
    report = verify(run)
    assert report.ok
    assert (
        "not bound"
        in next(c for c in report.checks if c.name == "parts are of this recipe").skipped
    )


def test_an_escape_sequence_in_the_data_is_said_without_it(run, change):
    change(run, "rollouts", first("solution_id", "\x1b[2Jgone"))
    assert failures(run) and all(failure.isprintable() for failure in failures(run))
