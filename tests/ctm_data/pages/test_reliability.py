"""How often a second run gives the same label: worked numbers."""

import json

from ctm_data.pages.reliability import reliability
from ctm_data.run.store import Store


def test_a_problem_is_a_cluster_and_no_token_twice_is_agreement(run, change):
    """Problem a: both of its labels agree (one of them: no critical token, twice); b: its one does not."""

    def rows(table):
        del table[3:]
        for row, problem, first, second in zip(
            table, "aab", (3, None, 4), (3, None, None), strict=True
        ):
            row |= {"problem_id": problem, "critical_index": first, "repeat_index": second}
            row |= {"repeat_tokens": 9, "repeat_predicted": first == 3}

    change(run, "rollouts", rows)
    for part in sorted((run / "rollouts").glob("*.parquet"))[1:]:
        part.unlink()
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["parts"]  # which lists them
    (run / "manifest.json").write_text(json.dumps(manifest))
    predicted, checked = reliability(Store(run))
    assert (predicted.share, checked.share) == (0.25, 0.5)
    assert (checked.trajectories, checked.problems) == (3, 2)
    assert checked.low < 0.5 < checked.high


def test_a_run_of_one_pass_has_a_predicted_reliability_only(run):
    predicted, checked = reliability(Store(run))
    assert 0 <= predicted.low <= predicted.share <= predicted.high <= 1
    assert checked is None
