"""The page of a run: what it holds, and that data cannot get out of its place."""

import base64
import hashlib
import json
import re
import zlib

import pytest
from handmade import evaluated_by_hand, made_by_hand

from ctm_data.pages.html import page
from ctm_data.report import report, whole_page
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

HOSTILE = "</script><img src=x onerror=alert(1)>{{script}} \u202e \ud800 &lt;"


@pytest.fixture
def run(tmp_path):
    return made_by_hand(tmp_path / "run")


def data_of(html):
    """What the page is told at once, and what it brings packed, by name."""
    found = re.findall(r'<script type="(.*?)" id="(.*?)">(.*?)</script>', html, re.DOTALL)
    [told] = [text for kind, _, text in found if kind == "application/json"]
    packed = {name: text for kind, name, text in found if kind == "text/plain"}
    return json.loads(told), packed


def inflated(packed):
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_an_entry_is_inflated_to_what_it_is(run):
    _, packed = data_of(whole_page(run))
    [_, entry] = inflated(packed["lists"])["trajectories"]
    row = inflated(packed[f"row{entry['row']}"])
    assert (entry["id"], row["pieces"], row["value"]) == (
        "b",
        [" in", " the", "ft", " 4"],
        [500, 0, 0, 0],
    )
    assert (row["answer"], row["said"]) == ("7", "8")


def test_a_limit_keeps_the_ones_that_cost_most_and_says_so(run):
    told, packed = data_of(whole_page(run, limit=1))
    assert [entry["id"] for entry in inflated(packed["lists"])["trajectories"]] == ["a"]
    assert "1 more are not on this page" in told["facts"]
    assert set(packed) == {"lists", "overview", "row0"}


def test_an_evaluation_is_a_list_of_problems_with_the_fewest_right_samples_first(tmp_path):
    _, packed = data_of(whole_page(evaluated_by_hand(tmp_path / "run", "110 100")))
    assert [entry["id"] for entry in inflated(packed["lists"])["answers"]] == ["p1", "p0"]


def test_two_runs_are_one_page(tmp_path):
    before = evaluated_by_hand(tmp_path / "before", "110 100")
    after = evaluated_by_hand(tmp_path / "after", "111 000")
    told, packed = data_of(whole_page(after, compare=before))
    assert told["name"] == "before → after"
    entry = inflated(packed["lists"])["pairs"][0]
    assert len(inflated(packed[f"row{entry['row']}"])["sides"]) == 2


def test_a_run_is_not_compared_with_itself_or_with_another_benchmark(run, tmp_path):
    with pytest.raises(CtmError, match="--compare wants another run"):
        whole_page(run, compare=run)
    with pytest.raises(CtmError, match="is of math500"):
        whole_page(run, compare=evaluated_by_hand(tmp_path / "other"))


def test_data_cannot_end_its_element_nor_stand_for_a_part_of_the_page():
    html = page({"name": HOSTILE, "lists": []}, {"lists": HOSTILE}, [HOSTILE])
    told, packed = data_of(html)
    assert told["name"] == HOSTILE
    assert inflated(packed["lists"]) == inflated(packed["row0"]) == HOSTILE
    assert html.count("</script>") == 4
    assert "<img" not in html


def test_the_policy_allows_this_script_and_style_and_nothing_else(run):
    html = whole_page(run)
    [policy] = re.findall(r'Content-Security-Policy" content="(.*?)"', html)
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)

    def digest(text):
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digest(script)}'; style-src 'sha256-{digest(style)}'"
    )


def test_the_page_is_written_whole_and_its_size_returned(run, tmp_path):
    file = tmp_path / "page.html"
    assert report(run, file) == file.stat().st_size
    assert file.read_text().endswith("</html>\n")


@pytest.mark.parametrize("limit", [0, -1])
def test_no_trajectories_are_no_page(run, tmp_path, limit):
    with pytest.raises(CtmError, match="--limit must be 1 or more"):
        report(run, tmp_path / "page.html", limit=limit)
    assert not (tmp_path / "page.html").exists()


def test_a_run_without_solutions_is_no_page(tmp_path):
    with Store.open(tmp_path / "run", {"benchmark": "gsm8k", "model": "m"}):
        pass
    with pytest.raises(CtmError, match="no solutions yet"):
        report(tmp_path / "run", tmp_path / "page.html")


def test_solutions_of_others_without_verdicts_have_a_page_and_no_figures(tmp_path):
    from ctm_data.imports import import_steps
    from ctm_data.pages.evaluation import summarize

    steps = tmp_path / "steps.jsonl"
    steps.write_text('{"prompt": "1 + 1?", "completions": ["It is 2."], "labels": [true]}\n')
    import_steps(steps, "trl-stepwise", tmp_path / "run")
    report(tmp_path / "run", tmp_path / "run.html")
    assert "1 solutions, not graded" in (tmp_path / "run.html").read_text()
    with pytest.raises(CtmError, match="holds data from elsewhere"):
        summarize(tmp_path / "run")
