"""The list of jobs: its filter, its address, what is done with several jobs.

And comparisons that agree with the command line.
"""

import json
import re
import subprocess

import daemons
import pytest
from conftest import finish, submit
from daemons import ROOT

CLI = ROOT / "build" / "clients" / "cli" / "modprop"
SHOWN = "[...document.querySelectorAll('.rows .row')].map(r => r.querySelector('.c-name').textContent)"
HEADS = "[...document.querySelectorAll('.row.head > span')].map(e => e.textContent)"
CELLS = (
    "[...document.querySelectorAll('.rows .row')].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"
    ".map(r => [...r.children].map(c => c.textContent))"
)
COUNT = "document.querySelector('.count').textContent"
ENDLESS = {"iterations": 1_000_000, "evaluate_every": 1000}


def counted(browser, found, total):
    browser.wait(f"{COUNT} === '{found} of {total} jobs'")


@pytest.fixture
def waiting(tmp_path):
    """A daemon that runs nothing, with jobs to look for."""
    running = daemons.Daemon(tmp_path / "data", "--workers", "0")
    for seed in range(1, 8):
        rule = {"type": "eprop"} if seed > 4 else {"type": "modprop", "mu": 0.5}
        submit(running, name=f"run {seed}", seed=seed, rule=rule, metadata={"lab": "x" if seed < 3 else "y"})
    submit(running, seed=33, task={"type": "evidence"}, network={"units": 30})
    yield running
    running.process.terminate()
    running.process.wait(daemons.STOP_SECONDS)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("seed:3", ["run 3"]),
        ("seed:2..4", ["run 4", "run 3", "run 2"]),
        ("seed 3", []),
        ("run 3", ["run 3"]),
        ('"run 3"', ["run 3"]),
        ("rule:EPROP", ["run 7", "run 6", "run 5"]),
        ("-rule:modprop", ["run 7", "run 6", "run 5"]),
        ("rule:eprop,modprop seed<=1", ["run 1"]),
        ("rule.mu=0.5 meta.lab=y", ["run 4", "run 3"]),
        ("task:delayed* seed:6..", ["run 7", "run 6"]),
        ("status:queued meta.lab!=y seed<30", ["run 2", "run 1"]),
        ("status:running", []),
        ("loss<0.1", []),
        ("loss:none seed>=7 seed:..9", ["run 7"]),
        ("name:run*6", ["run 6"]),
        ("network.units>20", None),
    ],
)
def test_the_filter_finds_what_it_says(waiting, browser, query, names):
    """In the address, as a link carries it; a number finds no job by a digit of its id."""
    browser.open(f"{waiting.url}/#/jobs?q={requests_quote(query)}")
    browser.wait(f"{COUNT}.endsWith('of 8 jobs')")
    counted(browser, 1 if names is None else len(names), 8)
    assert browser.script("return document.getElementById('filter').value") == query
    if names is None:
        assert browser.wait(SHOWN)[0].startswith("evidence ")
    else:
        browser.wait(f"JSON.stringify({SHOWN}) === {json.dumps(json.dumps(names, separators=(',', ':')))}")


def requests_quote(text):
    return daemons.requests.utils.quote(text, safe="")


def test_what_the_filter_cannot_read_is_said(waiting, browser):
    browser.expected.append("422")  # the console reports each
    browser.open(waiting.url + "/#/jobs")
    counted(browser, 8, 8)
    for text, fault in {
        "sed:3": 'At character 1: there is no field "sed"; did you mean "seed"?',
        "run seed:x": "At character 10: seed must be a number, a range such as 1..5 (either end may be missing), or "
        'none; got "x".',
        "loss<": "At character 6: a value must stand here.",
        "loss<low": "At character 6: after <, <=, > and >= there must be one number.",
    }.items():
        browser.type("#filter", text)
        browser.wait(f"document.getElementById('filter-fault').textContent === {json.dumps(fault)}")
        assert browser.find("#filter").get_attribute("aria-invalid") == "true"
        counted(browser, 8, 8)
    browser.type("#filter", "seed:3")
    browser.wait("!document.getElementById('filter').hasAttribute('aria-invalid')")
    assert browser.find("#filter-fault").text == ""


