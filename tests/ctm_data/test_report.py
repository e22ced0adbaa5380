"""The page of a run: what it holds, and that data cannot get out of its place."""

import base64
import hashlib
import json
import re
import zlib

import pytest
from handmade import made_by_hand

from ctm_data.pages import html as pages
from ctm_data.pages.html import html
from ctm_data.report import report
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

HOSTILE = "</script><img src=x onerror=alert(1)>{{script}} \u202e \ud800 &lt;"


@pytest.fixture
def run(tmp_path):
    return made_by_hand(tmp_path / "run")


def data_of(page):
    [text] = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL
    )
    return json.loads(text)


def inflated(packed):
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_the_trajectory_with_the_largest_drop_is_first(run):
    """` 4` takes 0.75 to 0 in the first solution, ` the`, of ` theft`, 0.5 to 0 in the other."""
    index = data_of(html(Store(run), 10))["index"]
    shown = [(entry["id"], entry["piece"], entry["class"], entry["drop"]) for entry in index]
    assert shown == [("a", " 4", "number", 0.75), ("b", " the", "content", 0.5)]


def test_a_limit_keeps_the_ones_that_cost_most_and_says_so(run):
    data = data_of(html(Store(run), 1))
    assert [entry["id"] for entry in data["index"]] == ["a"]
    assert "the 1 that cost most are here" in data["facts"]


def test_a_trajectory_is_inflated_to_its_row(run):
    data = data_of(html(Store(run), 10))
    row = inflated(data["rows"][data["index"][1]["row"]])
    assert (row["pieces"], row["value"]) == ([" in", " the", "ft", " 4"], [0.5, 0.0, 0.0, 0.0])
    assert (row["answer"], row["said"], row["others"]) == ("7", "8", [[" 5", 2, 1]])


def test_data_cannot_end_its_element_nor_stand_for_a_part_of_the_page(run, monkeypatch):
    whole = pages._entry
    hostile = lambda *given: {**whole(*given), "question": HOSTILE}  # noqa: E731
    monkeypatch.setattr(pages, "_entry", hostile)
    page = html(Store(run), 10)
    assert data_of(page)["index"][0]["question"] == HOSTILE
    assert page.count("</script>") == 2
    assert "<img" not in page


def test_the_policy_allows_this_script_and_style_and_nothing_else(run):
    page = html(Store(run), 10)
    [policy] = re.findall(r'Content-Security-Policy" content="(.*?)"', page)
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)

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


def test_a_run_without_rollouts_is_told_of_show(tmp_path):
    with Store.open(tmp_path / "run", {"benchmark": "gsm8k", "model": "m"}):
        pass
    with pytest.raises(CtmError, match="no rolled-out solutions"):
        report(tmp_path / "run", tmp_path / "page.html")
