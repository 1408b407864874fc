"""Experiments in the dashboard: what the page shows, and what a saved figure holds, is what the server says."""

import csv
import io
import json
import xml.etree.ElementTree

import daemons
import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

BASE = {
    "task": {"type": "delayed_xor", "delay": 20, "cue": 10},
    "network": {"units": 12, "tau": 50, "types_per_sign": 2},
    "training": {"iterations": 40, "evaluate_every": 5, "batch_size": 8, "diagnostics": ["psi", "spectral_radius"]},
}
RULES = {"name": "rule", "patches": [{"/rule": {"type": rule}} for rule in ("bptt", "eprop", "modprop")]}
RATES = {"path": "/optimizer/learning_rate", "values": [0.001, 0.01]}
METRICS = [{"name": "learned", "loss_below": 0.62, "in_a_row": 2}, {"final": "loss"}, {"best": "accuracy"}]
STUDY = {"name": "three rules", "tags": ["pilot"], "base": BASE, "axes": [RULES, RATES], "metrics": METRICS}
SUBMISSION = STUDY | {"seeds": {"from": 1, "count": 3}}


def ended(daemon, id):
    def final():
        experiment = daemon.get(f"/v1/experiments/{id}").json()
        return experiment if experiment["status"] in daemons.EXPERIMENT_FINAL else None

    return daemons.wait_until(final, 300)


def submit(daemon, specification):
    answer = daemon.request("POST", "/v1/experiments", json=specification)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A daemon with one experiment that has ended; (daemon, id)."""
    running = daemons.Daemon(tmp_path_factory.mktemp("studied") / "data", "--workers", "2")
    id = submit(running, SUBMISSION)
    assert ended(running, id)["status"] == "complete"
    yield running, id
    running.process.terminate()
    running.process.wait(daemons.STOP_SECONDS)


@pytest.fixture
def saved(browser, tmp_path):
    """Presses "Save" of the figure that a selector finds and returns the file's text."""
    folder = tmp_path / "saved"
    browser.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def save(figure, kind):
        before = set(folder.glob("*")) if folder.exists() else set()
        browser.script(
            "const menu = document.querySelector(arguments[0]).querySelector('.save'); menu.open = true;"
            "[...menu.querySelectorAll('button')].find(b => b.textContent === arguments[1]).click()",
            figure, kind,
        )  # fmt: skip

        def new():
            return {path for path in folder.glob("*") if path.suffix == f".{kind.lower()}"} - before

        daemons.wait_until(lambda: new() and all(path.stat().st_size for path in new()))
        return new().pop().read_bytes()

    return save


def page(daemon, id, **settings):
    query = "&".join(f"{name}={value}" for name, value in settings.items())
    return f"{daemon.url}/#/experiments/{id}{'?' if query else ''}{query}"


ROWS = "document.querySelectorAll('.study-table tbody tr')"
DRAWN = f"{ROWS}.length && document.querySelectorAll('.study-curves .line').length"


def number(text):
    return float(text.replace(",", ""))


def test_the_first_page_lists_experiments_and_leads_to_a_job(studied, browser):
    daemon, id = studied
    browser.open(daemon.url)
    browser.wait("document.querySelectorAll('.cards tbody tr').length === 1")
    text = browser.find(".cards tbody tr").text
    assert "three rules" in text and "complete" in text and "18 of 18" in text and "pilot" in text
    browser.press("three rules")
    browser.wait(f"location.hash === '#/experiments/{id}' && {DRAWN}")
    browser.script("document.querySelectorAll('.study-table tbody a')[1].click()")
    browser.wait("document.querySelectorAll('[aria-labelledby=trials] tbody tr').length === 3")
    point = daemon.get(f"/v1/experiments/{id}/points").json()["points"][1]
    assert browser.find("#trials").text == f"Trials of {point['label']}"
    assert "point=0.1" in browser.script("return location.hash")
    trials = daemon.get(f"/v1/experiments/{id}/trials?points=0.1").json()["trials"]
    links = browser.script(
        "return [...document.querySelectorAll('[aria-labelledby=trials] td a')].map(a => a.textContent)"
    )
    assert links == [trial["job"] for trial in trials]
    browser.press(links[0])
    browser.wait(f"location.hash === '#/jobs/{links[0]}' && document.querySelectorAll('.charts .line').length > 1")


