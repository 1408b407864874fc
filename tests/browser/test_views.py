"""What each view of the dashboard shows is what the daemon holds.

And the page stays small, quick and the same however long it is used.
"""

import hashlib
import json
import math
import os
import pathlib
import sqlite3
import statistics
import struct
import subprocess
import time

import daemons
import pytest
from conftest import finish, submit
from selenium.webdriver.common.keys import Keys

LONG = bool(os.environ.get("MODPROP_LONG"))
QUICK = {
    "task-delay": "40",
    "task-cue": "20",
    "network-units": "20",
    "training-iterations": "20",
    "training-evaluate_every": "5",
}


def form_fill(browser, daemon, **more):
    browser.open(f"{daemon.url}/#/new")
    browser.wait("document.querySelector('.summary .good')")
    browser.script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    for field, value in {**QUICK, **more}.items():
        browser.type(f"#f-{field}", value)


def code_of(browser, language):
    browser.find(f"[data-language={language}]").click()
    return browser.script("return document.querySelector('pre').textContent")


def run(command, **options):
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("MODPROP_", "MODPROPD_"))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=variables, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_code_beside_the_form_runs_as_it_stands(daemon, browser, python):
    form_fill(browser, daemon, name='it\'s "quoted" $HOME µ', **{"network-tau": '{"low": 20, "high": 60}'})
    browser.wait("document.querySelector('.summary .good')")
    lines = [json.loads(line) for line in run(["sh", "-c", code_of(browser, "curl")]).splitlines() if line]
    assert lines[-1]["type"] == "weights" and len(lines[-1]["W"]) == 20
    printed = run([python, "-c", code_of(browser, "python")]).splitlines()
    assert [line.split()[0] for line in printed] == ["0", "5", "10", "15", "20"]
    document = json.loads(code_of(browser, "json"))
    first, second = daemon.get("/v1/jobs").json()["jobs"]
    assert (
        first["config_sha256"] == second["config_sha256"]
        and first["name"] == second["name"] == document["name"] == 'it\'s "quoted" $HOME µ'
    )
    assert first["network"]["tau"] == document["network"]["tau"] == {"low": 20, "high": 60}

    browser.type("#f-seed", "7-9")
    browser.type("#f-optimizer-learning_rate", "0.001, 0.01")
    browser.wait("document.querySelector('.side .primary').textContent === 'Submit the experiment'")
    browser.wait("document.querySelector('.summary .good')?.textContent === 'The experiment is valid: 6 trials.'")
    run(["sh", "-c", code_of(browser, "curl")])
    run([python, "-c", code_of(browser, "python")])
    asked = json.loads(code_of(browser, "json"))
    assert asked["seeds"] == {"from": 7, "count": 3}
    assert asked["axes"] == [{"path": "/optimizer/learning_rate", "values": [0.001, 0.01]}]
    browser.find(".side .primary").click()
    browser.wait("location.hash.startsWith('#/experiments/') && document.querySelectorAll('tbody tr').length === 2")
    made = daemon.get("/v1/experiments").json()["experiments"]
    assert [daemon.get(f"/v1/experiments/{one['id']}").json()["specification"] for one in made] == [asked] * 3


def test_every_parameter_has_its_explained_field(daemon, browser):
    browser.expected.append("jobs:validate")  # the task `dataset` wants a name
    tasks, rules = daemon.get("/v1/tasks").json()["tasks"], daemon.get("/v1/rules").json()["rules"]
    own = set(daemon.get("/openapi.json").json()["components"]["schemas"]["JobSubmission"]["properties"])
    own -= {"task", "network", "rule", "optimizer", "training"}
    browser.open(f"{daemon.url}/#/new")
    browser.wait("document.querySelector('.summary .good')")
    told = (
        "Object.fromEntries([...document.querySelectorAll('.field')].map(f => [f.querySelector('input, "
        "select').id, f.querySelector('.about').textContent]))"
    )
    for kind, entries in ("task", tasks), ("rule", rules):
        for entry in entries:
            browser.script(
                "const s = document.getElementById(arguments[0]); s.value = arguments[1]; "
                "s.dispatchEvent(new Event('change'))",
                f"f-{kind}-type", entry["type"],
            )  # fmt: skip
            shown = browser.script(f"return {told}")
            for name, parameter in entry["parameters"].items():
                assert parameter["description"] in shown[f"f-{kind}-{name}"]
    for section in ("network", "optimizer", "training"):
        for name, parameter in tasks[-1]["defaults"][section].items():
            assert parameter["description"] in shown[f"f-{section}-{name}"]
    assert {f"f-{name}" for name in own} <= set(shown)
    assert '{"metric": "accuracy" or "loss"' in shown["f-training-stop_when"]


