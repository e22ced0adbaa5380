"""The page of a run in a real browser: `make test-browser`."""

import base64
import json
import re
import shutil
import sys
import zlib
from pathlib import Path

import pytest
from handmade import evaluated_by_hand, made_by_hand

from ctm_data.pages import contents
from ctm_data.pages.html import _brought
from ctm_data.report import report
from ctm_data.run.store import Store
from ctm_data.view import view

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e \ud800 " + "x" * 10_000
SLOW = {"timeout": 10_000}


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("wants a chromium, such as Debian's package of that name")
    with sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def run(tmp_path):
    """A run by hand, with a sample more that goes on otherwise than the first solution after ` 4`."""
    made_by_hand(tmp_path / "run")
    store = Store(tmp_path / "run")
    solution = store.read("solutions").to_pylist()[0]
    with Store.open(store.folder, store.manifest["recipe"]) as writable:
        writable.write(
            "solutions",
            1,
            [{**solution, "solution_id": "c", "sample_index": 2, "token_ids": [0, 5], "text": " 4 + 3 is 7",
              "correct": True, "verdict": "correct"}],
        )  # fmt: skip
    return tmp_path / "run"


@pytest.fixture
def opened(browser, run, tmp_path):
    """Opens a page at a permalink, the run's or another. It must complain of nothing, and ask for nothing
    but what its server has."""
    seen, contexts = [], []

    def open_it(link="", page=None, **options):
        address = page or written(run, tmp_path)
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("request", lambda request: foreign(seen, request.url, address))
        page.goto(f"{address}{link}")
        page.wait_for_selector("article h2", **SLOW)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert seen == []


def written(run, folder, **options):
    file = Path(folder) / "page.html"
    report(run, file, **options)
    return file.as_uri()


def inflated(packed):
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def foreign(seen, url, address):
    own = (
        url.partition("#")[0] == address if address.startswith("file") else url.startswith(address)
    )
    if not own:
        seen.append(f"request: {url}")


def says(page, text, where="#token"):
    """Waits until the text stands there; fails if it does not come."""
    page.wait_for_function(
        "([where, text]) => document.querySelector(where)?.innerText.includes(text)",
        arg=[where, text],
        **SLOW,
    )
    return True


def test_it_opens_at_the_critical_token_that_costs_most(opened):
    page = opened()
    assert page.locator("#tokens .critical").inner_text() == " 4"
    assert says(page, "75.0% before it and 0.0% after it")


def test_a_permalink_opens_a_trajectory_at_a_token(opened):
    assert says(opened("#b/2"), '"ft"')


def test_keys_walk_trajectories_and_tokens(opened):
    page = opened()
    page.keyboard.press("j")
    says(page, "b · m", "article")
    page.keyboard.press("n")
    assert says(page, '"ft"')
    page.keyboard.press("c")
    assert says(page, '" the"')
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()


def test_the_trajectory_asked_for_last_is_shown_whichever_is_inflated_first(opened):
    page = opened()
    page.evaluate("Promise.all([open('b'), open('a')])")
    assert "a · m" in page.locator("article").inner_text()


def test_a_click_on_a_token_tells_of_it_and_makes_its_link(opened):
    page = opened()
    page.locator("#tokens span").nth(2).click()
    assert says(page, '" 7"')
    assert page.url.endswith("#a/2")


def test_a_click_shows_what_was_tried_there_and_says_what_is_not_stored(opened):
    page = opened("#a/0")
    assert says(page, "Rollouts with another token in its place: 25.0% end right")
    assert page.locator("#token tbody tr").first.inner_text().split("\t") == [
        '" 5"', "2 of 2", "1 of 2", "6.1% to 93.9%",
    ]  # fmt: skip
    page.locator("#tokens span").nth(1).click()
    assert says(page, "Samples of this problem that agree up to here")
    assert page.locator("#token figure pre").inner_text() == " + 3 is 7"
    assert says(page, "Not stored: which other tokens the rollouts drew")


