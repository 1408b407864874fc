"""Fixtures of the dashboard's tests: a real daemon, and Chromium with its console and network logs kept.

A test that leaves an error in the console, or whose page asked any other origin, fails. What is expected (a fault shown while one types is a
422; requests fail while a daemon is down) is named by the test.
"""
import importlib.util
import json
import pathlib
import urllib.parse

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

ROOT = pathlib.Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("service_conftest", ROOT / "tests" / "service" / "conftest.py")
service = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(service)

SMALL = {
    "task": {"type": "delayed_xor", "delay": 40, "cue": 20},
    "network": {"units": 20, "types_per_sign": 2, "tau": 50},
    "training": {"iterations": 40, "evaluate_every": 5},
}
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-dev-shm-usage --window-size=1400,1000"
).split()


@pytest.fixture
def daemon(tmp_path):
    running = service.Daemon(tmp_path / "data")
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.wait(service.STOP_SECONDS)


def submit(daemon, **changes):
    """Submits a small job; answers its id."""
    answer = daemon.request("POST", "/v1/jobs", json=SMALL | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def finish(daemon, id):
    job = daemon.get(f"/v1/jobs/{id}?wait=60", timeout=70).json()
    assert job["status"] == "succeeded", job
    return job


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
        """Until `condition`, JavaScript whose value is returned, is true."""
        return WebDriverWait(self.driver, seconds, 0.05).until(lambda driver: driver.execute_script(f"return {condition}"), condition)

    def device(self, width, height, scheme):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        )
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def close(self):
        console = [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]
        sent = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        self.driver.quit()
        asked = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
        abroad = [u for u in asked if u.startswith(("http", "ws")) and urllib.parse.urlsplit(u).netloc not in self.origins]
        assert asked and not abroad, f"requests left the origin: {abroad}"
        faults = [text for text in console if not any(part in text for part in self.expected)]
        assert not faults, faults


@pytest.fixture
def browser(tmp_path):
    made = Browser(tmp_path / "profile")
    yield made
    made.close()