def test_diagnostics_are_drawn_where_a_job_has_them(daemon, browser):
    plain = submit(daemon)
    told = submit(daemon, training={"iterations": 40, "evaluate_every": 5, "diagnostics": ["cosine", "psi"]})
    for id in plain, told:
        finish(daemon, id)
    titles = (
        "[...document.querySelectorAll('.chart')].filter(c => c.offsetParent).map(c => "
        "c.querySelector('figcaption span').textContent)"
    )
    browser.open(f"{daemon.url}/#/jobs/{plain}")
    browser.wait("document.querySelectorAll('.charts .line').length > 1")
    assert browser.script(f"return {titles}") == ["Loss", "Accuracy"]
    browser.open(f"{daemon.url}/#/jobs/{told}")
    browser.wait(f"{titles}.length > 2")
    assert browser.script(f"return {titles}") == ["Loss", "Accuracy", "Cosine with the gradient of bptt", "Units"]
    curve = daemon.get(f"/v1/jobs/{told}/metrics").json()
    label = browser.script(
        "return [...document.querySelectorAll('.plot')].map(p => p.getAttribute('aria-label')).find(l => "
        "l.startsWith('Cosine'))"
    )
    assert float(label.split(" W ")[1].split(",")[0]) == pytest.approx(curve["cosine_W"][-1], rel=1e-3)


def test_a_comparison_says_what_tells_groups_apart_and_when_they_learned(daemon, browser):
    training = {"iterations": 400, "evaluate_every": 5}
    network = {"units": 20, "types_per_sign": 2, "tau": 50}
    ids = [
        submit(daemon, seed=seed, network=network | {"units": units}, training=training)
        for units in (20, 30)
        for seed in (3, 1, 2)
    ]
    curves = {}
    for id in ids:
        finish(daemon, id)
        curves[id] = daemon.get(f"/v1/jobs/{id}/metrics").json()
    below = sorted(min(c["loss"]) for c in curves.values())[3] + 0.05  # some have been there, some not

    def learned(curve, row=2):
        under = [loss < below for loss in curve["loss"]]
        return next((curve["iteration"][i] for i in range(len(under) - row + 1) if all(under[i : i + row])), None)

    browser.open(f"{daemon.url}/#/compare/{','.join(ids)}")
    browser.wait(
        "document.querySelectorAll('tbody tr').length === 2 && document.querySelectorAll('.charts .line').length > 1"
    )
    browser.script(
        """for (const [id, value] of [['below', arguments[0]], ['evaluations', 2]]) {
            const field = document.getElementById(id); field.value = value; field.dispatchEvent(new Event('input'));
            }""",
        below,
    )  # fmt: skip
    for row, group in enumerate((ids[:3], ids[3:])):
        at = [learned(curves[id]) for id in group]
        middle = statistics.median(math.inf if value is None else value for value in at)
        there = sum(value is not None for value in at)
        wanted = f"{there} of 3, median {'never' if math.isinf(middle) else f'{middle:,.4g}'}"
        browser.wait(f"document.querySelectorAll('tbody tr')[{row}].lastChild.textContent === {json.dumps(wanted)}")
    heads = browser.script("return [...document.querySelectorAll('tbody th')].map(t => t.textContent)")
    points = daemon.request("POST", "/v1/compare", json={"jobs": ids}).json()["points"]
    assert heads == [point["label"] for point in points] == ["units=20", "units=30"]
    assert browser.script("return [...document.querySelectorAll('tbody tr')].map(r => r.children[2].textContent)") == [
        "1 2 3",
        "1 2 3",
    ]
    picture = "document.querySelector('.charts .drawing').innerHTML"
    medians = browser.script(f"return {picture}")
    browser.find("#each").click()
    browser.wait(f"{picture} !== {medians!r}")
    assert len(browser.script("return [...document.querySelector('.legend').querySelectorAll('.entry')]")) == 2, (
        "the legend names groups, not seeds"
    )


