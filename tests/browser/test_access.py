"""Who can use the dashboard.

By keyboard, on a phone, in the dark, with a screen reader (axe-core), with a token, and when nothing is there.
"""

import re
import subprocess

import daemons
import pytest
from conftest import finish, submit
from selenium.webdriver.common.keys import Keys

DIAGNOSED = {"training": {"iterations": 40, "evaluate_every": 5, "diagnostics": True}}


@pytest.mark.parametrize("width,scheme", [(1400, "light"), (390, "dark"), (1400, "dark"), (390, "light")])
def test_accessible_and_fitting(daemon, browser, axe, width, scheme):
    name = "A name that somebody typed in one late evening, <b>bold</b> " + "x" * 120
    ids = [submit(daemon, seed=seed, name=name, **DIAGNOSED) for seed in (1, 2)]
    for id in ids:
        finish(daemon, id)
    browser.expected += ["404", "jobs:validate"]
    browser.device(width, 900, scheme)
    wrong = (
        "document.getElementById('f-rule-mu').value = 'high', "
        "document.getElementById('f-rule-mu').dispatchEvent(new Event('input'))"
    )
    ready = {
        "#/": "document.querySelector('.empty h2')?.textContent === 'No experiments yet'",
        "#/jobs": "document.querySelectorAll('.rows .row').length === 2",
        f"#/jobs/{ids[0]}": "document.querySelectorAll('.charts .line').length > 10",
        f"#/compare/{','.join(ids)}": "document.querySelectorAll('.charts .line').length > 1",
        "#/compare": "document.querySelector('.plain a')",
        "#/new": f"document.querySelector('.summary .good') && ({wrong}, true)",
        "#/jobs/none": "document.querySelector('.empty h1')?.textContent === 'No such job'",
        "#/nothing": "document.querySelector('.empty h1')?.textContent === 'There is no such page'",
    }
    for page, condition in ready.items():
        browser.open(f"{daemon.url}/{page}")
        browser.wait(condition)
        if "/jobs/0" in page:
            browser.script("document.querySelectorAll('details').forEach(d => { d.open = true })")
            browser.wait(
                "document.querySelectorAll('#activity figure').length === 3 && "
                "document.querySelector('#weights [role=status]').textContent"
            )
        if page == "#/new":
            browser.wait("document.querySelector('[aria-invalid]')")
        assert browser.script("return document.documentElement.scrollWidth <= innerWidth"), (
            f"{page} is wider than {width}"
        )
        faults = axe(browser)
        assert not faults, (page, faults)
    assert not browser.all("b"), "a job's name was read as markup"


def test_by_keyboard_alone(daemon, browser):
    ids = [submit(daemon, seed=seed) for seed in (1, 2, 3)]
    for id in ids:
        finish(daemon, id)
    browser.open(daemon.url + "/#/jobs")
    browser.wait("document.querySelectorAll('.rows .row').length === 3")
    browser.script("document.body.focus()")
    browser.keys(Keys.TAB)
    assert browser.script("return document.activeElement.id") == "skip"
    browser.keys(Keys.ENTER)
    assert browser.script("return document.activeElement.id") == "main"
    browser.script("document.querySelector('.rows [data-id] a').focus()")
    first = browser.script("return document.activeElement.hash")
    browser.keys(Keys.END)
    assert browser.wait("document.activeElement.hash") == f"#/jobs/{ids[0]}" != first
    browser.keys(Keys.ENTER)
    browser.wait(f"location.hash === '#/jobs/{ids[0]}' && document.querySelectorAll('.charts .line').length > 1")
    assert browser.script("return document.activeElement.id") == "main"


def test_the_focus_goes_through_every_view_and_is_seen(daemon, browser):
    """No trap: Tab reaches the page's last element, and each stop can be seen to have the focus."""
    id = submit(daemon)
    finish(daemon, id)
    for page, ready in {
        "#/": "document.querySelector('.empty h2')",
        "#/jobs": "document.querySelector('.rows .row')",
        f"#/jobs/{id}": "document.querySelectorAll('.charts .line').length > 1",
        "#/new": "document.querySelector('.summary .good')",
    }.items():
        browser.open(f"{daemon.url}/{page}")
        browser.wait(ready)
        browser.script("document.querySelectorAll('details').forEach(d => { d.open = true })")
        if "jobs/" in page:
            browser.wait(
                "document.querySelectorAll('#activity figure').length === 3 && "
                "!document.querySelector('#weights .two').hidden"
            )
        browser.script("document.activeElement.blur(); document.getElementById('skip').focus()")
        for _ in range(200):
            browser.keys(Keys.TAB)
            where = browser.driver.execute_script(
                "const e = document.activeElement, s = getComputedStyle(e); return [e.outerHTML.slice(0, "
                "100), s.outlineStyle, e.closest('footer') !== null]"
            )
            assert where[1] != "none", f"the focus on {where[0]} cannot be seen"
            if where[2]:
                break
        else:
            pytest.fail(f"{page}: the footer was not reached")


