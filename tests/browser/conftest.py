"""Fixtures of the dashboard's tests: a real daemon, and Chromium with its console and network logs kept.

A test that leaves an error in the console, or whose page asked any other origin, fails. A test names what it expects (a
fault shown while one types is a 422; requests fail while a daemon is down).
"""

import json
import pathlib
import subprocess
import urllib.parse

import daemons
import pytest
from daemons import ROOT
from selenium import webdriver
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
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


@pytest.fixture
def daemon(tmp_path):
    running = daemons.Daemon(tmp_path / "data")
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.wait(daemons.STOP_SECONDS)


def submit(daemon, **changes):
    """Submits a small job; answers its id."""
    answer = daemon.request("POST", "/v1/jobs", json=SMALL | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def finish(daemon, id):
    job = daemon.get(f"/v1/jobs/{id}?wait=60", timeout=70).json()
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
    """The text of axe-core."""
    return pathlib.Path(made_by("tests/browser/axe")).read_text()


@pytest.fixture(scope="session")
def python():
    """An interpreter with the Python package installed."""
    return made_by("tests/python/environment")


class Browser:
    """Chromium at a daemon's dashboard. `expected`: parts of console messages that are no fault."""

    def __init__(self, folder):
        options = Options()
        for flag in [*FLAGS, f"--user-data-dir={folder}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.expected = []
        self.origins = set()
        self.urls = set()

    def open(self, url):
        self.origins.add(urllib.parse.urlsplit(url).netloc)
        self.driver.get(url)

    def script(self, text, *values):
        return self.driver.execute_script(text, *values)

    def find(self, css):
        return self.driver.find_element("css selector", css)

    def all(self, css):
        return self.driver.find_elements("css selector", css)

    def wait(self, condition, seconds=20):
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
        """Presses the button or follows the link of that text."""
        css = f"{within} button, {within} a"
        listed = f"[...document.querySelectorAll({json.dumps(css)})]"
        self.wait(f"{listed}.some(b => b.textContent === {json.dumps(text)})")
        found = next(b for b in self.all(css) if b.text == text)
        self.script("arguments[0].scrollIntoView({ block: 'nearest' })", found)  # not under the header
        found.click()

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
        console = [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]
        self.asked()
        self.driver.quit()
        asked = self.urls
        abroad = [
            u for u in asked if u.startswith(("http", "ws")) and urllib.parse.urlsplit(u).netloc not in self.origins
        ]
        assert asked and not abroad, f"requests left the origin: {abroad}"
        faults = [text for text in console if not any(part in text for part in self.expected)]
        assert not faults, faults


@pytest.fixture
def browser(tmp_path):
    made = Browser(tmp_path / "profile")
    yield made
    made.close()
