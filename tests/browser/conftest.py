"""Fixtures of the dashboard's tests: a real daemon, and Chromium with its console and network logs kept.

A test that leaves an error in the console, or whose page asked any other origin, fails. A test names what it expects (a
fault shown while one types is a 422; requests fail while a daemon is down).

All tests share one Chromium, each in a tab of its own: the storage of a session belongs to a tab, everything else to a
daemon's origin, whose port no two tests share. A Chromium that a test leaves in disorder is replaced.

What a test reads, it reads from a page that has nothing left to do: no request under way but the stream of events, no
short timer, nothing to draw. What comes by an event may still be missing: for that a test waits.

$MODPROP_DELAYS, a number, is the seed of a slow machine: answers and events reach the page late and in another order,
and the test acts late. What is read before it is there shows itself then.
"""

import json
import os
import pathlib
import random
import subprocess
import time
import urllib.parse

import daemons
import pytest
from daemons import ROOT
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    JavascriptException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

SMALL = {
    "task": {"type": "delayed_xor", "delay": 40, "cue": 20},
    "network": {"units": 20, "types_per_sign": 2, "tau": 50},
    "training": {"iterations": 40, "evaluate_every": 5},
}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1000",
]
WAIT_SECONDS = daemons.PATIENCE
DELAYS = os.environ.get("MODPROP_DELAYS")
SETTLE_SECONDS = 5  # a page that follows a running job never rests
WATCH = """(() => {
  const { fetch, setTimeout, clearTimeout, requestAnimationFrame } = window;
  const page = { requests: 0, timers: new Set(), frames: 0 };
  Object.defineProperty(window, "pageAtWork", { get: () => page.requests + page.timers.size + page.frames });
  window.fetch = async (...what) => {
    if (String(what[0]) === "/v1/events") return fetch(...what);
    page.requests++;
    const done = () => setTimeout(() => page.requests--);
    try {
      const answer = await fetch(...what);
      answer.clone().arrayBuffer().then(done, done);
      return answer;
    } catch (error) {
      done();
      throw error;
    }
  };
  window.setTimeout = (act, delay, ...more) => {
    const timer = setTimeout(() => { page.timers.delete(timer); act(...more); }, delay);
    if (!(delay > 600)) page.timers.add(timer);
    return timer;
  };
  window.clearTimeout = (timer) => { page.timers.delete(timer); clearTimeout(timer); };
  window.requestAnimationFrame = (act) => {
    page.frames++;
    return requestAnimationFrame((now) => { page.frames--; act(now); });
  };
})();"""
SETTLE = """const [seconds, done] = arguments, end = performance.now() + 1000 * seconds;
(function look(calm) {
  const rests = !window.pageAtWork;
  if ((rests && calm) || performance.now() > end) done(); else requestAnimationFrame(() => setTimeout(look, 0, rests));
})(false);"""
LATE = """(() => {
  const real = window.fetch;
  let state = SEED;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const later = () => new Promise((resolve) => setTimeout(resolve, Math.max(0, 3000 * random() - 1500)));
  const slow = () => new TransformStream({ transform: (part, to) => later().then(() => to.enqueue(part)) });
  window.fetch = async (...what) => {
    await later();
    const answer = await real(...what);
    await later();
    what[1]?.signal?.throwIfAborted();
    if (!answer.headers.get("Content-Type")?.startsWith("text/event-stream")) return answer;
    return new Response(answer.body.pipeThrough(slow()), { status: answer.status, headers: answer.headers });
  };
})();"""


@pytest.fixture
def begin(tmp_path):
    """begin(*flags): a daemon that stays for as long as the page does, which else reports that it has gone."""
    running = []

    def beginner(*flags, **options):
        running.append(daemons.Daemon(tmp_path / "data", *flags, **options))
        return running[-1]

    yield beginner
    for one in running:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(daemons.STOP_SECONDS)


@pytest.fixture
def daemon(begin):
    return begin()


