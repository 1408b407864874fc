"""Jobs from submission to weights: every route of the contract, streams and replay, actions, crashes."""

import concurrent.futures
import hashlib
import json
import math
import re
import signal
import struct
import time

import numpy as np
import pytest
from daemons import PATIENCE, assert_counted, wait_until

SMALL = {
    "task": {"type": "delayed_xor", "delay": 40, "cue": 20},
    "network": {"units": 20},
    "training": {"iterations": 100, "batch_size": 4, "evaluate_every": 10, "checkpoint_every": 20},
}
LONG = {
    "task": {"type": "delayed_xor", "delay": 100, "cue": 30},
    "network": {"units": 40},
    "training": {"iterations": 100000, "batch_size": 8, "evaluate_every": 5, "checkpoint_every": 10},
}
FINAL = ("succeeded", "failed", "cancelled")


def changed(base, **sections):
    """A copy of a job with some members of its sections changed."""
    job = json.loads(json.dumps(base))
    for name, value in sections.items():
        job[name] = {**job.get(name, {}), **value} if isinstance(value, dict) else value
    return job


def submit(daemon, job, **headers):
    answer = daemon.post("/v1/jobs", json=job, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def finish(daemon, job, seconds=300):
    answer = daemon.get(f"/v1/jobs/{job['id']}?wait={seconds}", timeout=seconds + 10).json()
    assert answer["status"] in FINAL, answer
    return answer


def lines(answer):
    return [json.loads(line) for line in answer.iter_lines() if line]


def server_sent(text):
    """The (id, event, data) of each event in a text of server-sent events."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if fields:
            events.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
    return events


def digest(weights):
    """The weights' sha256 as the contract defines it."""
    parts = [weights[name] for name in ("W", "Win", "b", "Wout", "bout") if weights[name] is not None]
    return hashlib.sha256(b"".join(np.array(part, dtype="<f4").tobytes() for part in parts)).hexdigest()


def test_one_call_submits_streams_and_ends_with_the_weights(daemon):
    with daemon.post("/v1/jobs", json=SMALL, headers={"Accept": "application/x-ndjson"}, stream=True) as answer:
        assert answer.status_code == 201 and answer.headers["Location"].startswith("/v1/jobs/")
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        events = lines(answer)
    assert [event["id"] for event in events[:-1]] == list(range(1, len(events)))
    assert [event["status"] for event in events[:-1] if event["type"] == "status"] == ["queued", "running", "succeeded"]
    progress = [event for event in events if event["type"] == "progress"]
    assert [event["iteration"] for event in progress] == list(range(0, 101, 10))
    weights = events[-1]
    assert (
        weights["type"] == "weights"
        and weights["iteration"] == 100
        and digest(weights) == weights["sha256"] == events[-2]["weights_sha256"]
    )
    assert (
        len(weights["W"]) == 20 and len(weights["Win"]) == 2 and len(weights["Wout"][0]) == 2 and weights["b"] is None
    )
    assert all(weights["W"][i][i] == 0 for i in range(20))


def test_one_call_as_server_sent_events(daemon):
    answer = daemon.post("/v1/jobs", json=SMALL, headers={"Accept": "text/event-stream"})
    events = server_sent(answer.text)
    assert [identity for identity, _, _ in events[:-1]] == [str(i) for i in range(1, len(events))]
    assert all(event == data["type"] for _, event, data in events) and events[-1][1] == "weights"


def test_defaults_and_document(daemon):
    job = submit(
        daemon,
        {"task": {"type": "delayed_xor"}, "training": {"iterations": 5}, "name": "näme", "metadata": {"lab": "x"}},
    )
    assert job["status"] in ("queued", "running") and job["name"] == "näme" and job["metadata"] == {"lab": "x"}
    assert job["network"]["units"] == 120 and job["rule"]["type"] == "modprop" and job["rule"]["mu"] == 0.25
    assert job["optimizer"] == {
        "type": "adam",
        "learning_rate": 0.0005,
        "decay": {"factor": 0.8, "every": 300},
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "l2": 0.0005,
        "l1": 0.01,
        "clip_norm": None,
    }
    ended = finish(daemon, job)
    assert ended["status"] == "succeeded" and ended["progress"]["fraction"] == 1.0 and ended["metrics"]["loss"] > 0
    assert ended["progress"]["trials_per_second"] > 0
    assert daemon.get(ended["links"]["self"]).json()["weights_sha256"] == ended["weights_sha256"]


def test_events_in_three_forms_and_replay(daemon):
    job = finish(daemon, submit(daemon, SMALL))
    url = f"/v1/jobs/{job['id']}/events"
    page = daemon.get(url).json()
    everything = page["events"]
    assert page["next"] is None and [event["id"] for event in everything] == list(range(1, len(everything) + 1))
    paged, after = [], 0
    while after is not None:
        page = daemon.get(f"{url}?after={after}&limit=4").json()
        paged += page["events"]
        after = page["next"]
    assert paged == everything
    for cut in (0, 1, 7, len(everything) - 1):
        assert lines(daemon.get(f"{url}?after={cut}", headers={"Accept": "application/x-ndjson"})) == everything[cut:]
        answer = daemon.get(url, headers={"Accept": "text/event-stream", "Last-Event-ID": str(cut)})
        assert [data for _, _, data in server_sent(answer.text)] == everything[cut:]
    assert (
        daemon.get(url, headers={"Accept": "text/event-stream", "Last-Event-ID": str(len(everything))}).status_code
        == 204
    )
    assert daemon.get(url, headers={"Accept": "text/event-stream", "Last-Event-ID": "x"}).status_code == 400
    with_weights = lines(daemon.get(url + "?weights=true", headers={"Accept": "application/x-ndjson"}))
    assert with_weights[:-1] == everything and with_weights[-1]["sha256"] == job["weights_sha256"]


def test_follower_that_comes_and_goes_sees_each_event_once(daemon):
    job = submit(daemon, changed(LONG, training={"iterations": 60}))
    seen = []
    for _ in range(1000):
        answer = daemon.get(
            f"/v1/jobs/{job['id']}/events?after={len(seen)}", headers={"Accept": "application/x-ndjson"}, stream=True
        )
        if answer.status_code == 204:
            break
        for number, line in enumerate(answer.iter_lines(chunk_size=1)):
            if line:
                seen.append(json.loads(line)["id"])
            if number == 2:
                answer.close()  # hangs up in mid-stream
                break
    assert seen == list(range(1, len(seen) + 1)) and finish(daemon, job)["status"] == "succeeded"


def test_stream_of_all_jobs(daemon):
    first = finish(daemon, submit(daemon, SMALL))
    with daemon.get("/v1/events", headers={"Accept": "application/x-ndjson"}, stream=True) as stream:
        second = submit(daemon, changed(SMALL, training={"iterations": 3}))
        seen = []
        for line in stream.iter_lines(chunk_size=1):
            if line:
                seen.append(json.loads(line))
                if seen[-1].get("status") == "succeeded":
                    break
    assert {event["job"] for event in seen} == {second["id"]}, "without a cursor it begins now"
    seqs = [event["seq"] for event in seen]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    with daemon.get("/v1/events", headers={"Accept": "text/event-stream", "Last-Event-ID": "0"}, stream=True) as stream:
        identities = [
            line.split(": ")[1]
            for line, _ in zip(
                (x for x in stream.iter_lines(chunk_size=1, decode_unicode=True) if x.startswith("id: ")),
                seqs,
                strict=False,
            )
        ]
    assert identities == [str(i) for i in range(1, len(identities) + 1)] and first


def test_heartbeat(start):
    daemon = start("--workers", "0", "--heartbeat", "1")
    job = submit(daemon, SMALL)
    with daemon.get(
        f"/v1/jobs/{job['id']}/events", headers={"Accept": "text/event-stream"}, stream=True, timeout=120
    ) as stream:
        comments = (line for line in stream.iter_lines(chunk_size=1) if line.startswith(b":"))
        assert next(comments) is not None and next(comments) is not None


def test_vanished_followers_are_noticed(start):
    daemon = start("--workers", "0", "--heartbeat", "1")
    job = submit(daemon, SMALL)
    request = (
        f"GET /v1/jobs/{job['id']}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode()
    )
    for _ in range(20):
        with daemon.connect() as connection:
            connection.sendall(request)
            connection.recv(1000)
    wait_until(lambda: "modprop_streams 0" in daemon.get("/metrics").text)


def test_list_filters_and_cursor(start):
    daemon = start("--workers", "0")
    for i in range(7):
        submit(daemon, changed(SMALL, rule={"type": "bptt" if i % 2 else "eprop"}, name=str(i)))
    names, after = [], None
    while True:
        page = daemon.get("/v1/jobs?limit=3" + (f"&after={after}" if after else "")).json()
        names += [job["name"] for job in page["jobs"]]
        after = page["next"]
        if after is None:
            break
    assert names == list("6543210")
    assert [job["name"] for job in daemon.get("/v1/jobs?rule=bptt&status=queued&task=delayed_xor").json()["jobs"]] == [
        "5",
        "3",
        "1",
    ]
    nothing = daemon.get("/v1/jobs?status=failed").json()
    assert nothing == {"jobs": [], "next": None, "scanned": 0, "bounded": False}
    for query in (
        "status=nonsense",
        "limit=0",
        "limit=101",
        "limit=x",
        "after=-1",
        "rule=bpt",
        "nonsense=1",
        "limit=1&limit=2",
        "task=%zz",
    ):
        answer = daemon.get("/v1/jobs?" + query)
        assert answer.status_code == 422 and answer.json()["errors"], query
    places = {job["name"]: job["queue_position"] for job in daemon.get("/v1/jobs").json()["jobs"]}
    assert places == {str(i): i for i in range(7)}


def test_priority(start):
    daemon = start("--workers", "1", "--cores", "1")
    blocker = submit(daemon, LONG)
    wait_until(lambda: daemon.get(f"/v1/jobs/{blocker['id']}").json()["status"] == "running")
    low, high = submit(daemon, SMALL), submit(daemon, changed(SMALL, priority=5))
    daemon.post(f"/v1/jobs/{blocker['id']}/cancel")
    low, high = finish(daemon, low), finish(daemon, high)
    assert high["started_at"] < low["started_at"]


def test_wait(start):
    daemon = start("--workers", "0")
    job = submit(daemon, SMALL)
    began = time.monotonic()
    assert daemon.get(f"/v1/jobs/{job['id']}?wait=1").json()["status"] == "queued"
    assert time.monotonic() - began > 0.9
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(daemon.get, f"/v1/jobs/{job['id']}?wait=3600")
        wait_until(lambda: "modprop_http_requests_active 2\n" in daemon.get("/metrics").text)
        daemon.post(f"/v1/jobs/{job['id']}/cancel")
        assert waiting.result(PATIENCE).json()["status"] == "cancelled"


@pytest.mark.parametrize("action,status", [("cancel", "cancelled"), ("pause", "paused")])
def test_cancel_and_pause_while_running(daemon, action, status):
    job = submit(daemon, LONG)
    wait_until(lambda: daemon.get(f"/v1/jobs/{job['id']}").json()["progress"]["iteration"] > 10)
    assert daemon.request("DELETE", f"/v1/jobs/{job['id']}").status_code == 409
    assert daemon.post(f"/v1/jobs/{job['id']}/{action}").status_code == 200
    wait_until(lambda: daemon.get(f"/v1/jobs/{job['id']}").json()["status"] == status)
    assert daemon.post(f"/v1/jobs/{job['id']}/{action}").status_code == 200, "idempotent"


def test_pause_and_resume_change_no_bit(daemon):
    job = changed(LONG, training={"iterations": 120})
    plain = finish(daemon, submit(daemon, job))
    paused = submit(daemon, job)
    for iteration in (20, 60):
        wait_until(lambda n=iteration: daemon.get(f"/v1/jobs/{paused['id']}").json()["progress"]["iteration"] > n)
        daemon.post(f"/v1/jobs/{paused['id']}/pause")
        wait_until(lambda: daemon.get(f"/v1/jobs/{paused['id']}").json()["status"] in ("paused", "succeeded"))
        daemon.post(f"/v1/jobs/{paused['id']}/resume")
    ended = finish(daemon, paused)
    assert ended["weights_sha256"] == plain["weights_sha256"]
    events = daemon.get(f"/v1/jobs/{paused['id']}/events?limit=1000").json()["events"]
    assert [e["iteration"] for e in events if e["type"] == "progress"] == list(range(0, 121, 5))


def test_threads_and_company_change_no_bit(start):
    daemon = start("--workers", "4")
    jobs = [submit(daemon, changed(SMALL, threads=threads)) for threads in (1, 2, None, 1, 2, None)]
    assert len({finish(daemon, job)["weights_sha256"] for job in jobs}) == 1


@pytest.mark.parametrize("ending", ["kill", "term"])
def test_a_job_survives_the_daemon(start, tmp_path, ending):
    job = changed(LONG, training={"iterations": 300})
    first = start("--workers", "1", data=tmp_path / "one")
    plain = finish(first, submit(first, job))
    second = start("--workers", "1", data=tmp_path / "two")
    submitted = submit(second, job)
    events = wait_until(lambda: len(daemon_events(second, submitted)) > 20 and daemon_events(second, submitted))
    if ending == "kill":
        second.kill()
    else:
        assert second.stop() == 0
    third = start("--workers", "1", data=tmp_path / "two")
    ended = finish(third, submitted)
    assert ended["weights_sha256"] == plain["weights_sha256"] and ended["attempt"] >= 1
    after = daemon_events(third, submitted)
    assert after[: len(events)] == events, "stored events are never replaced"
    assert [event["id"] for event in after] == list(range(1, len(after) + 1))
    iterations = [event["iteration"] for event in after if event["type"] == "progress"]
    assert iterations == list(range(0, 301, 5)), "each evaluation once"


def daemon_events(daemon, job):
    return daemon.get(f"/v1/jobs/{job['id']}/events?limit=1000").json()["events"]


def test_metrics(daemon):
    job = finish(daemon, submit(daemon, changed(SMALL, training={"iterations": 400, "evaluate_every": 1})))
    whole = daemon.get(f"/v1/jobs/{job['id']}/metrics").json()
    assert whole["iteration"] == list(range(401)) and len(whole["loss"]) == 401
    thin = daemon.get(f"/v1/jobs/{job['id']}/metrics?points=20").json()
    assert (
        len(thin["iteration"]) <= 20
        and {min(whole["loss"]), max(whole["loss"])} <= set(thin["loss"])
        and thin["iteration"][-1] == 400
    )
    part = daemon.get(f"/v1/jobs/{job['id']}/metrics?from=100&to=150").json()
    assert part["iteration"] == list(range(100, 151)) and part["loss"] == whole["loss"][100:151]
    assert len(daemon.get(f"/v1/jobs/{job['id']}/metrics?from=100&to=300&points=20").json()["iteration"]) <= 20
    assert daemon.get(f"/v1/jobs/{job['id']}/metrics?from=401").json()["iteration"] == []
    assert daemon.get(f"/v1/jobs/{job['id']}/metrics?from=-1").json()["errors"][0]["pointer"] == "/from"
    assert set(daemon.get(f"/v1/jobs/{job['id']}/metrics?keys=loss").json()) == {"iteration", "loss"}
    for kind in ("application/json", "text/csv"):
        answer = daemon.get(f"/v1/jobs/{job['id']}/metrics?keys=loss,acuracy", headers={"Accept": kind})
        (fault,) = answer.json()["errors"]
        assert answer.status_code == 422 and fault["pointer"] == "/keys"
        assert fault["detail"] == '"acuracy" is not a curve; did you mean "accuracy"?'
    for name in [*whole, "cosine_W", "seconds_forward"]:
        assert daemon.get(f"/v1/jobs/{job['id']}/metrics?keys={name}").status_code == 200, name
    table = daemon.get(f"/v1/jobs/{job['id']}/metrics?keys=loss", headers={"Accept": "text/csv"})
    assert table.headers["Content-Type"].startswith("text/csv")
    rows = table.text.split("\r\n")
    assert (
        rows[0] == "iteration,loss"
        and rows[1].split(",")[0] == "0"
        and float(rows[5].split(",")[1]) == whole["loss"][4]
    )


def test_weights_forms(daemon):
    job = finish(daemon, submit(daemon, changed(SMALL, network={"bias": True})))
    url = f"/v1/jobs/{job['id']}/weights"
    answer = daemon.get(url)
    weights = answer.json()
    assert (
        answer.headers["ETag"] == f'"{weights["sha256"]}-json-{weights["iteration"]}"'
        and digest(weights) == weights["sha256"] == job["weights_sha256"]
    )
    assert daemon.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert daemon.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    tags = {answer.headers["ETag"]}
    for form in ({"params": {"format": "safetensors"}}, {"headers": {"Accept": "application/octet-stream"}}):
        condition = {"If-None-Match": answer.headers["ETag"]} | form.pop("headers", {})
        other = daemon.get(url, headers=condition, **form)
        assert other.status_code == 200, "the tag of JSON is not that of safetensors"
        tags.add(other.headers["ETag"])
    assert len(tags) == 2
    for checkpoint in daemon.get(f"/v1/jobs/{job['id']}/checkpoints").json()["checkpoints"]:
        tags.add(daemon.get(url, params={"iteration": checkpoint["iteration"]}).headers["ETag"])
    assert len(tags) > 2, "another iteration is another representation"
    data = daemon.get(url + "?format=safetensors").content
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for name in ("W", "Win", "b", "Wout", "bout"):
        begin, end = header[name]["data_offsets"]
        tensor = np.frombuffer(data[8 + length + begin : 8 + length + end], "<f4").reshape(header[name]["shape"])
        assert np.array_equal(tensor, np.array(weights[name], "f4"))
    checkpoints = daemon.get(f"/v1/jobs/{job['id']}/checkpoints").json()["checkpoints"]
    assert [c["iteration"] for c in checkpoints] == [100, 80]
    assert daemon.get(url + "?iteration=80").json()["iteration"] == 80
    assert daemon.get(url + "?iteration=20").status_code == 404
    assert daemon.get(url + "?format=xml").status_code == 422


def test_weights_before_any_checkpoint(start):
    daemon = start("--workers", "0")
    job = submit(daemon, SMALL)
    answer = daemon.get(f"/v1/jobs/{job['id']}/weights")
    assert answer.status_code == 409 and "checkpoint" in answer.json()["detail"]


def test_initial_weights_of_a_job_and_of_a_document(daemon):
    first = finish(daemon, submit(daemon, SMALL))
    weights = daemon.get(f"/v1/jobs/{first['id']}/weights").json()
    begin = {"training": {"iterations": 1}, "optimizer": {"learning_rate": 0}}
    by_job = finish(daemon, submit(daemon, changed(SMALL, network={"initial": {"job": first["id"]}}, **begin)))
    by_document = finish(daemon, submit(daemon, changed(SMALL, network={"initial": weights}, **begin)))
    assert by_job["weights_sha256"] == by_document["weights_sha256"] == first["weights_sha256"]
    answer = daemon.post("/v1/jobs", json=changed(SMALL, network={"units": 30, "initial": weights}))
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"].startswith("/network/initial")
    assert daemon.post("/v1/jobs", json=changed(SMALL, network={"initial": {"job": "none"}})).status_code == 422


def test_what_a_network_cannot_hold_of_its_initial_weights_is_told(daemon):
    """20 units with Dale's law (3 inhibitory), half of the synapses, no bias.

    Ones everywhere lose the diagonal, the rest of the mask, the inhibitory, and b.
    """
    ones = {
        "W": [[1.0] * 20] * 20,
        "Win": [[0.1] * 20] * 2,
        "b": [0.5] * 19 + [0.0],
        "Wout": [[0.3, 0.3]] * 20,
        "bout": [0, 0],
    }
    network = {"units": 20, "connectivity": 0.5, "rewiring": "none"}
    job = finish(
        daemon, submit(daemon, changed(SMALL, network=network | {"initial": ones}, training={"iterations": 1}))
    )
    events = daemon.get(f"/v1/jobs/{job['id']}/events").json()["events"]
    told = [event["message"] for event in events if event["type"] == "log"]
    weights = daemon.get(f"/v1/jobs/{job['id']}/weights").json()
    kept = sum(value != 0 for row in weights["W"] for value in row)
    inhibitory = weights["sign"].count(-1)
    counts = [int(re.search("of network.initial, ([0-9]+) entries", message)[1]) for message in told]
    assert (
        counts[0] == 20
        and "diagonal" in told[0]
        and counts[3] == 19
        and "network.bias is false" in told[3]
        and len(told) == 4
    )
    assert "no synapse" in told[1] and "Dale" in told[2]
    assert kept == 400 - 20 - counts[1] - (counts[2] - inhibitory * 2) and inhibitory == 3 and counts[2] > 6
    assert not any(value for row in weights["W"][:3] + weights["Wout"][:3] for value in row)
    again = finish(
        daemon,
        submit(daemon, changed(SMALL, network=network | {"initial": {"job": job["id"]}}, training={"iterations": 1})),
    )
    assert not [
        event for event in daemon.get(f"/v1/jobs/{again['id']}/events").json()["events"] if event["type"] == "log"
    ]


def test_metrics_count_each_job_where_it_stands_and_each_end_once(start):
    """A worker may end before its job's change to cancelling is written: two changes of it are then under way."""
    daemon = start("--workers", "1")
    for _ in range(10):
        job = submit(daemon, LONG)
        wait_until(lambda job=job: daemon.get(f"/v1/jobs/{job['id']}").json()["progress"]["iteration"] > 0)
        daemon.post(f"/v1/jobs/{job['id']}/cancel")
        assert finish(daemon, job)["status"] == "cancelled"
    paused = submit(daemon, LONG)
    assert daemon.post(f"/v1/jobs/{paused['id']}/pause").status_code == 200
    wait_until(lambda: daemon.get(f"/v1/jobs/{paused['id']}").json()["status"] == "paused")
    done = [submit(daemon, SMALL) for _ in range(3)]
    assert [finish(daemon, job)["status"] for job in done] == ["succeeded"] * 3
    assert daemon.request("DELETE", f"/v1/jobs/{done[0]['id']}").status_code == 204
    assert_counted(daemon)
    ends = dict(re.findall(r'^modprop_job_run_seconds_count{status="(\w+)"} (\d+)$', daemon.get("/metrics").text, re.M))
    assert ends == {"succeeded": "3", "failed": "0", "cancelled": "10"}
    daemon.stop()
    again = start("--workers", "0", data=daemon.data)
    submit(again, SMALL)
    assert_counted(again)


def test_delete(daemon):
    job = finish(daemon, submit(daemon, SMALL))
    assert daemon.request("DELETE", f"/v1/jobs/{job['id']}").status_code == 204
    for path in ("", "/events", "/metrics", "/weights", "/checkpoints"):
        assert daemon.get(f"/v1/jobs/{job['id']}{path}").status_code == 404
    assert daemon.request("DELETE", f"/v1/jobs/{job['id']}").status_code == 404


def test_idempotency(daemon):
    first = daemon.post("/v1/jobs", json=SMALL, headers={"Idempotency-Key": "a-1"})
    second = daemon.post("/v1/jobs", json=SMALL, headers={"Idempotency-Key": "a-1"})
    assert first.status_code == second.status_code == 201 and first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotency-Replayed"] == "true" and second.headers["Location"] == first.headers["Location"]
    assert daemon.post("/v1/jobs", json=changed(SMALL, seed=2), headers={"Idempotency-Key": "a-1"}).status_code == 422
    assert daemon.post("/v1/jobs", json=SMALL, headers={"Idempotency-Key": "x y"}).status_code == 400
    assert len(daemon.get("/v1/jobs").json()["jobs"]) == 1


def test_full_queue(start):
    daemon = start("--workers", "0", "--max-queued", "3")
    for _ in range(3):
        submit(daemon, SMALL)
    answer = daemon.post("/v1/jobs", json=SMALL)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0


def test_validate_stores_nothing(daemon):
    answer = daemon.post("/v1/jobs:validate", json={"task": {"type": "delayed_xor"}})
    document = answer.json()
    assert (
        answer.status_code == 200
        and document["estimate"]["multiply_adds"] > document["estimate"]["forward_multiply_adds"] > 4e8
    )
    assert document["estimate"]["memory_bytes"] > 0 and document["estimate"]["method"]
    assert daemon.get("/v1/jobs").json()["jobs"] == []


def test_every_bad_field_is_named_at_once(daemon):
    bad = {
        "task": {"type": "delayed_xor", "delay": -1},
        "network": {"unit": 3, "tau": -2, "units": "many"},
        "rule": {"mu": "high", "taps": 0},
        "training": {"batch_size": 10**9},
        "seed": 2**53,
        "nonsense": 1,
    }
    for path in ("/v1/jobs", "/v1/jobs:validate"):
        answer = daemon.post(path, json=bad)
        assert answer.status_code == 422 and answer.headers["Content-Type"] == "application/problem+json"
        pointers = {error["pointer"]: error["detail"] for error in answer.json()["errors"]}
        assert set(pointers) == {
            "/task/delay",
            "/network/unit",
            "/network/tau",
            "/network/units",
            "/rule/mu",
            "/rule/taps",
            "/training/batch_size",
            "/seed",
            "/nonsense",
        }
        assert "units" in pointers["/network/unit"] and '"high"' in pointers["/rule/mu"]


@pytest.mark.parametrize(
    "body,status,words",
    [
        (b"", 400, "empty"),
        (b"{", 400, "line 1"),
        (b'{"a":1,\n "b":}', 400, "line 2"),
        (b"[1]", 400, "object"),
        (b'{"task":1,"task":2}', 400, "duplicate"),
        (b"[" * 100000, 400, "deeper"),
        (b"null", 400, "JSON"),
        (b'{"task": "\xff"}', 400, "line 1"),
        (b"{} x", 400, "line 1"),
        (b"{}", 422, "bad fields"),
        (b'{"task":{"type":"row_mnist"}}', 422, "bad fields"),
        (b'{"a":' + b"9" * 400 + b"}", 422, "too large"),
        (b'{"a":1e999}', 422, "too large"),
    ],
)
def test_malformed_bodies(shared, body, status, words):
    answer = shared.post("/v1/jobs", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status and words in answer.json()["detail"], answer.text


def test_types_of_bodies(daemon):
    body = json.dumps(SMALL)
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/json; charset=latin-1",
    ):
        answer = daemon.post("/v1/jobs", data=body, headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert answer.json()["detail"].endswith(": with curl, add -H 'Content-Type: application/json'")
    assert (
        daemon.post("/v1/jobs", data=body, headers={"Content-Type": "Application/JSON; charset=UTF-8"}).status_code
        == 201
    )
    job = submit(daemon, SMALL)
    assert (
        daemon.post(
            f"/v1/jobs/{job['id']}/cancel", data="a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}
        ).status_code
        == 415
    )
    assert daemon.post("/v1/jobs", json=SMALL, headers={"Accept": "text/html"}).status_code == 406


def test_large_body(start):
    daemon = start("--max-body", "64K")
    answer = daemon.post("/v1/jobs", data=b" " * 100_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413 and "65536" in answer.json()["detail"]
    answer = daemon.post(
        "/v1/jobs", data=(b" " * 10_000 for _ in range(10)), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413, "chunked bodies are counted"


def test_diverged(daemon):
    job = finish(
        daemon,
        submit(
            daemon,
            changed(SMALL, optimizer={"type": "sgd", "learning_rate": 1000, "l1": 0, "l2": 0}, network={"dale": False}),
        ),
    )
    assert job["status"] == "failed" and job["error"]["code"] == "diverged" and job["error"]["iteration"] >= 0
    events = lines(daemon.get(f"/v1/jobs/{job['id']}/events?weights=true", headers={"Accept": "application/x-ndjson"}))
    assert events[-1]["status"] == "failed" and events[-1]["error"]["code"] == "diverged"


def test_stop_when(daemon):
    job = finish(
        daemon,
        submit(
            daemon,
            changed(
                SMALL, training={"iterations": 100000, "stop_when": {"metric": "loss", "below": 100, "evaluations": 3}}
            ),
        ),
    )
    assert job["status"] == "succeeded" and job["progress"]["iteration"] < 100


def test_second_daemon_on_the_same_data_is_refused(start, tmp_path):
    daemon = start(data=tmp_path / "shared")
    with pytest.raises(RuntimeError, match="belongs to a running modpropd"):
        start(data=tmp_path / "shared")
    assert daemon.get("/livez").status_code == 200


def test_acknowledged_jobs_survive_sigkill(start, tmp_path):
    daemon = start("--workers", "0", data=tmp_path / "d")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        identities = [job["id"] for job in pool.map(lambda seed: submit(daemon, changed(SMALL, seed=seed)), range(200))]
    daemon.kill()
    again = start("--workers", "0", data=tmp_path / "d")
    assert all(again.get(f"/v1/jobs/{identity}").status_code == 200 for identity in identities)


def test_sigstop_and_sigcont(daemon):
    job = submit(daemon, changed(LONG, training={"iterations": 60}))
    daemon.signal(signal.SIGSTOP)
    time.sleep(0.5)
    daemon.signal(signal.SIGCONT)
    assert finish(daemon, job)["status"] == "succeeded"


def test_tasks_and_rules(daemon):
    tasks = {task["type"]: task for task in daemon.get("/v1/tasks").json()["tasks"]}
    rules = {rule["type"]: rule for rule in daemon.get("/v1/rules").json()["rules"]}
    assert set(tasks) >= {"delayed_xor", "pattern", "row_mnist", "pixel_mnist", "evidence", "dataset"}
    assert set(tasks) >= {"perceptual_decision", "delayed_match_to_sample", "context_decision"}
    assert set(tasks) >= {
        "go_nogo",
        "store_recall",
        "copy",
        "adding",
        "flip_flop",
        "interval_reproduction",
        "mackey_glass",
    }
    assert set(rules) == {"bptt", "eprop", "mdgl", "modprop", "rtrl", "filter", "snap", "uoro", "diffusion"}
    delay = tasks["delayed_xor"]["parameters"]["delay"]
    assert delay["unit"] == "ms" and delay["default"] == 700 and delay["minimum"] == 0 and delay["description"]
    assert "mu" in rules["modprop"]["parameters"] and "mu" not in rules["bptt"]["parameters"]


def test_simulate(daemon):
    job = finish(daemon, submit(daemon, SMALL))
    url = f"/v1/jobs/{job['id']}/simulate"
    answer = daemon.post(url)
    document = answer.json()
    assert (
        answer.status_code == 200
        and document["steps"] == 80
        and document["units"] == [0, 1, 2, 3, 5, 7, 10, 12, 15, 17]  # all 3 inhibitory ones, 7 of 17 excitatory
        and len(document["labels"]) == 1
    )
    assert np.array(document["inputs"]).shape == (80, 1, 2) and np.array(document["rates"]).shape == (80, 1, 10)
    asked = daemon.post(url, json={"trials": 5, "seed": 3, "every": 7, "units": [19, 0], "iteration": 80}).json()
    assert (
        asked["iteration"] == 80
        and np.array(asked["rates"]).shape == (12, 5, 2)
        and np.array(asked["outputs"]).shape == (12, 5, 2)
    )
    own = daemon.post(url, json={"inputs": [[[0.1, 0.2]] * 3] * 50, "units": [1]}).json()
    assert (
        np.array(own["rates"]).shape == (50, 3, 1)
        and own["labels"] == [None] * 3
        and np.allclose(own["inputs"], [[[0.1, 0.2]] * 3] * 50)
    )
    for bad, pointer in (
        ({"units": [20]}, "/units/0"),
        ({"trials": 0}, "/trials"),
        ({"trial": 1}, "/trial"),
        ({"inputs": [[[1]]]}, "/inputs"),
        ({"split": "test"}, "/split"),
        ({"units": [-1]}, "/units/0"),
        ({"trials": 4096, "units": list(range(20)) * 100}, "/every"),
    ):
        answer = daemon.post(url, json=bad)
        assert answer.status_code == 422 and pointer in [e["pointer"] for e in answer.json()["errors"]], (
            bad,
            answer.text,
        )


def test_every_task_with_trials_of_its_own_trains_by_its_defaults(daemon):
    needy = {"dataset", "row_mnist", "pixel_mnist"}  # their data must be there: test_datasets.py, test_training.py
    types = [task["type"] for task in daemon.get("/v1/tasks").json()["tasks"] if task["type"] not in needy]
    jobs = {}
    for kind in types:
        training = {"iterations": 10, "batch_size": 2, "evaluate_every": 10}
        jobs[kind] = submit(daemon, {"task": {"type": kind}, "network": {"units": 8}, "training": training})
    for kind, job in jobs.items():
        job = finish(daemon, job)
        assert job["status"] == "succeeded" and math.isfinite(job["metrics"]["loss"]), (kind, job)


@pytest.mark.parametrize(
    "task",
    [
        {"type": "evidence", "cues": 3, "delay": 50},
        {"type": "pattern", "duration": 200, "outputs": 2},
        {"type": "delayed_xor", "delay": 20},
    ],
)
def test_each_task_is_stored_read_back_and_trained(daemon, task):
    """The daemon trains from the stored document: what was submitted is what it reads, whatever the task."""
    training = {"iterations": 4, "batch_size": 4, "evaluate_every": 2, "checkpoint_every": 2}
    job = finish(daemon, submit(daemon, {"task": task, "network": {"units": 20}, "training": training}))
    assert job["status"] == "succeeded", job
    assert task.items() <= job["task"].items() and job["metrics"]["loss"] is not None
    assert (
        daemon.post(
            "/v1/jobs:validate", json={k: job[k] for k in ("task", "network", "rule", "optimizer", "training")}
        ).status_code
        == 200
    )
