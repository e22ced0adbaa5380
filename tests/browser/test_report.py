"""The page of a run in a real browser: `make test-browser`."""

import shutil

import pytest
from handmade import made_by_hand

from ctm_data.pages import html as pages
from ctm_data.report import report

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e \ud800 " + "x" * 10_000


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("wants a chromium, such as Debian's package of that name")
    with sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def file(tmp_path):
    report(made_by_hand(tmp_path / "run"), tmp_path / "page.html")
    return tmp_path / "page.html"


@pytest.fixture
def opened(browser, file):
    """Opens the page at a permalink; the page must ask for nothing and complain of nothing."""
    seen, contexts = [], []

    def open_it(link="", **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("request", lambda request: seen.append(request.url))
        page.goto(f"{file.as_uri()}{link}")
        page.wait_for_selector("#token p")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert {url.partition("#")[0] for url in seen} == {file.as_uri()}


def test_it_opens_at_the_critical_token_that_costs_most(opened):
    page = opened()
    assert page.locator("#tokens .critical").inner_text() == " 4"
    assert "75.0% before it, 0.0% after it" in page.locator("#token").inner_text()


def test_a_permalink_opens_a_trajectory_at_a_token(opened):
    assert page_says(opened("#b/2"), '"ft"')


def test_keys_walk_trajectories_and_tokens(opened):
    page = opened()
    page.keyboard.press("j")
    page.wait_for_function("document.querySelector('article').innerText.includes('b · m')")
    page.keyboard.press("n")
    assert page_says(page, '"ft"')
    page.keyboard.press("c")
    assert page_says(page, '" the"')


def test_the_trajectory_asked_for_last_is_shown_whichever_is_inflated_first(opened):
    page = opened()
    page.evaluate("Promise.all([open('b'), open('a')])")
    assert "a · m" in page.locator("article").inner_text()


def test_a_click_on_a_token_tells_of_it_and_makes_its_link(opened):
    page = opened()
    page.locator("#tokens span").nth(2).click()
    assert page_says(page, '" 7"')
    assert page.url.endswith("#a/2")


def test_the_search_and_the_filters_narrow_the_list(opened):
    page = opened()
    page.keyboard.press("/")
    page.keyboard.type("the")
    assert page.locator("#list a").count() == 1
    page.locator("#class").select_option("number")
    assert page.locator("#count").inner_text() == "0 of 2 trajectories"


def test_hostile_text_is_shown_as_text(opened, file, monkeypatch, tmp_path):
    whole = pages._whole
    hostile = lambda *given: {**whole(*given), "question": HOSTILE}  # noqa: E731
    monkeypatch.setattr(pages, "_whole", hostile)
    report(tmp_path / "run", file)
    page = opened()
    assert page.locator("img").count() == 0
    assert page.locator("article h2").inner_text().startswith("</script><img src=x onerror=")


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 400, "height": 800}}]
)
def test_axe_finds_no_violation(opened, options):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(opened(**options))
    assert found.violations_count == 0, found.generate_report()


def test_a_narrow_page_does_not_scroll_sideways(opened):
    page = opened(viewport={"width": 360, "height": 800})
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_long_list_is_shown_in_pages_and_grows_to_a_permalink(
    opened, file, monkeypatch, tmp_path
):
    filled = pages._filled

    def long(data):
        [entry, _] = data["index"]
        return filled({**data, "index": [{**entry, "id": f"t{n}"} for n in range(1000)]})

    monkeypatch.setattr(pages, "_filled", long)
    report(tmp_path / "run", file)
    page = opened()
    assert page.locator("#list a").count() == 300
    page.locator("#more").click()
    assert page.locator("#list a").count() == 600
    page = opened("#t950")
    assert page.locator("#list a[aria-current]").get_attribute("href") == "#t950"


def test_it_prints_the_trajectory_alone(opened):
    page = opened()
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("#tokens").is_visible()


def page_says(page, text):
    return text in page.locator("#token").inner_text()
