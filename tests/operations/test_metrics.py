"""GET /metrics as Prometheus sees it: its linter, its scraper, its rules.

The dashboard's and the guide's names against the page's.
"""

import json
import re
import subprocess
import time

import pytest
import requests
import yaml
from conftest import SMALL, free_port, tool
from daemons import MODPROPD, ROOT, wait_until

PROMETHEUS = ROOT / "docker" / "prometheus"
DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "modprop.json"
NAME = re.compile(r"\b(?:modprop|process)_[a-z_]+\b")
SERIES = re.compile(r"([a-z_]+)(?:\{[^}]*\})? (\S+)")


def train(daemon, **changes):
    job = daemon.post("/v1/jobs", json=SMALL | changes, headers=getattr(daemon, "headers", None)).json()
    return daemon.get(f"/v1/jobs/{job['id']}?wait=300", timeout=310, headers=getattr(daemon, "headers", None)).json()


def families(text):
    return set(re.findall(r"^# TYPE (\S+)", text, re.M))


def family(name):
    """The family of a series: a histogram's parts have its name and a suffix."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def values(text, name):
    return {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if re.match(re.escape(name) + r"[{ ]", line)
    }


def expressions():
    """(where, expression) of every query of the dashboard and of the alerts."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]


def test_the_linter_has_nothing_to_say(daemon):
    train(daemon)
    checked = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=daemon.get("/metrics").text, capture_output=True, text=True
    )
    assert checked.returncode == 0 and checked.stdout == "" and checked.stderr == "", checked.stdout + checked.stderr


def test_work_is_counted(daemon):
    ended = train(daemon)
    diverges = {
        "optimizer": {"type": "sgd", "learning_rate": 1000, "clip_norm": None, "l2": 0, "l1": 0},
        "rule": {"type": "eprop"},
        "network": {"units": 12, "dale": False, "rewiring": "none"},
    }
    failed = train(daemon, **diverges)
    assert ended["status"] == "succeeded" and failed["error"]["code"] == "diverged"
    with requests.get(
        f"{daemon.url}/v1/jobs/{ended['id']}/events", headers={"Accept": "text/event-stream"}, timeout=120
    ) as answer:
        streamed = len(answer.content)
    # What a stream has sent is counted once the connection has taken it.
    wait_until(lambda: sum(values(daemon.get("/metrics").text, "modprop_stream_bytes_total").values()) == streamed)
    text = daemon.get("/metrics").text
    assert (
        values(text, "modprop_training_iterations_total")[
            'modprop_training_iterations_total{task="delayed_xor",rule="modprop"}'
        ]
        == 40
    )
    assert (
        values(text, "modprop_training_trials_total")[
            'modprop_training_trials_total{task="delayed_xor",rule="modprop"}'
        ]
        == 160
    )
    assert values(text, "modprop_jobs_failed_total")['modprop_jobs_failed_total{code="diverged"}'] == 1
    assert sum(values(text, "modprop_jobs_failed_total").values()) == 1
    assert values(text, "modprop_job_queue_wait_seconds_count") == {"modprop_job_queue_wait_seconds_count": 2}
    runs = values(text, "modprop_job_run_seconds_count")
    assert (
        runs['modprop_job_run_seconds_count{status="succeeded"}'] == 1
        and runs['modprop_job_run_seconds_count{status="failed"}'] == 1
    )
    assert 0 < values(text, "modprop_job_run_seconds_sum")['modprop_job_run_seconds_sum{status="succeeded"}'] < 60
    commits, syncs = values(text, "modprop_store_commit_seconds_sum"), values(text, "modprop_store_sync_seconds_sum")
    assert 0 < sum(syncs.values()) <= sum(commits.values())
    assert sum(values(text, "modprop_store_commit_seconds_count").values()) == sum(
        values(text, "modprop_store_commits_total").values()
    )
    assert sum(values(text, "modprop_stream_bytes_total").values()) == streamed
    assert sum(values(text, "modprop_http_sent_bytes_total").values()) > streamed
    assert sum(values(text, "modprop_http_received_bytes_total").values()) >= len(json.dumps(SMALL))
    assert (
        0
        < sum(values(text, "modprop_disk_free_bytes").values())
        < sum(values(text, "modprop_disk_size_bytes").values())
    )


def test_the_queue_grows_old(start):
    daemon = start("--workers", "0")
    assert values(daemon.get("/metrics").text, "modprop_queue_age_seconds") == {"modprop_queue_age_seconds": 0}
    daemon.post("/v1/jobs", json=SMALL)
    time.sleep(0.3)
    daemon.post("/v1/jobs", json=SMALL)
    first = values(daemon.get("/metrics").text, "modprop_queue_age_seconds")["modprop_queue_age_seconds"]
    assert first >= 0.3
    daemon.post("/v1/jobs", json=SMALL | {"priority": 5})
    assert values(daemon.get("/metrics").text, "modprop_queue_age_seconds")["modprop_queue_age_seconds"] >= 0


def test_what_clients_send_makes_no_label(daemon):
    for path in ("/v1/jobs", "/v1/jobs/none", "/nowhere"):
        daemon.get(path)
    before = len(daemon.get("/metrics").text.splitlines())
    for i in range(30):
        daemon.get(f"/v1/jobs/none-{i}")
        daemon.get(f"/nowhere/{i}")
        daemon.request(f"METHOD{i}", "/")
        daemon.get(f"/v1/jobs?limit={i + 1}", headers={"User-Agent": f"agent{i}", "X-Request-Id": f"id-{i}"})
    after = daemon.get("/metrics").text
    # at most one new code a route, with its counter alone
    assert len(after.splitlines()) - before <= 40 and "none-" not in after and "METHOD" not in after


