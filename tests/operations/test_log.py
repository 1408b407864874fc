"""The log.

One request's id from the request to the job's end, nothing on standard output but the ready line, entries that are
JSON.
"""

import json
import os
import re
import subprocess
import threading

import pytest
import requests
from conftest import SMALL, free_port
from daemons import MODPROPD, wait_until

ENDLESS = SMALL | {"training": {"iterations": 10**9, "batch_size": 4, "evaluate_every": 10**6}}


def entries(daemon):
    return [json.loads(line) for line in daemon.log().splitlines()]


def test_a_jobs_entries_carry_the_request_that_submitted_it(start):
    daemon = start("--log-format", "json")
    answer = daemon.post("/v1/jobs", json=ENDLESS, headers={"X-Request-Id": "experiment-7.a"})
    id = answer.json()["id"]
    assert answer.headers["X-Request-Id"] == "experiment-7.a"
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json()["status"] == "running")
    paused = daemon.post(f"/v1/jobs/{id}/pause", headers={"X-Request-Id": "coffee"})
    assert paused.headers["X-Request-Id"] == "coffee"
    wait_until(lambda: daemon.get(f"/v1/jobs/{id}").json()["status"] == "paused")
    assert daemon.stop() == 0
    of_job = [entry for entry in entries(daemon) if entry.get("job") == id]
    assert [entry.get("status") for entry in of_job if entry["message"] == "job"] == ["running", "pausing", "paused"]
    assert {entry["request_id"] for entry in of_job if entry["message"] in ("job", "job submitted")} == {
        "experiment-7.a"
    }
    (changed,) = [entry for entry in of_job if entry["message"] == "job changed"]
    assert changed["action"] == "pause" and changed["request_id"] == "coffee"
    again = start("--log-format", "json")
    assert again.post(f"/v1/jobs/{id}/resume").status_code == 200
    assert again.post(f"/v1/jobs/{id}/cancel").status_code == 200
    wait_until(lambda: again.get(f"/v1/jobs/{id}").json()["status"] == "cancelled")
    assert again.request("DELETE", f"/v1/jobs/{id}", headers={"X-Request-Id": "broom"}).status_code == 204
    assert again.stop() == 0
    later = [entry for entry in entries(again) if entry.get("job") == id and entry["message"] == "job"]
    assert later[-1]["status"] == "cancelled" and {entry["request_id"] for entry in later} == {"experiment-7.a"}
    assert [entry["request_id"] for entry in entries(again) if entry.get("action") == "delete"] == ["broom"]


def test_what_was_refused_is_logged_with_its_reason(start):
    daemon = start("--log-format", "json", "--workers", "0")
    id = daemon.post("/v1/jobs", json=SMALL).json()["id"]
    refused = daemon.request("DELETE", f"/v1/jobs/{id}")
    assert refused.status_code == 409
    daemon.logged("job not changed")
    (entry,) = [entry for entry in entries(daemon) if entry["message"] == "job not changed"]
    assert entry["request_id"] == refused.headers["X-Request-Id"] and "queued" in entry["reason"]


def test_an_id_that_is_not_plain_is_replaced(daemon):
    for given in ("a b", "x" * 65, 'quote"', b"colour\x1b[31m", "ü".encode()):
        answer = daemon.get("/livez", headers={"X-Request-Id": given})
        assert answer.headers["X-Request-Id"] not in (given, "") and answer.headers["X-Request-Id"].isascii()


def test_standard_output_is_the_ready_line_alone(start):
    daemon = start("--access-log", "--log-level", "debug", "--log-format", "json")
    id = daemon.post("/v1/jobs", json=SMALL).json()["id"]
    assert daemon.get(f"/v1/jobs/{id}?wait=300", timeout=310).json()["status"] == "succeeded"
    assert daemon.get("/nowhere").status_code == 404
    assert daemon.stop() == 0
    assert daemon.process.stdout.read() == ""
    logged = entries(daemon)
    assert all(
        {"time", "level", "message"} <= set(entry) and entry["level"] in ("error", "warning", "info", "debug")
        for entry in logged
    )
    access = [entry for entry in logged if entry["message"] == "request"]
    assert [entry["status"] for entry in access][-1] == 404
    assert all({"request_id", "client", "method", "path", "status", "seconds"} <= set(entry) for entry in access)


def test_a_reader_that_stalls_stops_nobody(tmp_path):
    """A pipe that nobody reads takes 64 KiB, some 450 lines. The rest is dropped, counted, and reported later."""
    process = subprocess.Popen(
        [MODPROPD, "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--access-log"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().split()[-1]
        session = requests.Session()
        for _ in range(2000):
            assert session.get(url + "/version", timeout=120).status_code == 200

        def lost():
            text = session.get(url + "/metrics", timeout=120).text
            return int(float(re.search(r"^modprop_log_lines_lost_total (.+)$", text, re.M).group(1)))

        assert lost() > 500
        lines = []
        threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True).start()

        def reported():
            return sum(int(line.rsplit("lines=", 1)[1]) for line in list(lines) if "were dropped" in line)

        wait_until(lambda: reported() == lost())  # each request is a line, which reports what was lost before it
        assert all(re.match(r"\d{4}-\d\d-\d\dT.* (info|warning) ", line) for line in lines), "no line is cut"
        assert sum(" request " in line for line in lines) + reported() >= 2000
    finally:
        process.terminate()
        assert process.wait(120) == 0


@pytest.mark.parametrize("closed", ["0", "1", "2", "012"])
def test_a_closed_standard_descriptor_is_taken_before_anything_else(tmp_path, closed):
    """Else the database or a client's connection gets the number, and log lines are written into it."""
    data = tmp_path / "data"
    closing = " ".join(f"{number}{'<' if number == '0' else '>'}&-" for number in closed)
    port = free_port()
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$0" --data {data} --listen 127.0.0.1:{port} --access-log {closing}', MODPROPD],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:

        def answers():
            try:
                return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=120).status_code == 200
            except requests.ConnectionError:
                return False

        wait_until(answers)
        for number in closed:
            assert os.readlink(f"/proc/{process.pid}/fd/{number}") == "/dev/null"
        assert requests.post(f"http://127.0.0.1:{port}/v1/jobs", json=SMALL, timeout=120).status_code == 201
    finally:
        process.terminate()
        _, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