def test_the_tables_say_what_the_server_says(studied, browser):
    daemon, id = studied
    browser.open(page(daemon, id, metric="final_loss"))
    browser.wait(f"{ROWS}.length === 6 && document.querySelector('.metric-name').textContent.includes('final loss')")
    points = daemon.get(f"/v1/experiments/{id}/points").json()["points"]
    shown = browser.script(
        f"return [...{ROWS}].map(r => [r.querySelector('th').textContent.trim(), "
        "...[...r.querySelectorAll('td')].map(c => c.textContent)])"
    )
    for row, point in zip(shown, points, strict=True):
        summary = point["metrics"]["final_loss"]
        assert row[0] == point["label"] and row[1].startswith("3 of 3") and row[2] == "3"
        assert number(row[3]) == pytest.approx(summary["median"], rel=5e-3)
        assert row[4] == "–", "three seeds give no interval of a median"
        mean, deviation = row[6].split(" ± ")
        assert number(mean) == pytest.approx(summary["mean"], rel=5e-3)
        assert number(deviation) == pytest.approx(summary["standard_deviation"], rel=5e-3)
        low, high = row[7].removesuffix(" †").split(" to ")
        assert row[7].endswith("†"), "an interval of fewer than ten seeds is marked"
        assert number(low) == pytest.approx(summary["mean_95"]["low"], rel=5e-3)
        assert number(high) == pytest.approx(summary["mean_95"]["high"], rel=5e-3)
    browser.press("Median")
    medians = [number(t) for t in browser.script(f"return [...{ROWS}].map(r => r.querySelector('b').textContent)")]
    assert medians == sorted(medians) and "sort=Median" in browser.script("return location.hash")


ENDS = (
    "return [...document.querySelectorAll('.study-curves .drawing text.end')]"
    ".map(t => [t.textContent, Number(t.getAttribute('y'))])"
)


def test_each_curve_has_its_name_at_its_end(studied, browser, saved):
    daemon, id = studied
    browser.device(1400, 1000, "light")
    browser.open(page(daemon, id, panels="one"))
    browser.wait(DRAWN)
    labels = [point["label"] for point in daemon.get(f"/v1/experiments/{id}/points").json()["points"]]
    ends = browser.script(ENDS)
    assert sorted(name for name, _ in ends) == sorted(labels)
    heights = sorted(height for _, height in ends)
    assert all(below - above >= 12.9 for above, below in zip(heights, heights[1:], strict=False)), heights
    last = daemon.get(f"/v1/experiments/{id}/curves?keys=loss").json()["curves"]
    assert [name for name, _ in sorted(ends, key=lambda end: -end[1])] == [
        curve["label"] for curve in sorted(last, key=lambda curve: curve["median"][-1])
    ], "in the order of the lines"
    text = xml.etree.ElementTree.fromstring(saved(".study-curves", "SVG")).itertext()
    assert sum(word.strip() in labels for word in text) == 2 * len(labels), "at the ends, and in the legend"
    browser.script("document.querySelector('.study-curves .entry-toggle').click()")
    assert sorted(name for name, _ in browser.script(ENDS)) == sorted(labels[1:]), "a hidden one has none"
    browser.device(390, 800, "light")
    browser.wait("document.querySelectorAll('.study-curves .drawing text.end').length === 0")
    assert browser.script("return document.querySelectorAll('.study-curves .entry').length") == len(labels)


def test_names_are_moved_apart_and_no_further(studied, browser):
    daemon, _ = studied
    browser.open(daemon.url)
    random = np.random.default_rng(daemons.drawn_seed())
    lists = [sorted(random.uniform(0, 300, random.integers(1, 12)).round(2).tolist()) for _ in range(200)]
    placed = browser.driver.execute_async_script(
        "const [lists, done] = arguments;"
        "import('/ends.js').then(({ apart }) => done(lists.map(list => apart(list, 13, 0, 300))))",
        lists,
    )
    for wanted, found in zip(lists, placed, strict=True):
        assert min(found) >= -1e-9 and max(found) <= 300 + 1e-9 and np.all(np.diff(found) >= 13 - 1e-9)
        best = isotonic([height - 13 * rank for rank, height in enumerate(wanted)], 0, 300 - 13 * (len(wanted) - 1))
        assert np.allclose(found, [level + 13 * rank for rank, level in enumerate(best)], atol=1e-6)