def test_filter_order_and_view_stand_in_the_address(waiting, browser):
    browser.open(waiting.url + "/#/jobs")
    counted(browser, 8, 8)
    browser.type("#filter", "rule:eprop")
    browser.press("Seed")
    browser.wait("document.querySelector('[aria-sort=ascending]')?.textContent === 'Seed'")
    address = browser.script("return location.href")
    assert address.endswith("#/jobs?q=rule%3Aeprop&sort=seed")
    browser.script("location.hash = '#/new'")
    browser.wait("document.querySelector('main').className === 'page-new'")
    browser.press("Jobs", "nav")
    browser.wait(f'JSON.stringify({SHOWN}) === \'["run 5","run 6","run 7"]\'')
    browser.open("about:blank")
    browser.open(address)
    browser.wait(f'JSON.stringify({SHOWN}) === \'["run 5","run 6","run 7"]\'')
    id = waiting.get("/v1/jobs").json()["jobs"][0]["id"]
    browser.open(f"{waiting.url}/#/compare/{id}?log=1&below=0.25&each=1")
    browser.wait("document.getElementById('log')?.checked && document.getElementById('each').checked")
    assert browser.find("#below").get_attribute("value") == "0.25"
    browser.find("#log").click()
    assert "log=" not in browser.script("return location.hash")


def test_a_job_that_changes_is_asked_about_again(waiting, browser):
    """The daemon says what fits: a tag that another client sets, a job that comes."""
    browser.open(waiting.url + "/#/jobs?q=tag:paper")
    counted(browser, 0, 8)
    id = waiting.get("/v1/jobs").json()["jobs"][3]["id"]
    assert waiting.request("PATCH", f"/v1/jobs/{id}", json={"tags": ["paper"], "name": "renamed"}).status_code == 200
    counted(browser, 1, 8)
    browser.wait(f"{SHOWN}[0] === 'renamed paper'")
    submit(waiting, name="new", tags=["Paper"])
    counted(browser, 2, 9)
    assert waiting.request("PATCH", f"/v1/jobs/{id}", json={"tags": []}).status_code == 200
    counted(browser, 1, 9)


def test_views_are_saved_chosen_and_deleted(waiting, browser):
    waiting.request("PUT", "/v1/views/one", json={"q": "rule:eprop", "sort": "seed"})
    browser.open(waiting.url + "/#/jobs")
    counted(browser, 8, 8)
    browser.wait("document.getElementById('view').options.length === 2")
    browser.script("const v = document.getElementById('view'); v.value = 'one'; v.dispatchEvent(new Event('change'))")
    counted(browser, 3, 8)
    assert browser.script("return location.hash") == "#/jobs?q=rule%3Aeprop&sort=seed"
    browser.type("#filter", "seed:1..2")
    counted(browser, 2, 8)
    browser.wait("document.getElementById('view').value === ''")
    browser.press("Save view")
    prompt = browser.alert()
    prompt.send_keys("two")
    prompt.accept()
    browser.wait("document.getElementById('view').value === 'two'")
    assert waiting.get("/v1/views/two").json()["q"] == "seed:1..2"
    view = {"of": "jobs", "q": "seed:1..2", "sort": None, "columns": ["seed", "loss"]}
    assert waiting.request("PUT", "/v1/views/two", json=view).status_code == 200
    browser.open("about:blank")
    browser.open(waiting.url + "/#/jobs?q=seed:2..3&columns=seed,loss")
    browser.wait("document.getElementById('view').options.length === 3")
    browser.press("Save view")
    prompt = browser.alert()
    prompt.send_keys("two")
    prompt.accept()
    browser.wait("document.getElementById('view').value === 'two'")
    assert waiting.get("/v1/views/two").json()["columns"] == ["seed", "loss"], "which this list shows"
    browser.press("Delete view")
    browser.alert().accept()
    browser.wait("document.getElementById('view').options.length === 2")
    assert waiting.get("/v1/views/two").status_code == 404


