"""States in which a dashboard easily misleads.

Divergence, evaluations without a loss, a wrong token, a daemon that is not ready, a phone.
"""

import json
import subprocess

import daemons
import pytest
from conftest import finish, submit
from selenium.webdriver.common.keys import Keys


@pytest.fixture
def guarded(tmp_path):
    """A daemon with tokens, and one that may read."""
    file = tmp_path / "tokens"
    command = [daemons.MODPROPD, "token", "reader", "read", "--token-file", file]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    running = daemons.Daemon(tmp_path / "data", "--token-file", file)
    running.token = token
    yield running
    running.process.terminate()
    running.process.wait(daemons.STOP_SECONDS)


def test_a_wrong_token_is_said_and_the_dialog_stays(guarded, browser):
    browser.expected.append("401")
    browser.open(guarded.url)
    browser.wait("document.getElementById('login').open")
    fault = "document.getElementById('login-fault').textContent"
    for token, said in {
        "": "Enter a token.",
        "a token": "A token has letters, digits and signs without blanks; this one has others.",
        guarded.token[:-1]: "The daemon does not know this token. Check that you copied all of it.",
    }.items():
        browser.type("#login-token", token)
        browser.find("#login-token").send_keys(Keys.ENTER)
        browser.wait(f"{fault} === {json.dumps(said)}")
        assert browser.script("return document.getElementById('login').open")
    browser.type("#login-token", guarded.token)
    browser.press("Use it", "#login")
    browser.wait("!document.getElementById('login').open && document.getElementById('link').textContent === 'live'")
    assert browser.script("return sessionStorage.getItem('modprop-token')") == guarded.token


def test_divergence_looks_like_what_it_is(daemon, browser):
    id = submit(daemon, optimizer={"learning_rate": 1000}, training={"iterations": 40, "evaluate_every": 5})
    job = daemon.get(f"/v1/jobs/{id}?wait=300", timeout=310).json()
    assert job["outcome"] == "diverged" or job["status"] == "failed"
    word = "diverged" if job["outcome"] == "diverged" else "failed"
    browser.open(f"{daemon.url}/#/jobs?q=outcome:diverged")
    if word == "diverged":
        browser.wait("document.querySelector('.rows .badge.diverged')")
    browser.open(f"{daemon.url}/#/jobs/{id}")
    browser.wait(f"document.querySelector('.title .badge.{word}')")
    browser.wait("document.querySelector('.fault').textContent.startsWith('diverged')")


def test_an_evaluation_in_which_nothing_counts_has_no_loss(daemon, browser):
    """In the list, on the job's page and in its events: none, rather than a dash or zero."""
    id = submit(daemon)
    finish(daemon, id)
    browser.open(daemon.url + "/#/jobs")
    browser.wait("document.querySelectorAll('.rows .row').length === 1")
    browser.script("location.hash = arguments[0]", f"#/jobs/{id}")
    browser.wait("document.querySelectorAll('.charts .line').length > 1")
    browser.script(
        """return import("/jobs.js").then(({ jobOf, jobPut, jobsEvent }) => {
            const job = structuredClone(jobOf(arguments[0]));
            job.metrics.loss = job.metrics.accuracy = null;
            jobPut(job); })""",
        id,
    )
    browser.wait("[...document.querySelectorAll('.facts div')].some(d => d.textContent === 'Lossnone')")
    browser.script("location.hash = '#/jobs'")
    browser.wait("document.querySelector('.rows .c-loss')?.textContent === 'none'")
    browser.type("#filter", "loss:none")
    browser.wait("document.querySelectorAll('.rows .row').length === 1")