def isotonic(values, low, high):
    """The nondecreasing levels within bounds with the least squares, by the min-max formula."""
    sums = np.concatenate([[0], np.cumsum(values)])
    count = len(values)
    levels = [
        max(min((sums[j] - sums[i]) / (j - i) for j in range(at + 1, count + 1)) for i in range(at + 1))
        for at in range(count)
    ]
    return np.clip(levels, low, high)


def test_any_curve_or_diagnostic_is_a_metric_in_any_unit(studied, browser):
    daemon, id = studied
    for metric, query in {
        "final:spectral_radius": "metrics=final:spectral_radius",
        "best:accuracy": "metrics=best:accuracy",
        "loss_below:0.62:2": "metrics=loss_below:0.62:2&in=trials",
    }.items():
        browser.open("about:blank")
        browser.open(page(daemon, id, metric=metric, x="trials"))
        points = daemon.get(f"/v1/experiments/{id}/points?{query}").json()["points"]
        medians = [next(iter(point["metrics"].values()))["median"] for point in points]
        browser.wait(f"{ROWS}.length === 6 && {DRAWN}")
        shown = browser.script(f"return [...{ROWS}].map(r => r.querySelector('b').textContent)")
        for text, median in zip(shown, medians, strict=True):
            if median == "never":
                assert text == "never"
            elif "accuracy" in metric:
                assert float(text.split()[0].replace("%", "")) == pytest.approx(100 * median, abs=0.06)
            else:
                assert number(text) == pytest.approx(median, rel=5e-3)


def test_labels_and_colours_are_those_of_the_server(studied, browser):
    daemon, id = studied
    browser.device(1400, 1000, "dark")
    browser.open(page(daemon, id))
    browser.wait(DRAWN)
    points = daemon.get(f"/v1/experiments/{id}/points").json()["points"]
    swatches = browser.script(
        "return [...document.querySelectorAll('.study-curves .entry')].map(e => "
        "[e.querySelector('.entry-name').textContent, getComputedStyle(e.querySelector('line')).stroke, "
        "e.querySelector('line').getAttribute('stroke-dasharray')])"
    )

    def rgb(colour):
        colour = "#ffffff" if colour == "#000000" else colour  # black is drawn white on dark
        return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"

    assert [entry[:2] for entry in swatches] == [[point["label"], rgb(point["colour"])] for point in points]
    assert all((dash is None) == (point["dash"] == 0) for (_, _, dash), point in zip(swatches, points, strict=True))
    drawn = set(
        browser.script(
            "return [...document.querySelectorAll('.study-curves .line')].map(l => l.getAttribute('stroke'))"
        )
    )
    assert {colour.lower() for colour in drawn} == {"#ffffff", "#d55e00", "#0072b2"}


def test_the_state_of_the_page_is_its_address(studied, browser):
    daemon, id = studied
    browser.open(page(daemon, id))
    browser.wait(DRAWN)
    browser.script(
        """for (const [id, value] of [["metric", "final:spectral_radius"], ["x", "trials"], ["curve", "accuracy"],
              ["panels", "rule"]]) {
            const field = document.getElementById(id); field.value = value;
            field.dispatchEvent(new Event("input")); field.dispatchEvent(new Event("change")); }
        document.querySelectorAll('.study-curves .entry-toggle')[2].click();"""
    )
    browser.wait("document.querySelectorAll('.study-curves .chart').length === 3")
    browser.wait("document.querySelector('.metric-name').textContent === 'final spectral radius of W'")
    address = browser.script("return location.href")
    for part in ("metric=final%3Aspectral_radius", "x=trials", "curve=accuracy", "panels=rule", "hide=1.0"):
        assert part in address, address
    browser.open("about:blank")
    browser.open(address)
    browser.wait("document.querySelectorAll('.study-curves .chart').length === 3")
    chosen = browser.script("return ['metric', 'x', 'curve', 'panels'].map(id => document.getElementById(id).value)")
    assert chosen == ["final:spectral_radius", "trials", "accuracy", "rule"]
    off = "[...document.querySelectorAll('.study-curves .entry.off .entry-name')].map(e => e.textContent)"
    label = daemon.get(f"/v1/experiments/{id}/points").json()["points"][2]["label"]
    assert browser.wait(off) == [label]
    titles = browser.script(
        "return [...document.querySelectorAll('.study-curves .figure-title')].map(t => t.textContent)"
    )
    assert titles == ["rule bptt", "rule eprop", "rule modprop"]