def submit(daemon, **changes):
    """Submits a small job; answers its id."""
    answer = daemon.request("POST", "/v1/jobs", json=SMALL | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def finish(daemon, id):
    job = daemon.get(f"/v1/jobs/{id}?wait=300", timeout=310).json()
    assert job["status"] == "succeeded", job
    return job


def made_by(script):
    """What a script of the tests has made, or the test is skipped with the script's reason."""
    done = subprocess.run([ROOT / script], capture_output=True, text=True, timeout=600)
    if done.returncode == 77:
        pytest.skip(f"SKIPPED: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def axe():
    """axe(browser): what axe-core finds wrong with the open page, a line a rule; `impacts`: of these weights alone."""
    text = pathlib.Path(made_by("tests/browser/axe")).read_text()

    def check(browser, impacts=None):
        browser.cdp("Runtime.evaluate", expression=text)
        return browser.driver.execute_async_script(
            "const [impacts, done] = arguments; axe.run({ resultTypes: ['violations'] }).then(r => done(r.violations"
            ".filter(v => impacts === null || impacts.includes(v.impact))"
            ".map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 120)).join(' | ')}`)))",
            impacts,
        )

    return check


@pytest.fixture(scope="session")
def python():
    """An interpreter with the Python package installed."""
    return made_by("tests/python/environment")


class Chromium:
    """A browser, started when it is first needed; `flags` beside FLAGS."""

    def __init__(self, folder, *flags):
        self.folder, self.flags = folder, flags
        self.driver = None
        self.started = 0

    def start(self):
        self.started += 1
        options = Options()
        for flag in [*FLAGS, *self.flags, f"--user-data-dir={self.folder}/{self.started}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_script_timeout(300)
        if DELAYS:
            order, execute = random.Random(int(DELAYS)), self.driver.execute

            def late(command, values=None):
                time.sleep(max(0, order.uniform(-0.5, 0.5)))
                return execute(command, values)

            self.driver.execute = late

    def tab(self):
        """The driver, in a new tab."""
        try:
            return self.opened()
        except WebDriverException:  # left in disorder by the test before
            self.quit()
            return self.opened()

    def opened(self):
        if self.driver is None:
            self.start()
        self.driver.switch_to.new_window("tab")
        for source in [LATE.replace("SEED", DELAYS), WATCH] if DELAYS else [WATCH]:
            self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        return self.driver

    def leave(self):
        """Closes the tab. One tab stays, since the browser ends with its last."""
        try:
            self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "default"})
            self.driver.close()
            self.driver.switch_to.window(self.driver.window_handles[0])
        except WebDriverException:
            self.quit()

    def quit(self):
        driver, self.driver = self.driver, None
        if driver is not None:
            driver.quit()


class Browser:
    """A tab at a daemon's dashboard. `expected`: parts of console messages that are no fault."""

    def __init__(self, chromium):
        self.chromium = chromium
        self.driver = chromium.tab()
        self.expected = []
        self.origins = set()
        self.urls = set()

    def open(self, url):
        self.origins.add(urllib.parse.urlsplit(url).netloc)
        self.driver.get(url)

    def settle(self):
        """Waits until the page has nothing left to do."""
        self.driver.execute_async_script(SETTLE, SETTLE_SECONDS)

    def script(self, text, *values):
        self.settle()
        return self.driver.execute_script(text, *values)

    def find(self, css):
        """The first element of that kind, once there is one."""
        self.settle()
        waiting = WebDriverWait(self.driver, WAIT_SECONDS, 0.05)
        return waiting.until(lambda driver: next(iter(driver.find_elements("css selector", css)), None), css)

    def all(self, css):
        self.settle()
        return self.driver.find_elements("css selector", css)

    def alert(self):
        """The question that the page asks."""
        return WebDriverWait(self.driver, WAIT_SECONDS, 0.05).until(expected_conditions.alert_is_present())

    def wait(self, condition, seconds=WAIT_SECONDS):
        """Waits until `condition`, JavaScript, is true, and returns its value.

        An error, of what is not there yet, is false.
        """
        waiting = WebDriverWait(self.driver, seconds, 0.05, [JavascriptException])
        return waiting.until(lambda driver: driver.execute_script(f"return {condition}"), condition)

    def device(self, width, height, scheme):
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def cdp(self, command, **values):
        return self.driver.execute_cdp_cmd(command, values)

    def type(self, css, text):
        """Puts `text` in the place of what a field held, as a user does."""
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def press(self, text, within="main"):
        """Presses the button or follows the link of that text, once it is there and can be pressed."""
        css = f"{within} button, {within} a"

        def pressed(driver):
            self.settle()
            found = next((b for b in driver.find_elements("css selector", css) if b.text == text), None)
            if found is None:
                return False
            # not under the header
            driver.execute_script("arguments[0].scrollIntoView({ block: 'nearest' })", found)
            found.click()
            return True

        # while the page is drawn anew
        moves = [StaleElementReferenceException, ElementNotInteractableException, ElementClickInterceptedException]
        WebDriverWait(self.driver, WAIT_SECONDS, 0.05, moves).until(pressed, f"{text!r} within {within}")

    def keys(self, *keys):
        """Keys to whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def asked(self):
        """URLs of all requests since the last call."""
        sent = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
        self.urls.update(urls)
        return urls

    def close(self):
        try:
            console = [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]
            self.asked()
        finally:
            self.chromium.leave()
        asked = self.urls
        abroad = [
            u for u in asked if u.startswith(("http", "ws")) and urllib.parse.urlsplit(u).netloc not in self.origins
        ]
        assert asked and not abroad, f"requests left the origin: {abroad}"
        faults = [text for text in console if not any(part in text for part in self.expected)]
        assert not faults, faults


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    made = Chromium(tmp_path_factory.mktemp("chromium"))
    yield made
    made.quit()


@pytest.fixture
def browser(chromium, begin):
    made = Browser(chromium)
    yield made
    made.close()
