"""A hostile page in a real browser: what it tries is refused, and nothing is submitted.

The browser runs on the machine of somebody whose daemon listens on loopback without tokens.

The page is served by another origin; a name of its own resolves to the daemon's address (--host-resolver-rules), which
is what DNS rebinding ends in.
"""

import functools
import http.server
import json
import threading
import time

import daemons
import pytest
from conftest import Browser, Chromium, submit

NAME = "rebound.example"
JOB = json.dumps(
    {
        "task": {"type": "delayed_xor", "delay": 10, "cue": 4},
        "network": {"units": 6},
        "training": {"iterations": 3},
        "name": "from the page",
    }
)


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>a page of another site</title><body>")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def victim(tmp_path):
    """A daemon without tokens, one job in it that a page might want to read, pause or delete."""
    running = daemons.Daemon(tmp_path / "data", "--workers", "0", "--log-level", "debug")
    running.job = submit(running, name="of the lab")
    yield running
    jobs = running.get("/v1/jobs").json()["jobs"]
    assert [(job["id"], job["status"], job["name"]) for job in jobs] == [(running.job, "queued", "of the lab")], (
        "the page changed something"
    )
    running.process.terminate()
    running.process.wait(daemons.STOP_SECONDS)


@pytest.fixture(scope="module")
def misled(tmp_path_factory):
    """A browser for which NAME is the daemon's host."""
    made = Chromium(tmp_path_factory.mktemp("misled"), f"--host-resolver-rules=MAP {NAME} 127.0.0.1")
    yield made
    made.quit()


@pytest.fixture
def hostile(misled, victim):
    browser = Browser(misled)
    browser.expected += [
        "CORS",
        "ERR_FAILED",
        "403",
        "favicon.ico",
        "ERR_BLOCKED_BY_RESPONSE",
        "400",
        "frame-ancestors",
    ]
    browser.origins |= {victim.url.removeprefix("http://"), f"{NAME}:{victim.port}"}
    yield browser
    browser.close()


FETCH = """const done = arguments[arguments.length - 1], [url, options] = arguments;
fetch(url, options).then(async r => done({type: r.type, status: r.status, text: await r.text()}), e => done({refused:
String(e)}));"""


def attempt(browser, url, **options):
    return browser.driver.execute_async_script(FETCH, url, options)


def logged(daemon, **fields):
    """Waits for the daemon's entry of a request, and returns its line: the attempt did reach it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for line in daemon.log().splitlines():
            if all(f"{name}={value}" in line for name, value in fields.items()):
                return line
        time.sleep(0.05)
    raise AssertionError(f"no entry with {fields} in\n{daemon.log()}")


def test_fetches_of_a_foreign_origin_are_refused(hostile, elsewhere, victim):
    hostile.open(elsewhere)
    jobs = victim.url + "/v1/jobs"
    # a plain GET cannot read; a JSON post asks first and is refused
    assert "refused" in attempt(hostile, jobs)
    assert "refused" in attempt(hostile, jobs, method="POST", headers={"Content-Type": "application/json"}, body=JOB)
    assert "refused" in attempt(hostile, f"{jobs}/{victim.job}", method="DELETE")
    assert logged(victim, method="OPTIONS", path="/v1/jobs", status=403)
    # what asks nothing is sent, and refused by the daemon itself
    for type in ("text/plain", "application/x-www-form-urlencoded"):
        opaque = attempt(hostile, jobs, method="POST", mode="no-cors", headers={"Content-Type": type}, body=JOB)
        assert opaque.get("type") == "opaque" or "refused" in opaque, opaque
    assert logged(victim, method="POST", path="/v1/jobs", status=403)
    assert attempt(hostile, f"{jobs}/{victim.job}/cancel", method="POST", mode="no-cors").get("text", "") == ""
    assert logged(victim, method="POST", path=f"/v1/jobs/{victim.job}/cancel", status=403)


def test_streams_and_embedded_things_of_a_foreign_origin_are_refused(hostile, elsewhere, victim):
    hostile.open(elsewhere)
    hostile.script("window.stream = new EventSource(arguments[0])", victim.url + "/v1/events")
    hostile.wait("stream.readyState === EventSource.CLOSED")
    for element in ("img", "script"):
        hostile.script(
            "const e = document.createElement(arguments[0]); e.onerror = () => { window[arguments[0] + "
            "'Failed'] = true };"
            "e.onload = () => { window[arguments[0] + 'Failed'] = false }; e.src = arguments[1]; "
            "document.body.append(e)",
            element,
            victim.url + "/v1/jobs?limit=1",
        )
        hostile.wait(f"window.{element}Failed === true")
    assert logged(victim, method="GET", path="/v1/jobs", status=403)
    hostile.script(
        "const f = document.createElement('iframe'); f.src = arguments[0]; f.onload = () => { "
        "window.framed = true }; document.body.append(f)",
        victim.url + "/",
    )
    hostile.wait("window.framed === true")
    assert (
        hostile.script(
            "try { return document.querySelector('iframe').contentDocument !== null } catch (e) { return false }"
        )
        is False
    ), "the page is framed"


@pytest.mark.parametrize("type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_a_form_post_is_refused(hostile, elsewhere, victim, type):
    hostile.open(elsewhere)
    for path in ("/v1/jobs", f"/v1/jobs/{victim.job}/cancel"):
        hostile.open(elsewhere)
        # the value's end closes what the name began: as text/plain the body is JSON
        hostile.script(
            "const f = document.createElement('form'); f.method = 'post'; f.action = arguments[0]; "
            "f.enctype = arguments[1];"
            "const i = document.createElement('input'); i.name = arguments[2].slice(0, -1) + "
            "',\"metadata\":{\"x'; i.value = '\":1}}'; f.append(i);"
            "document.body.append(f); f.submit()",
            victim.url + path,
            type,
            JOB,
        )
        assert logged(victim, method="POST", path=path, status=403)
        hostile.wait("document.body.innerText.includes('Origin must be')")


def test_a_rebound_name_is_no_way_in(hostile, victim):
    """The page comes from NAME, which now is the daemon's address.

    Same origin to the browser, a foreign Host to the daemon.
    """
    rebound = f"http://{NAME}:{victim.port}"
    hostile.open(rebound + "/livez")
    hostile.wait("document.body.innerText.includes('Host must be')")
    for options in (
        {},
        {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": JOB},
        {"method": "DELETE"},
    ):
        path = f"/v1/jobs/{victim.job}" if options.get("method") == "DELETE" else "/v1/jobs"
        answer = attempt(hostile, rebound + path, **options)
        assert answer["status"] == 403 and "Host must be" in answer["text"] and "of the lab" not in answer["text"], (
            answer
        )
    assert hostile.driver.execute_script("return location.host") == f"{NAME}:{victim.port}"