def test_a_saved_figure_is_what_is_drawn(studied, browser, saved):
    daemon, id = studied
    browser.open(page(daemon, id, panels="one", hide="0.0"))
    browser.wait(f"{DRAWN} === 5")
    rows = list(csv.DictReader(io.StringIO(saved(".study-curves .chart", "CSV").decode())))
    curves = daemon.get(f"/v1/experiments/{id}/curves?keys=loss").json()["curves"]
    wanted = [
        (curve["label"], x, median, low, high, n)
        for curve in curves
        if curve["point"] != "0.0"
        for x, median, low, high, n in zip(
            curve["iteration"], curve["median"], curve["low"], curve["high"], curve["n"], strict=True
        )
    ]
    assert len(rows) == len(wanted) == 5 * 9
    for row, (label, x, *values) in zip(rows, wanted, strict=True):
        assert row["series"] == label and float(row["iteration"]) == x
        assert [float(row[name]) for name in ("median", "quartile_1", "quartile_3", "n")] == values
    text = saved(".study-curves .chart", "SVG").decode()
    root = xml.etree.ElementTree.fromstring(text)
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {curve["label"] for curve in curves} - set(words) == {curves[0]["label"]}, "the legend is in the file"
    assert "class=" not in text and "style=" not in text
    assert saved(".study-curves .chart", "PNG").startswith(b"\x89PNG")
    differences = list(csv.DictReader(io.StringIO(saved(".differences .chart", "CSV").decode())))
    comparisons = [
        c for c in daemon.get(f"/v1/experiments/{id}/compare").json()["comparisons"] if c["metric"] == "learned"
    ]
    assert [(row["label"], row["to_label"]) for row in differences] == [
        (c["label"], c["to_label"]) for c in comparisons
    ]
    for row, c in zip(differences, comparisons, strict=True):
        assert (float(row["mean_difference"]) if row["mean_difference"] else None) == c["mean_difference"]


GEOMETRY = """return import("/charts.js").then(({ chart }) => {
  const make = (settings, series, more) => {
    const one = chart("probe", { x: "iteration", y: "value", ...settings });
    document.querySelector("main").append(one.element);
    one.set(series, more);
    one.drawNow();
    const text = (kind) => [...one.element.querySelectorAll(kind)].map((t) => t.textContent);
    const box = (kind) => { const b = one.element.querySelector(kind).getBBox(); return [b.y, b.y + b.height]; };
    const found = { ticks: text(".tick-y"), domain: one.now.ys.domain, band: box(".band"), area: one.now.area,
      never: one.now.y("never"), top: one.now.ys.to(one.now.ys.domain[1]),
      edges: one.element.querySelectorAll(".edge").length };
    one.destroy(); one.element.remove();
    return found; };
  const x = [0, 1, 2], accuracy = { name: "a", x, y: [0.9, 0.95, 1], low: [0.8, 0.7, 0.9], high: [1.1, 1.2, 1.3] };
  return {
    share: make({ percent: true, limits: [0, 1] }, [accuracy]),
    log: make({}, [{ name: "a", x, y: [1, 0.1, 0.03], low: [0.5, -0.2, 0.02], high: [2, 1, 0.4] }], { log: true }),
    never: make({}, [{ name: "a", x, y: [10, "never", 30], low: [5, 20, 10], high: [20, "never", "never"] }]),
  }; })"""