def test_every_name_in_use_exists_and_every_metric_is_explained(daemon):
    train(daemon)
    known = families(daemon.get("/metrics").text)
    for where, expression in expressions():
        for name in NAME.findall(expression):
            assert family(name) in known, f"{where}: {name}"
    guide = (ROOT / "docker" / "GUIDE.md").read_text()
    explained = set(re.findall(r"^\| `((?:modprop|process)_[a-z_]+)`", guide, re.M))
    assert explained == known, (
        f"docker/GUIDE.md lacks {sorted(known - explained)}, explains {sorted(explained - known)} which is not there"
    )
    alerts = {
        rule["alert"]
        for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    }
    assert alerts == set(re.findall(r"^\| (Modprop[A-Za-z]+) \|", guide, re.M))
    tried = (PROMETHEUS / "alerts_test.yml").read_text()
    assert all(f"alertname: {alert}\n        exp_alerts: [{{" in tried for alert in alerts)


def test_dashboard_is_a_dashboard():
    """What Grafana's provisioning takes for granted.

    Ids and places of panels, a data source that is provisioned, queries with letters.
    """
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["uid"] and dashboard["title"] and dashboard["schemaVersion"] >= 36
    sources = yaml.safe_load((ROOT / "docker/grafana/provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] in ("timeseries", "stat", "gauge") and panel["description"] and panel["title"]
        assert panel["datasource"]["uid"] in {source["uid"] for source in sources}
        letters = [target["refId"] for target in panel["targets"]]
        assert letters and len(set(letters)) == len(letters)


def test_alert_rules():
    for arguments in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
        ended = subprocess.run([tool("promtool"), *arguments], cwd=PROMETHEUS, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture
def scraped(start, tmp_path):
    """A daemon that wants tokens, and Prometheus with the configuration of the compose file, but for the places."""
    prometheus, port = tool("prometheus"), free_port()
    tokens = tmp_path / "tokens"
    token = {
        role: subprocess.run(
            [MODPROPD, "token", role, role, "--token-file", str(tokens)], capture_output=True, text=True, check=True
        ).stdout
        for role in ("read", "submit")
    }
    (tmp_path / "prometheus").write_text(token["read"])
    daemon = start("--workers", "2", "--token-file", tokens)
    daemon.headers = {"Authorization": "Bearer " + token["submit"].strip()}
    text = (PROMETHEUS / "prometheus.yml").read_text()
    for place, here in (
        ("modpropd:8080", f"127.0.0.1:{daemon.port}"),
        ("/tokens/prometheus", str(tmp_path / "prometheus")),
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("[alerts.yml]", f"[{PROMETHEUS}/alerts.yml]"),
    ):
        assert place in text
        text = text.replace(place, here)
    (tmp_path / "prometheus.yml").write_text(text)
    checked = subprocess.run(
        [tool("promtool"), "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    process = subprocess.Popen(
        [
            prometheus,
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/series",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stderr=(tmp_path / "prometheus.log").open("w"),
    )
    url = f"http://127.0.0.1:{port}/api/v1/"

    def ask(path, **parameters):
        return requests.get(url + path, params=parameters, timeout=120).json()["data"]

    def is_up():
        try:
            return ask("query", query='up{job="modprop"}')["result"]
        except (requests.RequestException, ValueError, KeyError):
            return None

    try:
        wait_until(is_up)
        yield daemon, ask
    finally:
        process.terminate()
        process.wait(120)


def test_prometheus_scrapes_with_a_read_token_and_every_query_has_an_answer(scraped):
    daemon, ask = scraped
    for _ in range(3):
        assert train(daemon)["status"] == "succeeded"
    assert daemon.get("/nowhere", headers=daemon.headers).status_code == 404
    with requests.get(
        f"{daemon.url}/v1/events", headers=daemon.headers | {"Accept": "text/event-stream"}, stream=True, timeout=120
    ):
        wait_until(lambda: [r["value"][1] for r in ask("query", query='up{job="modprop"}')["result"]] == ["1"])
        wait_until(
            lambda: [r["value"][1] for r in ask("query", query='modprop_jobs{status="succeeded"}')["result"]] == ["3"],
            30,
        )
        time.sleep(3)
        for where, expression in expressions():
            found = ask("query", query=expression)
            assert found["resultType"] == "vector", where
            if where.startswith("panel"):
                assert found["result"], f"{where}: {expression} finds nothing"
    (target,) = ask("targets")["activeTargets"]
    assert target["health"] == "up" and target["lastError"] == ""
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) >= 10 and all(rule["health"] in ("ok", "unknown") and rule["state"] != "firing" for rule in rules)


def test_prometheus_sees_a_daemon_that_is_gone(scraped):
    daemon, ask = scraped
    wait_until(lambda: [r["value"][1] for r in ask("query", query='up{job="modprop"}')["result"]] == ["1"])
    assert daemon.stop() == 0
    wait_until(lambda: [r["value"][1] for r in ask("query", query='up{job="modprop"}')["result"]] == ["0"])