def test_a_view_of_jobs_shows_its_columns(waiting, browser):
    """Those that the command line shows for it: any field of a job, what a job lacks as a dash; the name leads."""
    fields = ["rule.mu", "network.units", "iterations", "created", "started", "constructor"]
    view = {"q": "run seed:..5", "sort": "-meta.lab", "columns": ["seed", "meta.lab", "name", "rule", *fields]}
    assert waiting.request("PUT", "/v1/views/labs", json=view).status_code == 200
    first = waiting.get("/v1/jobs").json()["jobs"][-1]
    units, iterations = str(first["network"]["units"]), str(first["progress"]["iterations"])
    own = ["Choose", "Name", "Status", "Task", "Rule", "Seed", "Progress", "Loss", "Accuracy", "Created"]
    heads = [
        "Choose",
        "Name",
        "Seed",
        "meta.lab",
        "Rule",
        "rule.mu",
        "network.units",
        "iterations",
        "Created",
        "started",
        "constructor",
    ]
    cells = [
        ["run 5", "5", "y", "–"], ["run 4", "4", "y", "0.5"], ["run 3", "3", "y", "0.5"], ["run 2", "2", "x", "0.5"],
        ["run 1", "1", "x", "0.5"],
    ]  # fmt: skip

    def shown(what, expected):
        browser.wait(f"JSON.stringify({what}) === JSON.stringify({json.dumps(expected)})")

    def choose(name):
        browser.script(
            "const v = document.getElementById('view'); v.value = arguments[0]; v.dispatchEvent(new Event('change'))",
            name,
        )

    browser.open(waiting.url + "/#/jobs")
    counted(browser, 8, 8)
    shown(HEADS, own)
    browser.wait("document.getElementById('view').options.length === 2")
    choose("labs")
    shown(HEADS, heads)
    shown(f"{CELLS}.map(([, name, seed, lab, , mu]) => [name, seed, lab, mu])", cells)
    shown(
        f"{CELLS}.map(([, , , , , , units, iterations, , ...last]) => [units, iterations, ...last])",
        [[units, iterations, "–", "–"]] * 5,
    )
    browser.wait("document.querySelector('.head [aria-sort=descending]')?.textContent === 'meta.lab'")
    browser.wait("document.getElementById('view').value === 'labs'")
    arguments = [CLI, "--server", waiting.url, "list", "--view", "labs"]
    printed = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()
    assert [line.split()[:2] for line in printed[1:]] == [[seed, lab] for _, seed, lab, _ in cells]

    browser.press("rule.mu")
    upwards = [*cells[1:], cells[0]]
    shown(f"{CELLS}.map(([, name]) => name)", [name for name, *_ in upwards])
    browser.wait("new URLSearchParams(location.hash.split('?')[1]).get('sort') === 'rule.mu'")
    address = browser.script("return location.href")
    browser.open("about:blank")
    browser.open(address)
    shown(HEADS, heads)
    shown(f"{CELLS}.map(([, name]) => name)", [name for name, *_ in upwards])
    browser.device(390, 800, "light")
    browser.wait("document.querySelector('.jobs').scrollWidth > innerWidth")
    browser.wait("document.documentElement.scrollWidth <= innerWidth")
    browser.wait("document.getElementById('view').options.length === 2")
    choose("")
    shown(HEADS, own)
    browser.wait("location.hash === '#/jobs'")


def test_a_job_is_renamed(waiting, browser):
    id = waiting.get("/v1/jobs").json()["jobs"][0]["id"]
    browser.open(f"{waiting.url}/#/jobs/{id}")
    browser.press("Name and tags")
    browser.type("#caption-name", "called so")
    browser.type("#caption-tags", "a, b c")
    browser.press("Save", "dialog")
    browser.wait("document.querySelector('main h1')?.textContent === 'called so'")
    job = waiting.get(f"/v1/jobs/{id}").json()
    assert (job["name"], job["tags"]) == ("called so", ["a", "b c"])
    browser.wait("document.querySelector('.facts a.tag')?.textContent === 'a'")


def test_several_jobs_are_paused_resumed_cancelled_and_deleted(waiting, browser):
    browser.open(f"{waiting.url}/#/jobs?q=rule:eprop")
    counted(browser, 3, 8)
    browser.press("Choose all shown")
    for act, then in (("Pause 3", "paused"), ("Resume 3", "queued"), ("Cancel 3", "cancelled")):
        browser.press(act)
        browser.wait(f"document.querySelectorAll('.rows .badge.{then}').length === 3")
    browser.press("Delete 3")
    alert = browser.alert()
    assert alert.text == "Delete 3 jobs with their events, curves and weights?"
    alert.accept()
    counted(browser, 0, 5)
    assert len(waiting.get("/v1/jobs").json()["jobs"]) == 5
    browser.wait("document.getElementById('notice').textContent === '3 jobs: deleted'")


def test_an_action_that_fails_for_some_says_why(waiting, browser):
    browser.expected += ["404", "409"]
    browser.open(f"{waiting.url}/#/jobs?q=seed:1..2")
    counted(browser, 2, 8)
    browser.press("Choose all shown")
    browser.wait("[...document.querySelectorAll('.bulk button')].some(b => b.textContent === 'Cancel 2')")
    result = browser.script(
        """return Promise.all([import("/actions.js"), import("/jobs.js")])
            .then(([{ ACTIONS, actOnAll }, { jobsNewest }]) =>
                actOnAll(ACTIONS.delete, [...jobsNewest().filter((j) => j.seed <= 2), { id: "none" }]))"""
    )
    assert result["failed"] == 2 and result["done"] == 1 and "queued" in result["why"], "what is gone is deleted"