def test_nothing_is_drawn_where_nothing_can_be(studied, browser):
    """A band beyond an accuracy of 1, a logarithmic axis below the least value, and "never", which is above all."""
    daemon, _ = studied
    browser.open(daemon.url)
    browser.wait("document.querySelectorAll('.cards tbody tr').length === 1")
    found = browser.script(GEOMETRY)
    share, log, never = found["share"], found["log"], found["never"]
    assert share["domain"] == [0, 1] and share["ticks"][-1] == "100 %" and share["edges"] == 2
    assert share["band"][0] >= share["top"] - 1, "the band ends at 1"
    assert log["domain"][0] == 0.02, "the axis begins at the least that was measured"
    bottom = log["area"][1] + log["area"][3]
    assert log["band"][1] <= bottom + 1, "a negative bound is drawn at the axis' end"
    assert never["never"] < never["top"] and "never" not in never["ticks"]
    assert never["domain"][1] < 40, "never does not stretch the axis"


def test_hover_hide_solo_and_keys(studied, browser):
    daemon, id = studied
    browser.open(page(daemon, id, panels="one"))
    browser.wait(f"{DRAWN} === 6")
    browser.script("document.querySelector('.study-curves .plot').focus()")
    browser.keys(Keys.RIGHT, Keys.RIGHT)
    curve = daemon.get(f"/v1/experiments/{id}/curves?keys=loss").json()["curves"][0]
    values = browser.script(
        "return [...document.querySelectorAll('.study-curves .entry-value')].map(v => v.textContent)"
    )
    median, spread = values[0].split(" (")
    assert number(median) == pytest.approx(curve["median"][1], rel=5e-3) and spread.endswith("n 3")
    assert browser.find(".study-curves .legend-at").text == "iteration 5"
    only = browser.all(".study-curves .entry-only")
    browser.script("arguments[0].click()", only[1])
    browser.wait("document.querySelectorAll('.study-curves .line').length === 1")
    browser.script("arguments[0].click()", only[1])
    browser.wait("document.querySelectorAll('.study-curves .line').length === 6")
    browser.script("document.querySelector('.differences .plot').focus()")
    browser.keys(Keys.DOWN)
    said = browser.find(".differences .reading").text
    (first, *_) = daemon.get(f"/v1/experiments/{id}/compare").json()["comparisons"]
    assert said.startswith(f"{first['label']} against {first['to_label']}: ")
    browser.script("document.querySelectorAll('.study-axes .plot')[1].focus()")
    browser.keys(Keys.DOWN, Keys.RIGHT)
    assert "median" in browser.script("return document.querySelectorAll('.study-axes .reading')[1].textContent")


@pytest.mark.parametrize("width,scheme", [(1920, "light"), (390, "dark")])
def test_accessible_and_fitting(studied, browser, axe, width, scheme):
    daemon, id = studied
    browser.device(width, 900, scheme)
    wide = (
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && "
        "!e.closest('.scroll, svg, thead')).map(e => e.outerHTML.slice(0, 120))"
    )
    for url in (daemon.url, page(daemon, id, point="0.0", seeds="1")):
        browser.open("about:blank")
        browser.open(url)
        browser.wait(DRAWN if "experiments" in url else "document.querySelectorAll('.cards tbody tr').length")
        assert browser.script("return document.documentElement.scrollWidth <= innerWidth") and not browser.script(
            f"return {wide}"
        )
        faults = axe(browser)
        assert not faults, (url, faults)


