"""The predictors of critical tokens in their quick form."""

from pathlib import Path

from typed import python

ROOT = Path(__file__).parent.parent.parent
PROGRAM = (
    f"import sys; sys.path.insert(0, {str(ROOT / 'experiments')!r}); "
    "from predictors import main; main()"
)


def test_the_quick_form_measures_both_models_and_goes_on_where_it_was(tmp_path):
    words = ("--quick", "--jobs", 0, "--output-dir", tmp_path)
    first = python(PROGRAM, *words)
    assert first.returncode == 0, first.stderr
    models = (tmp_path / "table.md").read_text().split("| predictor |")[1:]
    assert len(models) == 2
    for rows in models:
        assert all(f"\n| {name} | " in rows for name in ("CE", "surprisal", "entropy", "margin"))
        assert "\n| value drop | " in rows
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    (tmp_path / "cells" / "pocket.json").unlink()
    assert python(PROGRAM, *words).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == kept