def test_the_pointer_moves_in_text_and_tracks_at_once(opened):
    page = opened("#b/0")
    page.locator("#tokens span").nth(3).hover()
    at_text = page.locator("#tracks .cursor").get_attribute("x1")
    assert page.locator(".readout").inner_text().startswith('3: " 4"')
    box = page.locator("#tracks svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 9, box["y"] + 20)
    assert page.locator("#tokens .at").inner_text() == " 4"
    assert page.locator("#tracks .cursor").get_attribute("x1") == at_text
    page.mouse.move(5, 5)
    assert page.locator("#tokens .at").inner_text() == " in", "back to the one that is picked"


def test_a_trajectory_has_its_tracks_and_says_which_it_lacks(opened):
    page = opened("#a")  # in no pair
    names = page.locator("#tracks svg text:not(.most)").all_text_contents()
    assert names[-3:] == ["rollouts", "entropy", "surprisal"]
    assert says(page, "This run does not have: CE score.", "#tracks")


def test_pivotal_tokens_and_blanks_are_marked_on_request(opened):
    page = opened("#b")
    assert page.locator("#tokens .pivotal").count() == 0
    page.locator("#mark-pivotal").check()
    assert page.locator("#tokens .pivotal").all_inner_texts() == [" in", " the"]
    page.keyboard.press("b")
    assert page.locator("#tokens").inner_text() == "·in·theft·4"


def test_the_search_and_the_filters_narrow_the_list(opened):
    page = opened()
    page.keyboard.press("/")
    page.keyboard.type("the")
    assert says(page, "1 entry", "#count")
    page.locator("#f-word_class").select_option("number")
    assert says(page, "0 entries", "#count")


FILTERS = (
    {}, {"search": "THE"}, {"word_class": "number"}, {"fall": "0.5"}, {"fall": "0.75"}, {"solvable": "0"},
    {"order": "position"}, {"order": "tokens"}, {"order": "id", "fall": "0.25"},
)  # fmt: skip


def test_the_browser_and_the_database_filter_and_sort_alike(opened, run):
    asks = "async (asked) => (await brought.list(kind, asked, { count: 100 })).entries.map((e) => e.id)"
    page = opened()
    from ctm_data.query import connect

    with connect(run) as con:
        own = contents.Contents(con, Store(run))
        for asked in FILTERS:
            ids = [entry["id"] for entry in own.listed("trajectories", asked)["entries"]]
            assert page.evaluate(asks, asked) == ids, asked


@pytest.mark.parametrize("field", ["question", "pieces", "example"])
def test_hostile_text_is_shown_as_text(opened, monkeypatch, field):
    whole = contents.trajectories

    def hostile(*given):
        found = whole(*given)
        for row in found.values():
            if field == "question":
                row["question"] = HOSTILE
            elif field == "pieces":
                row["pieces"] = [HOSTILE, *row["pieces"][1:]]
            else:
                row["others"] = {0: {"tokens": [[HOSTILE, 1, 1]], "right": HOSTILE}}
        return found

    monkeypatch.setattr(contents, "trajectories", hostile)
    page = opened("#a/0")
    assert page.locator("img").count() == 0
    where = {"question": "article h2", "pieces": "#tokens span", "example": "#token figure pre"}[
        field
    ]
    assert page.locator(where).first.inner_text().startswith("</script><img src=x onerror=")
    page.locator("#mark-blanks").check()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_marks_that_turn_the_direction_are_seen_and_do_not_leak(opened, monkeypatch):
    """A right-to-left override is written out with the blanks, and turns no other token."""
    whole = contents.trajectories

    def turned(*given):
        found = whole(*given)
        found["a"]["pieces"] = ["\u202e ab", " cd", " ef"]
        return found

    monkeypatch.setattr(contents, "trajectories", turned)
    page = opened("#a")
    left = "(n) => document.querySelectorAll('#tokens span')[n].getBoundingClientRect().left"
    assert page.evaluate(left, 1) < page.evaluate(left, 2)
    page.locator("#mark-blanks").check()
    assert page.locator("#tokens span").first.inner_text() == "\\u{202e}·ab"
    assert '"\\u{202e} ab"' in page.locator("#token h3").inner_text()


SIZES = [{}, {"color_scheme": "dark"}, {"viewport": {"width": 400, "height": 800}}]


@pytest.mark.parametrize("options", SIZES)
@pytest.mark.parametrize("link", ["", "#/run"])
def test_axe_finds_no_violation(opened, options, link):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(link, **options)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_axe_finds_no_violation_in_an_evaluation(opened, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(page=written(evaluated_by_hand(tmp_path / "eval"), tmp_path))
    page.locator(".sample summary").first.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("link", ["", "#/run"])
def test_a_narrow_page_does_not_scroll_sideways(opened, link):
    page = opened(link, viewport={"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_long_list_grows_as_one_scrolls_and_around_a_permalink(opened, monkeypatch):
    listed = contents.Contents.listed

    def long(*given, **more):
        [entry, _] = listed(*given, **more)["entries"]
        return {"entries": [{**entry, "id": f"t{n:04d}"} for n in range(1000)]}

    monkeypatch.setattr(contents.Contents, "listed", long)
    monkeypatch.setattr(
        contents.Contents, "whole", lambda self, name, ids: dict.fromkeys(ids, ROW), raising=True
    )
    page = opened()
    assert page.locator("#list a").count() == 100
    page.locator("nav").evaluate("nav => nav.scrollTop = nav.scrollHeight")
    says(page, "here 1 to 200", "#count")
    page = opened("#t0950")
    assert page.locator("#list a[aria-current]").get_attribute("href") == "#t0950"
    assert says(page, "here 901 to 1,000", "#count")
    page.locator("#earlier").click()
    assert says(page, "here 801 to 1,000", "#count")


ROW = {
    "question": "?", "answer": "7", "said": "8", "verdict": "wrong", "model": "m", "estimator": "branch",
    "n": 2, "pieces": [" 4"], "start": 750, "value": [0], "low": [0], "high": [0], "rollouts": [2],
    "right": [1], "surprisal": [693], "entropy": None, "ce": None, "chance": None, "critical": 0,
    "run": None, "pivotal": [], "cliff": [], "passes": [], "replacements": [], "likeliest": {},
    "others": {},
}  # fmt: skip


def test_five_thousand_trajectories_open_in_two_seconds_and_scroll(browser, run, tmp_path):
    """No task takes a tenth of a second of the processor, and the page stays under 500 MB.

    The clock of a task is not looked at: on a busy machine it tells of others.
    """
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    from page import opened

    written(run, tmp_path, limit=1)
    file = tmp_path / "page.html"
    [head, row, tail] = re.split(
        r'(<script type="text/plain" id="row0">.*?</script>)', file.read_text()
    )
    wide = "A" * 2000  # as much as an entry of 90 tokens with samples takes
    rows = "\n".join(
        row.replace("row0", f"row{n}") + f'<script type="text/plain">{wide}</script>'
        for n in range(5000)
    )
    [entry] = inflated(re.search(r'id="lists">(.*?)</script>', head)[1])["trajectories"]
    entries = [
        {**entry, "id": f"t{n:04d}", "question": "Why? " * 30, "row": n} for n in range(5000)
    ]
    packed = _brought("lists", {"trajectories": entries})
    file.write_text(re.sub(r'<script type="text/plain" id="lists">.*?</script>', lambda _: packed, head)
                    + rows + tail)  # fmt: skip
    assert file.stat().st_size > 10_000_000
    told = opened(browser, file.as_uri())
    assert told["entries scrolled through"] == 5000
    assert told["seconds until it stands there"] < 2
    assert told["ms of processor, the same"] < 100 and told["ms of processor, scrolling"] < 100
    assert told["MB of the page's process"] < 500


def test_it_prints_the_trajectory_alone(opened):
    page = opened()
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("#tokens").is_visible()


def test_the_figures_of_the_run_are_drawn_with_their_numbers(opened):
    page = opened("#/run")
    titles = page.locator("figure.picture h3").all_inner_texts()
    assert titles[0] == "Pass@k with the critical token and without it"
    assert page.locator("figure.picture > svg").count() == len(titles)
    page.locator("figure.picture summary").first.click()
    assert (
        "another token in its place\t50.0%"
        in page.locator("figure.picture table").first.inner_text()
    )


def test_an_evaluation_shows_votes_reasons_and_programs(opened, tmp_path):
    page = opened("#p0", page=written(evaluated_by_hand(tmp_path / "eval"), tmp_path))
    assert says(page, "2 of 3\tright", "article table")
    page.locator(".sample summary").nth(2).click()
    for words in ("says 8 · v 0.100", "layer     number", "print(7)", "printed 7, disagrees"):
        assert says(page, words, ".sample:last-child")


def test_two_evaluations_stand_side_by_side(opened, tmp_path):
    before = evaluated_by_hand(tmp_path / "before", "110 100")
    after = evaluated_by_hand(tmp_path / "after", "111 000")
    page = opened(page=written(after, tmp_path, compare=before))
    assert page.locator(".sides section").count() == 2
    page.locator("#f-outcome").select_option("more often right")
    assert says(page, "1 entry", "#count")
    assert says(page, "0?", "#list a")


def test_the_served_page_is_the_same(opened, run):
    with view(run) as server:
        page = opened(page=server.url)
        assert says(page, "75.0% before it and 0.0% after it")
        page.locator("#search").fill("the")
        assert says(page, "1 entry", "#count")
        page.locator("#tabs a", has_text="Problems").click()
        assert says(page, "1 of 3 samples right", "article")
        page.locator("#tabs a", has_text="The run").click()
        assert says(page, "Pass@k", "article")


def test_an_entry_that_is_not_there_is_said(opened):
    page = opened()
    page.evaluate("location.hash = '#nobody'")
    assert says(page, "There is no nobody on this page.", "article")