def test_an_experiment_is_made_acted_on_and_extended(daemon, browser):
    browser.expected.append("404")  # it is deleted while the page reads its curves
    browser.open(f"{daemon.url}/#/new")
    browser.wait("document.querySelector('.summary .good')")
    browser.script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    fields = {"task-delay": "20", "task-cue": "10", "network-units": "12", "training-iterations": "1000000"}
    for field, value in {**fields, "training-evaluate_every": "100000", "seed": "1-2", "name": "by hand"}.items():
        browser.type(f"#f-{field}", value)
    browser.script("const b = [...document.querySelectorAll('.boxes input')].find(b => b.value === 'eprop'); b.click()")
    browser.wait("document.querySelector('.summary .good')?.textContent === 'The experiment is valid: 4 trials.'")
    assert "Points" in browser.find(".summary").text
    browser.press("Submit the experiment")
    browser.wait(f"location.hash.startsWith('#/experiments/') && {ROWS}.length === 2")
    id = browser.script("return location.hash.split('/').pop()")
    state = "document.querySelector('.title .badge').textContent.trim().split(' ').slice(1).join(' ')"
    browser.press("Pause")
    browser.wait(f"{state} === 'paused'")
    browser.press("Resume")
    browser.wait(f"{state} === 'running'")
    browser.press("Add seeds")
    assert browser.find("#more-seeds").get_attribute("value") == "3-12"
    browser.type("#more-seeds", "3")
    browser.find("dialog[open] .primary").click()
    browser.wait("[...document.querySelectorAll('.facts dd')][1].textContent === '6'")
    assert daemon.get(f"/v1/experiments/{id}").json()["trials"] == 6
    browser.press("Edit")
    browser.type("#edit-tags", "one, two")
    browser.find("dialog[open] .primary").click()
    browser.wait("document.querySelectorAll('.title .tag').length === 2")
    browser.press("Cancel")
    browser.wait(f"{state} === 'cancelled'")
    browser.press("Use as a template")
    browser.wait("document.getElementById('f-seed')?.value === '1-3' && document.querySelector('.summary .good')")
    made = json.loads(
        browser.script(
            "document.querySelector('[data-language=json]').click(); return document.querySelector('pre').textContent"
        )
    )
    assert [patch["/rule"]["type"] for patch in made["axes"][0]["patches"]] == ["modprop", "eprop"]
    assert made["tags"] == ["one", "two"] and made["base"]["training"]["iterations"] == 1000000
    browser.script("history.back()")
    browser.press("Delete")
    browser.alert().accept()
    browser.wait("location.hash === '#/' && document.querySelector('.empty h2')?.textContent === 'No experiments yet'")
    assert daemon.get(f"/v1/experiments/{id}").status_code == 404


def test_an_experiment_is_followed_while_it_runs(daemon, browser):
    """Trials end one after the other; the page counts them, and draws their curves, without being asked."""
    browser.open(daemon.url)
    browser.wait("document.querySelector('.empty h2')?.textContent === 'No experiments yet'")
    id = submit(daemon, SUBMISSION | {"seeds": {"from": 1, "count": 4}, "most_running": 1})
    browser.wait("document.querySelectorAll('.cards tbody tr').length === 1")
    browser.press("three rules")
    assert ended(daemon, id)["status"] == "complete"
    browser.wait("document.querySelector('.title .badge')?.textContent.includes('complete')")
    browser.wait(f"{DRAWN} === 6")
    trials = f"[...{ROWS}].map(r => r.querySelector('.progress-cell .num').textContent).join()"
    browser.wait(f"{trials} === '{','.join(['4 of 4'] * 6)}'")
    job = daemon.get(f"/v1/experiments/{id}/trials").json()["trials"][0]["job"]
    browser.open(f"{daemon.url}/#/jobs/{job}")
    browser.press("point 0.0")
    browser.wait(f"location.hash === '#/experiments/{id}?point=0.0' && {DRAWN} === 6")
    browser.wait("document.querySelectorAll('[aria-labelledby=trials] tbody tr').length === 4")