def test_what_may_be_done_with_a_job(daemon, browser, tmp_path):
    browser.expected.append("404")  # a job that is deleted while the page reads how it ended
    id = submit(daemon, training={"iterations": 1000000, "evaluate_every": 20, "checkpoint_every": 20})
    state = "document.querySelector('.title .badge').textContent.trim().split(' ').pop()"
    browser.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
    browser.open(f"{daemon.url}/#/jobs/{id}")
    browser.press("Pause")
    browser.wait(f"{state} === 'paused'")
    browser.press("Resume")
    browser.wait(f"['queued', 'running'].includes({state})")
    browser.press("Cancel")
    browser.wait(f"{state} === 'cancelled'")
    browser.press("Retry")
    browser.wait(f"document.querySelector('.facts').textContent.includes('retry of {id[-12:]}')")
    retried = browser.script("return location.hash").split("/")[-1]
    assert daemon.get(f"/v1/jobs/{retried}").json()["origin"] == {"kind": "retry", "job": id}
    browser.open(f"{daemon.url}/#/jobs/{id}")
    browser.press("Extend")
    question = browser.alert()
    assert question.text == "Total number of iterations of the new job, including those already made:"
    question.send_keys("2,000,000")
    question.accept()
    browser.wait(f"document.querySelector('.facts').textContent.includes('extension of {id[-12:]}')")
    extended = daemon.get(f"/v1/jobs/{browser.script('return location.hash').split('/')[-1]}").json()
    assert extended["training"]["iterations"] == 2000000 and extended["origin"]["job"] == id
    browser.open(f"{daemon.url}/#/jobs/{id}")  # a page of a job that is deleted would ask for it
    for made in (retried, extended["id"]):
        daemon.post(f"/v1/jobs/{made}/cancel")
        daemon.get(f"/v1/jobs/{made}?wait=300", timeout=310)
        assert daemon.request("DELETE", f"/v1/jobs/{made}").status_code == 204
    browser.press("Weights, safetensors")
    browser.press("Weights, JSON")
    browser.press("Curve, CSV")
    wanted = [tmp_path / "saved" / f"{id}.{kind}" for kind in ("safetensors", "json", "csv")]
    daemons.wait_until(lambda: all(path.exists() for path in wanted))
    weights = json.loads(wanted[1].read_text())
    values = [
        v
        for part in ("W", "Win", "Wout", "bout")
        for row in weights[part]
        for v in (row if isinstance(row, list) else [row])
    ]
    assert (
        hashlib.sha256(struct.pack(f"<{len(values)}f", *values)).hexdigest()
        == weights["sha256"]
        == daemon.get(f"/v1/jobs/{id}/weights").json()["sha256"]
    )
    assert wanted[0].read_bytes() == daemon.get(f"/v1/jobs/{id}/weights?format=safetensors").content
    assert wanted[2].read_text().startswith("iteration,loss,accuracy")
    browser.press("Use as a template")
    browser.wait(
        "document.querySelector('.summary .good') && "
        "document.getElementById('f-training-iterations').value === '1000000'"
    )
    browser.script("history.back()")
    browser.press("Delete")
    browser.alert().accept()
    browser.wait("location.hash === '#/jobs' && document.querySelector('.empty h2')?.textContent === 'No jobs yet'")
    assert daemon.get(f"/v1/jobs/{id}").status_code == 404


def test_the_configuration_marks_what_is_not_the_default(daemon, browser):
    id = submit(daemon)
    finish(daemon, id)
    browser.open(f"{daemon.url}/#/jobs/{id}")
    browser.wait("document.querySelector('.config .changed')")
    changed = browser.script(
        "return [...document.querySelectorAll('.config .changed')].map(d => "
        "`${d.previousSibling.textContent}: ${d.textContent}`)"
    )
    assert changed == [
        "delay: 40 ms default 700", "cue: 20 ms default 100", "units: 20 default 120", "tau: 50 ms default 100",
        "types_per_sign: 2 default 1", "iterations: 40 default 3000", "evaluate_every: 5 iterations default 20",
    ]  # fmt: skip