def test_progress_within_an_evaluation_is_shown(daemon, browser):
    id = submit(daemon)
    finish(daemon, id)
    browser.open(f"{daemon.url}/#/jobs/{id}")
    browser.wait("document.querySelectorAll('.charts .line').length > 1")
    browser.script(
        """return import("/jobs.js").then(({ jobOf, jobPut }) => {
            const job = structuredClone(jobOf(arguments[0]));
            job.progress.evaluating = { done: 1200, trials: 10000 };
            jobPut(job); })""",
        id,
    )
    browser.wait(
        "[...document.querySelectorAll('.facts div')].some(d => d.textContent === 'Evaluating1,200 of 10,000 trials')"
    )


def test_a_daemon_that_is_not_ready_says_why(daemon, browser):
    """As it answers when its disk is full; the answer stands in for a full disk, which tests/fault makes."""
    browser.expected.append("503")
    browser.open(daemon.url + "/#/jobs")
    browser.wait("document.getElementById('link').textContent === 'live'")
    assert browser.script("return document.getElementById('readiness').hidden")
    browser.script(
        """const real = window.fetch;
        window.restore = () => { window.fetch = real; };
        window.fetch = (path, options) => String(path) === "/readyz"
          ? Promise.resolve(new Response(JSON.stringify({ status: 503, title: "Service Unavailable",
              detail: "read only: the disk is full" }), { status: 503 }))
          : String(path).startsWith("/v1/jobs:validate")
            ? Promise.resolve(new Response(JSON.stringify({ detail: "full" }), { status: 507 })) : real(path, options);
        location.hash = "#/new";"""
    )
    browser.wait("document.getElementById('readiness').textContent === 'read only: the disk is full'")
    assert not browser.script("return document.getElementById('readiness').hidden")
    browser.script("restore(); location.hash = '#/jobs'")
    browser.script("return import('/app.js').then(({ readinessShow }) => readinessShow())")
    browser.wait("document.getElementById('readiness').hidden")


def test_submit_is_at_hand_on_a_phone(daemon, browser):
    browser.device(390, 800, "light")
    browser.open(f"{daemon.url}/#/new")
    browser.wait("document.querySelector('.summary .good')")
    place = (
        "(() => { const r = document.querySelector('.submit .primary').getBoundingClientRect(); return "
        "[r.top, r.bottom]; })()"
    )
    for scroll in (0, 1500, 100000):
        browser.script(f"scrollTo(0, {scroll})")
        top, bottom = browser.script(f"return {place}")
        assert 600 < top < bottom <= 800, (scroll, top, bottom)
    assert browser.find(".submit .hint").text == "Valid."
    browser.script(
        "for (const [f, v] of [['task-delay', 40], ['task-cue', 20], ['training-iterations', 10], "
        "['network-units', 20]])"
        "document.getElementById(`f-${f}`).value = v"
    )
    browser.script("scrollTo(0, 0)")
    browser.press("Submit")
    browser.wait("location.hash.startsWith('#/jobs/')")
    finish(daemon, browser.script("return location.hash.slice(7)"))


def test_help_explains_the_filter_and_links_to_what_is_served(daemon, browser):
    browser.open(f"{daemon.url}/#/")
    browser.wait("document.querySelector('.empty h2')")
    browser.press("How to filter")
    browser.wait("document.querySelector('main h1')?.textContent === 'Help'")
    text = browser.find("main").text
    for example in ("rule:eprop", "task:delayed_xor", "status:running", "seed:1..5", "loss<0.1", "meta.lab=x"):
        assert example in text
    links = [link.get_attribute("href") for link in browser.all("main li a")]
    assert f"{daemon.url}/openapi.json" in links
    for link in links:
        assert daemon.get(link.removeprefix(daemon.url)).status_code == 200, link
    examples = browser.script(
        """return import("/query.js").then(({ EXAMPLES }) =>
            EXAMPLES.flatMap(([text, about]) => [text, ...(about.match(/\\b[a-z.]+(?::|[<>]=?|=)\\S*[^\\s.,;]/g) ??
            [])]))"""
    )
    assert len(examples) > 15
    for example in examples:
        answer = daemon.get("/v1/jobs", params={"q": example})
        assert answer.status_code == 200, (example, answer.text)