def test_the_list_is_filtered_by_the_server_and_sorted(daemon, browser):
    browser.expected.append("422")
    small = {"base": BASE | {"training": {"iterations": 1}}, "seeds": [1]}
    for name, tags in (("beta", ["x"]), ("alpha", ["x", "y"]), ("gamma", [])):
        submit(daemon, small | {"name": name, "tags": tags})
    shown = "[...document.querySelectorAll('.cards tbody th')].map(t => t.textContent).join()"
    browser.open(daemon.url)
    browser.wait(f"{shown} === 'gamma,alpha,beta'")
    browser.type("#filter", "tag:x")
    browser.wait(f"{shown} === 'alpha,beta'")
    browser.press("Name")
    browser.press("Name")
    browser.wait(f"{shown} === 'beta,alpha'")
    assert browser.script("return location.hash") == "#/?q=tag%3Ax&sort=-Name"
    browser.open("about:blank")
    browser.open(f"{daemon.url}/#/?q=tag:x&sort=Name")
    browser.wait(f"{shown} === 'alpha,beta'")
    browser.type("#filter", "tags:x")
    browser.wait("document.getElementById('filter-fault').textContent.includes('did you mean')")
    assert browser.find("#filter").get_attribute("aria-invalid") == "true"
    browser.type("#filter", "nothing")
    browser.wait("document.querySelector('.empty')?.textContent === 'No experiment matches the filter.'")


def test_views_of_experiments_are_saved_chosen_and_show_their_columns(daemon, browser):
    small = {"base": BASE | {"training": {"iterations": 1}}, "seeds": [1]}
    for name, tags in (("beta", ["x"]), ("alpha", ["x"]), ("gamma", [])):
        submit(daemon, small | {"name": name, "tags": tags, "notes": f"about {name}"})
    view = {"of": "experiments", "q": "tag:x", "sort": "name", "columns": ["notes", "points", "task"]}
    assert daemon.request("PUT", "/v1/views/mine", json=view).status_code in (200, 201)
    assert daemon.request("PUT", "/v1/views/others", json={"of": "jobs", "q": ""}).status_code in (200, 201)
    shown = "[...document.querySelectorAll('.cards tbody th')].map(t => t.textContent).join()"
    heads = "[...document.querySelectorAll('.cards thead th')].map(t => t.textContent).join()"
    choose = "const v = document.getElementById('view'); v.value = '{}'; v.dispatchEvent(new Event('change'))"
    browser.open(daemon.url)
    browser.wait(f"{shown} === 'gamma,alpha,beta' && document.getElementById('view').options.length === 2")
    plain = browser.script(f"return {heads}")
    browser.script(choose.format("mine"))
    browser.wait(f"{shown} === 'alpha,beta' && {heads} === 'Name,Notes,Points,task'")
    cells = browser.script("return [...document.querySelector('.cards tbody tr').cells].map(c => c.textContent)")
    assert cells == ["alpha", "about alpha", "1", "–"]
    assert browser.script("return location.hash") == "#/?q=tag%3Ax&sort=Name&columns=notes%2Cpoints%2Ctask"
    browser.open("about:blank")
    browser.open(f"{daemon.url}/#/?q=tag:x&sort=Name&columns=notes,points,task")
    browser.wait(f"{shown} === 'alpha,beta' && document.getElementById('view').value === 'mine'")
    browser.press("Name")
    browser.wait(f"{shown} === 'beta,alpha' && document.getElementById('view').value === ''")
    browser.press("Save view")
    prompt = browser.alert()
    prompt.send_keys("turned")
    prompt.accept()
    browser.wait("document.getElementById('view').value === 'turned'")
    saved = daemon.get("/v1/views/turned").json()
    assert {name: saved[name] for name in view} == view | {"sort": "-name"}
    browser.script(choose.format(""))
    browser.wait(f"{shown} === 'gamma,alpha,beta' && {heads} === {plain!r}")
    browser.script(choose.format("turned"))
    browser.wait(f"{shown} === 'beta,alpha'")
    browser.press("Delete view")
    browser.alert().accept()
    browser.wait("document.getElementById('view').options.length === 2")
    assert daemon.get("/v1/views/turned").status_code == 404


