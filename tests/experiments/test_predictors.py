"""The predictors of critical tokens in their quick form."""

from pathlib import Path

from typed import python

ROOT = Path(__file__).parent.parent.parent
PROGRAM = (
    f"import sys; sys.path.insert(0, {str(ROOT / 'experiments')!r}); "
    "from predictors import main; main()"
)


def test_the_quick_form_measures_both_models(tmp_path):
    outcome = python(PROGRAM, "--quick", "--jobs", 0, "--output-dir", tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    models = (tmp_path / "table.md").read_text().split("| predictor |")[1:]
    assert len(models) == 2
    for rows in models:
        assert all(f"\n| {name} | " in rows for name in ("CE", "surprisal", "entropy", "margin"))
        assert "\n| value drop | " in rows