def long_curve(folder, id, count):
    """Gives a job of a stopped daemon `count` evaluations, as if it had trained for so long.

    Writes what writer.c writes.
    """
    (store,) = [path for path in pathlib.Path(folder).iterdir() if path.suffix in (".db", ".sqlite", ".sqlite3")]
    with sqlite3.connect(store) as database:
        (seq,) = database.execute("SELECT max(seq) FROM events").fetchone()
        (events,) = database.execute("SELECT events FROM jobs WHERE id=?", (id,)).fetchone()
        now = int(time.time() * 1000)

        def rows():
            for i in range(count):
                loss = 100.0 if i == count // 2 else 1.0 + (i % 7) / 100
                event = {"id": events + 1 + i, "job": id, "seq": seq + 1 + i, "type": "progress"}
                event |= {"time": "2026-01-01T00:00:00.000Z", "iteration": i, "loss": loss, "accuracy": 0.5}
                event |= {"training_loss": 1.0, "trials_per_second": 100.0}
                yield event["seq"], id, event["id"], now, "progress", i, 0, 0, json.dumps(event), "{}"

        database.executemany(
            "INSERT INTO events (seq, job, id, time, type, iteration, terminal, succeeded, json, recheck) "
            "VALUES (?,?,?,?,?,?,?,?,?,?)",
            rows(),
        )
        database.execute(
            "UPDATE jobs SET events=events+?, iteration=?, progressed=? WHERE id=?", (count, count - 1, count - 1, id)
        )


def test_a_hundred_thousand_points_stay_quick(begin, browser, tmp_path):
    daemon = begin("--workers", "0")
    id = submit(daemon, training={"iterations": 200000, "evaluate_every": 1})
    daemon.process.terminate()
    daemon.process.wait(daemons.STOP_SECONDS)
    long_curve(tmp_path / "data", id, 100_000)
    daemon = begin("--workers", "0")
    browser.cdp("Performance.enable", timeDomain="threadTicks")
    browser.open(f"{daemon.url}/#/jobs/{id}")
    browser.wait("document.querySelectorAll('.charts .line').length > 1")
    metrics = {m["name"]: m["value"] for m in browser.cdp("Performance.getMetrics")["metrics"]}
    read = browser.script(
        "return performance.getEntriesByType('resource').filter(r => "
        "r.name.includes('/metrics')).map(r => [r.duration, r.decodedBodySize])"
    )
    print(
        f"100,000 points: answered in {read[0][0]:.0f} ms, {read[0][1] / 1000:.0f} kB; "
        f"{1000 * metrics['TaskDuration']:.0f} ms of processor in the page"
    )
    assert 10_000 < read[0][1] < 300_000 and metrics["TaskDuration"] < 3
    ticks = "[...document.querySelector('.chart').querySelectorAll('.tick-y')].map(t => Number(t.textContent))"
    assert max(browser.script(f"return {ticks}")) > 50, "a spike of one evaluation is seen"
    browser.script("document.querySelector('.plot').focus()")
    browser.keys(*["+"] * 8, Keys.RIGHT)
    asked = "performance.getEntriesByType('resource').map(r => r.name).find(n => n.includes('from='))"
    assert "points=1500" in browser.wait(asked)


def test_views_leave_nothing_behind_and_share_one_stream(daemon, browser):
    ids = [submit(daemon, seed=seed) for seed in (1, 2, 3)]
    for id in ids:
        finish(daemon, id)
    pages = ["#/", "#/jobs", f"#/jobs/{ids[0]}", f"#/compare/{','.join(ids)}", "#/new"]
    browser.open(daemon.url + "/#/jobs")
    browser.wait("document.querySelectorAll('.rows .row').length === 3")
    browser.cdp("Performance.enable")

    def through(rounds):
        browser.driver.execute_async_script(
            """const [pages, rounds, done] = arguments; let step = 0;
            const ready = { experiments: '.empty h2', list: '.rows .row', job: '.charts .line',
              compare: '.charts .line', new: '.summary .good' };
            (function next() {
              if (step === pages.length * rounds) { location.hash = '#/jobs'; setTimeout(done, 300); return; }
              location.hash = pages[step++ % pages.length];
              const begun = performance.now();
              (function wait() {
                const selector = ready[document.querySelector('main').className.slice(5)];
                if (!document.querySelector(selector)) { setTimeout(wait, 5); return; }
                if (location.hash.includes('/jobs/')) document.querySelectorAll('details.lazy').forEach(d => { d.open =
                true });
                setTimeout(next, 20);
              })();
            })();""",
            pages, rounds,
        )  # fmt: skip
        for _ in range(2):
            browser.cdp("HeapProfiler.collectGarbage")
        metrics = {m["name"]: m["value"] for m in browser.cdp("Performance.getMetrics")["metrics"]}
        return {key: metrics[key] for key in ("JSHeapUsedSize", "Nodes", "JSEventListeners")}

    before = through(5)  # of five views each
    after = through(50 if LONG else 15)
    print(f"views: heap {before['JSHeapUsedSize'] / 1e6:.2f} to {after['JSHeapUsedSize'] / 1e6:.2f} MB; "
    f"nodes {before['Nodes']} to {after['Nodes']}; "
          f"listeners {before['JSEventListeners']} to {after['JSEventListeners']}")  # fmt: skip
    assert after["JSHeapUsedSize"] < before["JSHeapUsedSize"] + 2e6
    assert after["Nodes"] < before["Nodes"] + 1500 and after["JSEventListeners"] < before["JSEventListeners"] + 50
    assert len([url for url in browser.asked() if url.endswith("/v1/events")]) == 1