def test_more_axes_have_more_plots(daemon, browser):
    """What colour, dash and marker do not tell apart is in panels of its own; all axes together are parallel."""
    delays, units = {"path": "/task/delay", "values": [10, 20]}, {"path": "/network/units", "values": [12, 13]}
    short = BASE | {"training": {"iterations": 10, "evaluate_every": 5, "batch_size": 4}}
    id = submit(daemon, {"base": short, "axes": [RULES, RATES, delays, units], "seeds": [1, 2]})
    assert ended(daemon, id)["counts"]["succeeded"] == 48
    points = daemon.get(f"/v1/experiments/{id}/points").json()["points"]
    assert {point["panel"] for point in points} == {"units=12", "units=13"}
    browser.open(page(daemon, id, over="learning_rate", across="rule"))
    browser.wait("document.querySelectorAll('.study-curves .line').length === 24")
    panels = browser.script(
        "return [...document.querySelectorAll('.study-curves .chart')].map(c => [c.querySelector('.figure-title')"
        ".textContent, [...c.querySelectorAll('.line')].map(l => "
        "l.getAttribute('stroke') + l.getAttribute('stroke-dasharray')).join()])"
    )
    assert [title for title, _ in panels] == [
        f"learning_rate {rate}, units={count}" for rate in (0.001, 0.01) for count in (12, 13)
    ]
    assert all(len(browser.script("return arguments[0].split(',#')", looks)) == 6 for _, looks in panels)
    marks = "document.querySelector('.study-curves .chart svg').querySelectorAll('path:not([class])').length"
    assert browser.script(f"return {marks}") > 0, "markers tell the delays apart"
    titles = browser.script(
        "return [...document.querySelectorAll('.study-axes .figure-title')].map(t => t.textContent)"
    )
    assert len(titles) == 4 * 2 + 1 and titles[-1] == "All axes"
    lines = "document.querySelectorAll('.study-axes > .view .line').length"
    assert browser.script(f"return {lines}") == 24
    browser.script("document.querySelector('.study-axes > .view .plot').focus()")
    browser.keys(Keys.DOWN)
    said = browser.script("return document.querySelector('.study-axes > .view .reading').textContent")
    assert said.startswith(f"{points[0]['label']}: ")


def test_any_jobs_are_compared_as_the_server_says(studied, browser):
    daemon, id = studied
    trials = daemon.get(f"/v1/experiments/{id}/trials?points=0.1,1.1,2.1").json()["trials"]
    ids = sorted(trial["job"] for trial in trials)
    browser.open(f"{daemon.url}/#/compare/{','.join(ids)}?below=0.6&evaluations=2&metric=final_loss&to=1")
    browser.wait("document.querySelectorAll('tbody tr').length === 3 && document.getElementById('to').value === '1'")
    metrics = [{"name": "learned", "loss_below": 0.6, "in_a_row": 2}, {"final": "loss"}]
    answer = daemon.request("POST", "/v1/compare", json={"jobs": ids, "metrics": metrics, "to": 1}).json()
    rows = browser.script(
        "return [...document.querySelectorAll('tbody tr')].map(r => [...r.children].map(c => c.textContent))"
    )
    for row, point in zip(rows, answer["points"], strict=True):
        learned, loss = point["metrics"]["learned"], point["metrics"]["final_loss"]
        assert row[1] == point["label"] and row[2] == "1 2 3" and row[3] == "3 of 3"
        mean, deviation = row[4].split(" ± ")
        assert number(mean) == pytest.approx(loss["mean"], rel=5e-3)
        assert number(deviation) == pytest.approx(loss["standard_deviation"], rel=5e-3)
        assert row[6].startswith(f"{learned['n'] - learned['never']} of 3, median ")
    browser.script("document.querySelector('[aria-labelledby=differences] .plot').focus()")
    browser.keys(Keys.DOWN)
    said = browser.find("[aria-labelledby=differences] .reading").text
    wanted = [c for c in answer["comparisons"] if c["metric"] == "final_loss" and c["to"] == "1"]
    assert len(wanted) == 2
    assert said.startswith(f"{wanted[0]['label']} against {wanted[0]['to_label']}: "), said
    browser.script("const s = document.getElementById('to'); s.value = '0'; s.dispatchEvent(new Event('change'))")
    browser.wait("!location.hash.includes('to=')")
    browser.script("location.hash = '#/compare'")
    browser.wait("document.querySelectorAll('main li').length === 6")
    assert all(
        text.endswith("3 seeds")
        for text in browser.script("return [...document.querySelectorAll('main li')].map(l => l.textContent)")
    )