def test_learned_agrees_with_the_command_line(daemon, browser):
    """Of 20 seeds: where more than half learned, and where fewer did, so that the median is never."""
    ids = [submit(daemon, seed=seed, training={"iterations": 100, "evaluate_every": 5}) for seed in range(1, 21)]
    curves = [daemon.get(f"/v1/jobs/{id}/metrics").json()["loss"] for id in ids if finish(daemon, id)]

    def reached(curve):
        return min(max(curve[i : i + 5]) for i in range(len(curve) - 4))

    bounds = sorted(reached(curve) for curve in curves)
    browser.open(f"{daemon.url}/#/compare/{','.join(ids)}")
    browser.wait("document.querySelectorAll('tbody td').length > 4")
    for learned in (0, 7, 10, 13, 20):
        below = 2.0 if learned == 20 else (bounds[learned - 1] if learned else 0) / 2 + bounds[learned] / 2
        said = subprocess.run(
            [CLI, "--server", daemon.url, "compare", "--json", "--under", repr(below), *ids],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (point,) = json.loads(said.stdout)["points"]
        under = point["metrics"]["learned"]
        count, median = under["n"] - under["never"], under["median"]
        median = median if median == "never" else f"{median:,.4g}"
        browser.script(
            "const f = document.getElementById('below'); f.step = 'any'; f.value = arguments[0];"
            "f.dispatchEvent(new Event('input'))",
            below,
        )
        browser.wait(
            "document.querySelector('tbody tr').lastChild.textContent === "
            + json.dumps(f"{count} of 20, median {median}")
        )
        assert count == learned and (median == "never") == (learned < 11)


def test_a_rule_has_one_colour_everywhere(daemon, browser):
    rules = [{"type": "eprop"}, {"type": "modprop"}, {"type": "modprop", "mu": 0.5}, {"type": "bptt"}]
    ids = [submit(daemon, rule=rule) for rule in rules]
    for id in ids:
        finish(daemon, id)
    stroke = "getComputedStyle({}.querySelector('.swatch line')).stroke"
    wanted = {"modprop": "rgb(0, 114, 178)", "eprop": "rgb(213, 94, 0)", "bptt": "rgb(0, 0, 0)"}
    browser.device(1400, 1000, "light")
    browser.open(daemon.url + "/#/jobs")
    rows = (
        "[...document.querySelectorAll('.rows .row')].map(r => "
        "[r.querySelector('.c-rule').textContent.trim().split(' ')[0], "
        + stroke.format("r") + "])"
    )  # fmt: skip
    # The list may be drawn before the rules' colours have arrived.
    browser.wait(f"{rows}.filter(([rule, colour]) => colour === ({json.dumps(wanted)})[rule]).length === 4")
    assert all(wanted[rule] == colour for rule, colour in browser.script("return " + rows))
    for order in (ids, ids[1:]):  # fewer groups: the colours stay
        browser.open(f"{daemon.url}/#/compare/{','.join(order)}")
        browser.wait(f"document.querySelectorAll('tbody tr').length === {len(order)}")
        groups = browser.script(
            "return [...document.querySelectorAll('tbody tr')].map(r => "
            "[r.querySelector('th').textContent.split(/[ ,]/)[0], "
            + stroke.format("r") + ", r.querySelector('line').getAttribute('stroke-dasharray')])"
        )  # fmt: skip
        assert all(wanted[rule] == colour for rule, colour, _ in groups)
        assert len({(rule, dash) for rule, _, dash in groups}) == len(order), "groups of a rule differ by their dashes"
    browser.open(f"{daemon.url}/#/jobs/{ids[0]}")
    browser.wait("document.querySelectorAll('.charts .line').length > 1")
    assert browser.script("return " + stroke.format("document.querySelector('.legend')")) == wanted["eprop"]
    assert re.search(
        r"rgb\(213, 94, 0\)", browser.script("return " + stroke.format("document.querySelector('.facts')"))
    )


def test_long_names_break_no_figure(daemon, browser):
    """A name of 120 characters, a dataset's of 64, and weights that were given as a value."""
    name = "n" * 120
    ids = [submit(daemon, seed=seed, name=name) for seed in (1, 2)]
    for id in ids:
        finish(daemon, id)
    weights = daemon.get(f"/v1/jobs/{ids[0]}/weights").json()
    initial = {key: weights[key] for key in ("W", "Win", "Wout", "bout")}
    more = submit(daemon, name=name, network={"units": 20, "types_per_sign": 2, "tau": 50, "initial": initial})
    finish(daemon, more)
    browser.device(390, 800, "light")
    browser.open(f"{daemon.url}/#/compare/{','.join([*ids, more])}")
    browser.wait(
        "document.querySelectorAll('tbody tr').length === 2 && document.querySelectorAll('.charts .line').length > 1"
    )
    wide = (
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + "
        "1 && !e.closest('.scroll, svg'))"
    )
    assert browser.script(f"return {wide}.map(e => e.outerHTML.slice(0, 200))") == []
    labels = browser.script("return [...document.querySelectorAll('tbody th')].map(t => t.textContent)")
    assert all(len(label) < 90 for label in labels), labels
    browser.open(f"{daemon.url}/#/jobs/{ids[0]}")
    browser.wait("document.querySelectorAll('.charts .line').length > 1")
    assert browser.script("return document.documentElement.scrollWidth <= innerWidth")