def test_charts_and_the_map_are_read_by_keyboard(daemon, browser):
    id = submit(daemon)
    finish(daemon, id)
    browser.open(f"{daemon.url}/#/jobs/{id}")
    browser.wait("document.querySelectorAll('.charts .line').length > 1")
    label = browser.find(".plot").get_attribute("aria-label")
    assert label.startswith("Loss: at iteration 40, evaluation 0.") and "0 shows everything" in label
    ticks = (
        "[...document.querySelectorAll('.chart')].map(c => "
        "[...c.querySelectorAll('.tick-x')].map(t => t.textContent).join())"
    )
    whole = browser.script(f"return {ticks}")
    assert whole[0] == whole[1] and whole[0].startswith("0,")
    browser.script("document.querySelector('.plot').focus()")
    browser.keys("+", "+")
    zoomed = browser.script(f"return {ticks}")
    assert zoomed[0] != whole[0] and zoomed[0] == zoomed[1], "charts of one job zoom together"
    browser.keys("0")
    assert browser.script(f"return {ticks}") == whole
    browser.script("document.getElementById('weights').open = true")
    browser.wait("!document.querySelector('#weights .two').hidden")
    weights = daemon.get(f"/v1/jobs/{id}/weights").json()
    browser.script("document.querySelector('#weights canvas[tabindex]').focus()")
    browser.keys(Keys.DOWN, Keys.RIGHT, Keys.RIGHT)
    said = browser.find("#weights [aria-live]").text
    q, p = map(int, re.match(r"from (\d+) .* to (\d+) ", said).groups())
    order = sorted(range(20), key=lambda unit: (weights["types"][unit], unit))
    assert (q, p) == (order[1], order[2])
    assert float(said.split(": ")[1]) == pytest.approx(weights["W"][q][p], rel=1e-3, abs=1e-9)


def test_one_finger_belongs_to_the_page_two_to_a_chart(daemon, browser):
    id = submit(daemon)
    finish(daemon, id)
    browser.device(390, 700, "light")
    browser.open(f"{daemon.url}/#/jobs/{id}")
    browser.wait("document.querySelectorAll('.charts .line').length > 1")
    browser.cdp("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    ticks = "[...document.querySelectorAll('.chart .tick-x')].map(t => t.textContent).join()"

    def drag(*paths):
        """Fingers that each go from one place of the chart to another; how far the page scrolled."""
        browser.script("document.querySelector('.plot').scrollIntoView({ block: 'center' })")
        before = browser.script("return scrollY")
        x, y = browser.script(
            "const r = document.querySelector('.plot').getBoundingClientRect(); return [r.x + r.width / "
            "2, r.y + r.height / 2]"
        )
        for step in range(11):
            points = [
                {"x": x + a[0] + (b[0] - a[0]) * step / 10, "y": y + a[1] + (b[1] - a[1]) * step / 10, "id": i}
                for i, (a, b) in enumerate(paths)
            ]
            browser.cdp("Input.dispatchTouchEvent", type="touchMove" if step else "touchStart", touchPoints=points)
        browser.cdp("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        return browser.script("return scrollY") - before

    whole = browser.script(f"return {ticks}")
    assert abs(drag(((-40, 0), (-120, 0)), ((40, 0), (120, 0)))) < 10
    browser.wait(f"{ticks} !== {whole!r}")
    assert drag(((0, 60), (0, -60))) > 30


def test_a_token_is_asked_for_once_and_taken(begin, browser, tmp_path):
    file = tmp_path / "tokens"
    command = [daemons.MODPROPD, "token", "reader", "read", "--token-file", file]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    daemon = begin("--token-file", file)
    browser.expected.append("401")
    opened = "document.getElementById('login').open"
    browser.open(daemon.url + "/#/jobs")
    browser.wait(opened)
    browser.wait("document.getElementById('link').textContent === 'token needed'")
    browser.press("Cancel", "#login")
    browser.wait(f"!{opened}")
    browser.wait("document.querySelector('.empty h2')?.textContent === 'A token is needed'")
    tries = len([u for u in browser.asked() if u.endswith("/v1/events")])
    while tries < 4:  # it goes on trying, and does not ask again
        browser.wait("true")
        tries += len([u for u in browser.asked() if u.endswith("/v1/events")])
    assert not browser.script(f"return {opened}")
    browser.press("Token", "header")
    browser.type("#login-token", token)
    browser.keys(Keys.ENTER)
    browser.wait(
        "document.getElementById('link').textContent === 'live' && document.querySelector('.empty "
        "h2')?.textContent === 'No jobs yet'"
    )
    browser.open(f"{daemon.url}/#/new")
    browser.wait("document.querySelector('.summary').textContent")
    assert '-H "Authorization: Bearer $MODPROP_TOKEN"' in browser.find("pre").text


def test_a_view_that_could_not_be_read_comes_back_with_the_daemon(begin, daemon, browser):
    browser.expected += ["net::ERR", "503", "Failed to fetch"]
    browser.open(daemon.url + "/#/jobs")
    browser.wait("document.getElementById('link').textContent === 'live'")
    daemon.kill()
    browser.script("location.hash = '#/'")
    browser.wait("document.querySelector('.empty h1')?.textContent === 'The daemon does not answer'")
    begin("--listen", f"127.0.0.1:{daemon.port}")
    browser.wait("document.querySelector('.empty h2')?.textContent === 'No experiments yet'", 60)