def test_a_seed_that_ran_twice_is_offered_once(daemon, browser):
    """In the groups that the empty comparison offers: the same run twice would make the spread look smaller."""
    again, whole, other = (submit(daemon, seed=seed) for seed in (1, 1, 2))
    for id in (again, whole, other):
        finish(daemon, id)
    browser.open(f"{daemon.url}/#/compare")
    browser.wait("document.querySelector('main li')?.textContent.endsWith(' 2 seeds')")
    offered = browser.find("main li a").get_attribute("href").split("/compare/")[1].split(",")
    assert len(offered) == 2 and other in offered and {again, whole} & set(offered)


def test_many_inputs_are_a_map_that_is_read_by_keyboard(daemon, browser):
    id = submit(daemon, task={"type": "evidence", "delay": 40}, training={"iterations": 5, "evaluate_every": 5})
    finish(daemon, id)
    browser.open(f"{daemon.url}/#/jobs/{id}")
    browser.wait("document.getElementById('activity')")
    browser.script("document.getElementById('activity').open = true")
    browser.wait(
        "document.querySelectorAll('#activity figure').length === 3 && "
        "document.querySelector('.raster').getAttribute('aria-label')"
    )
    answer = daemon.request("POST", f"/v1/jobs/{id}/simulate", json={"trials": 1, "seed": 1, "units": [0]}).json()
    inputs = [step[0] for step in answer["inputs"]]
    assert (
        f"a map of {len(inputs[0])} rows" in browser.find(".raster").get_attribute("aria-label") and len(inputs[0]) > 8
    )
    moment, row = next((t, i) for t, step in enumerate(inputs) for i, value in enumerate(step) if value)
    browser.script("document.querySelector('.raster').focus()")
    browser.keys(*[Keys.RIGHT] * moment, *[Keys.DOWN] * row)
    assert browser.find("#activity [aria-live]").text == f"time, ms {moment:,}: input {row} {inputs[moment][row]:g}"
    marks = """(() => { const c = document.querySelector('.raster'), d = c.getContext('2d').getImageData(0, 0,
        c.width, c.height).data;
        let n = 0; for (let i = 0; i < d.length; i += 4) if (d[i] === 213 && d[i + 1] === 94 && d[i + 2] === 0) n++;
        return n; })()"""
    whole = browser.script(f"return {marks}")
    assert whole > 0
    browser.script("document.querySelector('#activity .plot').focus()")
    browser.keys("+", "+")
    assert browser.script(f"return {marks}") != whole, "the map zooms with the charts below it"


def test_recommended_settings_are_taken_by_a_button(daemon, browser):
    form_fill(browser, daemon, name="kept", **{"network-units": "200"})
    [rule] = [rule for rule in daemon.get("/v1/rules").json()["rules"] if rule["type"] == "modprop"]
    settings = rule["recommended"][0]["settings"]
    browser.press("Use these settings")
    document = json.loads(code_of(browser, "json"))
    assert document["name"] == "kept" and document["network"]["units"] == 200, "what was typed stays"
    assert daemon.request("POST", "/v1/jobs:validate", json=document).status_code == 200
    for section, values in settings.items():
        defaults = {name: p["default"] for name, p in rule["parameters"].items()} if section == "rule" else {}
        for name, value in values.items():
            assert document[section].get(name, defaults.get(name)) == value, (section, name)
