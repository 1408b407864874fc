"""Clients that mean harm, or know no better: sizes that lie, floods, half requests, bad values of every kind.

Each gets an answer that says what is wrong, costs little, and harms
nobody else. What a page in a browser may do is in tests/browser/test_hostile_page.py, generated requests are in
tests/generated."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest
import requests
from daemons import MODPROPD, PATIENCE, ROOT, SANITIZED, wait_until
from test_jobs import LONG, SMALL, finish, submit
from test_transport import assert_problem, burst, head, statuses

JSON = {"Content-Type": "application/json"}
MIB = 1 << 20


def most_memory(daemon):
    """The most that the daemon has had in memory so far, in bytes."""
    text = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) * 1024


def errors_of(answer, status=422):
    """{pointer: detail} of a problem."""
    return {error["pointer"]: error["detail"] for error in assert_problem(answer, status)["errors"]}


# ---- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body,words",
    [
        (b'{"a":[' + b"0," * 5_000_000 + b"0]}", "at most 4000000 values"),
        (b"{" + b",".join(b'"k%d":0' % i for i in range(200_000)) + b"}", "at most 100000 members"),
        (b'{"a":"' + b"x" * (33 * MIB) + b'"}', "at most 33554432 bytes"),
    ],
    ids=["values", "members", "bytes"],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs:validate", "/v1/gradients"])
def test_bodies_that_would_become_large_are_refused_before_they_are_read(daemon, path, body, words):
    before = most_memory(daemon)
    assert words in assert_problem(daemon.post(path, data=body, headers=JSON), 413)["detail"]
    assert SANITIZED or most_memory(daemon) - before < len(body) + 16 * MIB


def test_a_body_of_100_megabytes_is_refused_by_its_length_alone(daemon):
    for length in (100_000_000, 2**62):
        answer = daemon.exchange(
            head(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % length, b"POST /v1/jobs HTTP/1.1")
        )
        assert statuses(answer) == [413] and b"Connection: close" in answer
    beyond = head(
        b"Content-Type: application/json\r\nContent-Length: 99999999999999999999\r\n", b"POST /v1/jobs HTTP/1.1"
    )
    assert set(statuses(daemon.exchange(beyond))) == {413}, "libmicrohttpd's own answer, its head sent twice"


LYING = b"[" + b"0," * 4000 + b"0]," + b"0," * 60_000 + b"0"


@pytest.mark.parametrize(
    "path,body,pointers",
    [
        (
            "/v1/gradients",
            b'{"network":{"W":[[1]],"Win":[[1]],"Wout":[[1]],"bout":[0],"leak":[0.5]},"inputs":[['
            + LYING
            + b"],"
            + b"0," * 900_000
            + b'0],"targets":0,"loss":"mse","rules":[{"type":"bptt"}]}',
            {"/inputs/0/0", "/targets"},
        ),
        (
            "/v1/jobs",
            b'{"task":{"type":"delayed_xor"},"network":{"units":16000,"initial":{"W":[['
            + b"0," * 15999
            + b"0],"
            + b"0," * 15998
            + b'0],"Win":[[1]],"Wout":[[1]],"bout":[0]}}}',
            {"/network/initial/W/1", "/network/initial/Win/0", "/network/initial/Wout"},
        ),
    ],
    ids=["gradients", "initial"],
)
def test_lists_that_claim_more_than_they_hold_take_no_memory(daemon, path, body, pointers):
    before = most_memory(daemon)
    assert set(errors_of(daemon.post(path, data=body, headers=JSON))) == pointers
    assert SANITIZED or most_memory(daemon) - before < 128 * MIB


def test_the_list_of_jobs_does_not_grow_with_initial_weights(start):
    daemon = start("--workers", "0")
    row = [0.25] * 300
    initial = {"W": [row] * 300, "Win": [row] * 2, "Wout": [[0.1, 0.2]] * 300, "bout": [0, 0]}
    job = {
        "task": {"type": "delayed_xor"},
        "network": {"units": 300, "dale": False, "rewiring": "none", "initial": initial},
        "rule": {"type": "bptt"},
        "metadata": {"network": {"initial": {"W": [[1]]}}},
    }
    told = submit(daemon, job)
    listed = daemon.get("/v1/jobs").json()["jobs"][0]
    assert told["network"]["initial"] == listed["network"]["initial"] == {"units": 300, "inputs": 2, "outputs": 2}
    assert listed["metadata"] == job["metadata"] and len(json.dumps(listed)) < 4000


def test_nothing_is_estimated_or_stored_beyond_the_memory_there_is(start):
    daemon = start("--workers", "0", "--memory", "64M")
    for section in (
        {"network": {"units": 16384}},
        {"training": {"batch_size": 65536}},
        {"task": {"type": "delayed_xor", "delay": 1000000, "cue": 100000}},
        {"task": {"type": "pattern", "inputs": 4096, "outputs": 1024, "duration": 10000000}},
        {"task": {"type": "evidence", "cues": 1000, "cue_duration": 100000, "cue_active": 100000}},
    ):
        job = {"task": {"type": "delayed_xor"}, **section}
        faults = errors_of(daemon.post("/v1/jobs", json=job))
        assert any("--memory" in detail and re.search(r"take \d+ bytes", detail) for detail in faults.values()), faults
    assert daemon.get("/v1/jobs").json()["jobs"] == []


# ---- values ----------------------------------------------------------------------------------------------------------

BAD_VALUES = [
    None,
    True,
    -1,
    0,
    1e308,
    -1e308,
    0.5,
    "",
    "x",
    "auto",
    "x" * 10_000,
    "\u0000"[:0] + "\ud7ff",
    [],
    [[]],
    [None],
    {},
    {"type": None},
    {"low": 2, "high": 1},
    2**53,
    -(2**63),
    10**15,
]


def settings(daemon):
    """(pointer, schema) of every field of a job."""
    schema = daemon.get("/openapi.json").json()["components"]["schemas"]["JobSubmission"]
    for section, one in schema["properties"].items():
        variants = one.get("oneOf") or one.get("anyOf") or [one]
        named = [v for v in variants if v.get("type") == "object" and "properties" in v]
        if not named:
            yield None, section, one
        for variant in named:
            for field, inner in variant["properties"].items():
                yield (section, variant.get("title")), field, inner


def test_every_field_answers_every_bad_value_with_its_name_and_constraint(daemon):
    tried, session = 0, requests.Session()
    for where, field, _ in settings(daemon):
        for value in BAD_VALUES:
            job = {"task": {"type": "delayed_xor"}}
            if where is None:
                job[field] = value
                pointer = f"/{field}"
            else:
                section, variant = where
                job.setdefault(section, {})
                if variant is not None:
                    job[section]["type"] = variant
                if field == "type":
                    job[section]["type"] = value
                else:
                    job[section][field] = value
                if section == "task" and variant == "dataset" and field != "name":
                    job["task"]["name"] = "x"
                pointer = f"/{section}/{field}"
            answer = session.post(daemon.url + "/v1/jobs:validate", json=job, timeout=PATIENCE)
            tried += 1
            assert answer.status_code in (200, 422), (pointer, value, answer.text)
            if answer.status_code == 422:
                faults = errors_of(answer)
                assert all(faults.values()) and all(f.startswith("/") for f in faults), (pointer, value, faults)
                about = [f for f in faults if f.startswith(pointer) or f == pointer.rsplit("/", 1)[0]]
                # what is in range by itself may not fit the rest: then the fault stands where it does not fit
                assert about or not isinstance(value, (str, list, dict)), (pointer, value, faults)
    session.close()
    assert tried > 800


def test_numbers_beyond_a_machine_name_their_field(daemon):
    faults = errors_of(
        daemon.post(
            "/v1/jobs",
            data=b'{"seed":18446744073709551616,"task":{"type":"delayed_xor","noise":1e400},"metadata":{"a/b":[0,-1e999]}}',
            headers=JSON,
        )
    )
    assert set(faults) == {"/seed", "/task/noise", "/metadata/a~1b/1"}
    assert "18446744073709551616" in faults["/seed"] and "1e400" in faults["/task/noise"]


def test_members_of_members_are_named_with_a_suggestion(daemon):
    faults = errors_of(
        daemon.post(
            "/v1/jobs",
            json={
                "task": {"type": "delayed_xor"},
                "optimizer": {"decay": {"factr": 0.5, "every": 10}},
                "training": {"stop_when": {"metric": "loss", "below": 1, "evaluation": 2}},
                "network": {"tau": {"low": 5, "hihg": 6}},
            },
        )
    )
    assert (
        'did you mean "factor"' in faults["/optimizer/decay/factr"]
        and faults["/optimizer/decay/factor"] == "is required"
    )
    assert 'did you mean "evaluations"' in faults["/training/stop_when/evaluation"]
    assert 'did you mean "high"' in faults["/network/tau/hihg"]


def test_ninety_thousand_unknown_names_are_counted_and_a_hundred_told(daemon):
    body = json.dumps({f"name{i}": i for i in range(90_000)} | {"task": {"type": "delayed_xor"}})
    problem = assert_problem(daemon.post("/v1/jobs", data=body, headers=JSON), 422)
    assert len(problem["errors"]) == 100 and "90000" in problem["detail"]


def test_query_parameters_are_those_of_the_document(daemon):
    """Every documented parameter takes its bounds and refuses what lies beyond; no route takes any other."""
    job = finish(daemon, submit(daemon, SMALL))["id"]
    document = daemon.get("/openapi.json").json()
    tried = 0
    for path, item in document["paths"].items():
        concrete = path.replace("{id}", job).replace("{name}", "nothing")
        if "get" not in item:
            continue
        public = item["get"].get("security") == []
        unknown = daemon.get(concrete, params={"nonsense": 1})
        if public or path == "/metrics":
            assert unknown.status_code == 200, path
            continue
        assert "/nonsense" in errors_of(unknown), path
        for parameter in (p for p in item["get"]["parameters"] if p["in"] == "query"):
            name, schema = parameter["name"], parameter["schema"]
            good = schema.get("enum") or (
                [schema["minimum"], schema["maximum"]]
                if "maximum" in schema
                else ["true", "0"]
                if schema["type"] == "boolean"
                else ["final:loss" if name == "metrics" else "loss"]
            )
            bad = {
                "integer": [
                    "",
                    "x",
                    "1.5",
                    " 1",
                    "+1",
                    "0x1",
                    schema.get("minimum", 0) - 1,
                    schema.get("maximum", 0) + 1,
                ],
                "boolean": ["", "yes", "2"],
                "string": ["", "nonsense"] if "enum" in schema else [""],
            }[schema["type"]]
            for value in good:
                # HEAD: no body, so that wait=3600 of a finished job and the largest page are cheap
                assert daemon.request("HEAD", concrete, params={name: value}).status_code in (200, 404), (
                    path,
                    name,
                    value,
                )
            for value in bad:
                fault = errors_of(daemon.get(concrete, params={name: value}))
                assert list(fault) == [f"/{name}"] and f'got "{value}"' in fault[f"/{name}"], (path, name, value, fault)
                tried += 1
            assert (
                "must be given once"
                in errors_of(daemon.get(f"{concrete}?{name}={good[0]}&{name}={good[0]}"))[f"/{name}"]
            )
    assert tried > 60


@pytest.mark.parametrize("value", ["-1", "+1", "x", "1.0", "0x1", "9223372036854775808", "1 "])
def test_a_cursor_that_is_none_is_refused(shared, value):
    job = finish(shared, submit(shared, SMALL))["id"]
    for path in (f"/v1/jobs/{job}/events", "/v1/events"):
        if value == value.strip():  # blanks behind a header's value are no part of it
            assert value in assert_problem(shared.get(path, headers={"Last-Event-ID": value}), 400)["detail"]
        assert shared.get(path, params={"after": value}).status_code == 422


def test_a_follower_that_claims_to_know_the_future_hears_the_end(daemon):
    job = submit(daemon, LONG)
    with daemon.get(
        f"/v1/jobs/{job['id']}/events?after=1000000",
        headers={"Accept": "application/x-ndjson"},
        stream=True,
        timeout=120,
    ) as stream:
        assert stream.status_code == 200
        daemon.post(f"/v1/jobs/{job['id']}/cancel")
        ends = [json.loads(line) for line in stream.iter_lines() if line]
    assert ends[-1]["status"] == "cancelled"
    assert (
        daemon.get(f"/v1/jobs/{job['id']}/events?after=1000000", headers={"Accept": "text/event-stream"}).status_code
        == 204
    )


# ---- connections -----------------------------------------------------------------------------------------------------


def test_half_requests_cannot_keep_probes_out(start):
    """Every connection is in the midst of its headers or its body: none is idle, and still there is room."""
    daemon = start("--max-connections", "50", "--max-address-connections", "1000")
    halves = (
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Half: ",
        head(b"Content-Type: application/json\r\nContent-Length: 1000\r\n", b"POST /v1/jobs HTTP/1.1") + b"{",
    )
    crowd = []
    try:
        for i in range(300):
            crowd.append(daemon.connect(10))
            crowd[-1].sendall(halves[i % 2])
        for path in ("/livez", "/readyz", "/metrics", "/version"):
            assert daemon.get(path, timeout=120).status_code == 200, path
        assert submit(daemon, SMALL)["status"] in ("queued", "running"), "what comes whole is answered"
    finally:
        for connection in crowd:
            connection.close()


def test_one_address_cannot_keep_itself_out(start):
    daemon = start("--max-connections", "1000", "--max-address-connections", "20")
    crowd = [daemon.connect(10) for _ in range(200)]
    try:
        for _ in range(5):
            assert daemon.get("/livez", timeout=120).status_code == 200
        assert daemon.get("/v1/jobs", timeout=120).status_code == 200
    finally:
        for connection in crowd:
            connection.close()


def test_an_address_whose_connections_are_all_in_use_still_gets_probes(start):
    daemon = start("--max-connections", "1000", "--max-address-connections", "20", "--workers", "0")
    job = submit(daemon, SMALL)["id"]

    def elsewhere(path):
        with socket.create_connection(
            ("127.0.0.1", daemon.port), source_address=("127.0.0.2", 0), timeout=PATIENCE
        ) as other:
            other.sendall(head(b"Connection: close\r\n", f"GET {path} HTTP/1.1".encode()))
            return b"".join(iter(lambda: other.recv(65536), b"")).decode()

    # the connection of the submission is gone; else one of the crowd would be closed for it
    wait_until(lambda: re.search(r"^modprop_http_connections 1$", elsewhere("/metrics"), re.M))
    crowd = [daemon.connect(20) for _ in range(20)]
    try:
        for connection in crowd:
            connection.sendall(head(line=f"GET /v1/jobs/{job}?wait=120 HTTP/1.1".encode()))
        wait_until(lambda: "modprop_http_requests_active 21" in elsewhere("/metrics"))
        refused = daemon.get("/v1/jobs", timeout=120)
        assert_problem(refused, 503)
        assert refused.headers["Retry-After"] and refused.headers["Connection"] == "close"
        assert elsewhere("/v1/jobs").startswith("HTTP/1.1 200"), "another address is not concerned"
        assert daemon.get("/livez", timeout=120).status_code == 200
    finally:
        for connection in crowd:
            connection.close()


def test_a_body_of_one_byte_a_second_is_cut_at_its_deadline(start):
    daemon = start("--body-timeout", "1")
    for framing, first in ((b"Content-Length: 100\r\n", b"{"), (b"Transfer-Encoding: chunked\r\n", b"1\r\n{\r\n")):
        with daemon.connect(60) as connection:
            connection.sendall(head(b"Content-Type: application/json\r\n" + framing, b"POST /v1/jobs HTTP/1.1") + first)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                for _ in range(600):
                    time.sleep(0.2)
                    connection.sendall(b" " if framing.startswith(b"C") else b"1\r\n \r\n")
    assert daemon.get("/v1/jobs").json()["jobs"] == []


def lazy(daemon, path, headers=None):
    """One who asks and takes nothing by itself: a small window and small segments leave the answer with the daemon."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", daemon.port))
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    connection.sendall(head(lines.encode(), line=f"GET {path} HTTP/1.1".encode()))
    return connection


def held(daemon, what):
    """Bytes of answers that the daemon holds for its clients."""
    return int(re.search(rf"^modprop_http_{what} (\d+)$", daemon.get("/metrics", timeout=120).text, re.M)[1])


IN_MEMORY = "/v1/jobs?limit=50"  # of wordy jobs nearly 1 MiB; longer answers lie in files and are counted there


def wordy(daemon, jobs):
    """Jobs whose list is long: 16 KiB each."""
    for _ in range(jobs):
        submit(daemon, {**SMALL, "metadata": {"words": "x" * 16000}})


def test_an_answer_taken_a_byte_at_a_time_is_cut_at_its_deadline(start):
    daemon = start("--workers", "0", "--body-timeout", "2", "--idle-timeout", "600")
    wordy(daemon, 20)
    with lazy(daemon, "/v1/jobs?limit=20") as connection:
        taken, end = 0, time.monotonic() + PATIENCE
        while "modprop_http_connections_expired_total 0" in daemon.get("/metrics").text:
            assert time.monotonic() < end, f"it still sends, after {taken} bytes"
            taken += len(connection.recv(1))
            time.sleep(0.1)
    wait_until(lambda: held(daemon, "answer_bytes") == 0)


def test_answers_that_nobody_takes_are_bounded_together(start):
    daemon = start("--workers", "0", "--body-timeout", "3600")
    wordy(daemon, 50)
    crowd = []
    try:
        while len(crowd) < 330:
            crowd.append(lazy(daemon, IN_MEMORY))
            if len(crowd) % 5 == 0:  # they come one after the other: what waits in a queue is not held yet
                assert crowd[-1].recv(12) == b"HTTP/1.1 200" or held(daemon, "answer_bytes") > 256 * MIB
        assert 256 * MIB < held(daemon, "answer_bytes") < 262 * MIB
        refused = daemon.get("/v1/jobs", timeout=120)
        assert "do not read them" in assert_problem(refused, 503)["detail"] and refused.headers["Retry-After"]
        for path in ("/livez", "/readyz", "/version"):
            assert daemon.get(path, timeout=120).status_code == 200, path
    finally:
        for connection in crowd:
            connection.close()
    wait_until(lambda: held(daemon, "answer_bytes") == 0)
    assert daemon.get("/v1/jobs").status_code == 200


def test_a_token_that_takes_no_answers_gets_no_more_of_them(start, tokens):
    daemon = start("--workers", "0", "--token-file", tokens["file"], "--token-answers", "1M", "--body-timeout", "3600")
    for _ in range(40):
        body = {**SMALL, "metadata": {"words": "x" * 16000}}
        assert daemon.post("/v1/jobs", json=body, headers=tokens["submit"]).status_code == 201
    crowd = [lazy(daemon, "/v1/jobs?limit=40", tokens["read"]) for _ in range(3)]
    try:
        wait_until(lambda: daemon.get("/v1/jobs", headers=tokens["read"]).status_code == 429)
        answer = daemon.get("/v1/jobs", headers=tokens["read"])
        assert "--token-answers" in assert_problem(answer, 429)["detail"] and answer.headers["Retry-After"]
        assert daemon.get("/v1/jobs", headers=tokens["submit"]).status_code == 200, "another token is as free as before"
        assert daemon.get("/metrics", headers=tokens["read"]).status_code == 200, "and so is a probe"
    finally:
        for connection in crowd:
            connection.close()
    wait_until(lambda: daemon.get("/v1/jobs", headers=tokens["read"]).status_code == 200)


def test_whoever_has_most_unread_answers_gives_way(start, tokens):
    """256 MiB wait for all together. The token that holds most of it loses its answers, not whoever comes next."""
    daemon = start("--workers", "0", "--token-file", tokens["file"], "--token-answers", "1G", "--body-timeout", "3600")
    for _ in range(50):
        body = {**SMALL, "metadata": {"words": "x" * 16000}}
        assert daemon.post("/v1/jobs", json=body, headers=tokens["submit"]).status_code == 201

    def metric(name):
        text = daemon.get("/metrics", headers=tokens["read"], timeout=120).text
        return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])

    modest = lazy(daemon, IN_MEMORY, tokens["submit"])
    crowd = []
    try:
        while metric("modprop_http_answer_bytes") <= 256 * MIB:
            crowd.append(lazy(daemon, IN_MEMORY, tokens["read"]))
            assert crowd[-1].recv(12) == b"HTTP/1.1 200", f"answer {len(crowd)}"  # one after the other
            assert len(crowd) < 400
        refused = daemon.get("/v1/jobs", headers=tokens["read"], timeout=120)
        assert refused.status_code == 503, "who holds most gets no more"
        assert metric("modprop_http_answers_cut_total") == 0
        assert daemon.get("/v1/jobs", headers=tokens["admin"], timeout=120).status_code == 200
        assert metric("modprop_http_answers_cut_total") > 0
        modest.settimeout(60)
        answer = b""
        while chunk := modest.recv(1 << 20):
            answer += chunk
            if answer.endswith(b"}\n") and len(answer) > 800_000:
                break
        assert statuses(answer) == [200] and json.loads(answer.split(b"\r\n\r\n", 1)[1])["jobs"]
    finally:
        for connection in [modest, *crowd]:
            connection.close()


def test_a_large_answer_is_counted_where_it_lies(start):
    daemon = start("--workers", "1")
    job = submit(daemon, {**SMALL, "network": {"units": 300}, "training": {"iterations": 1, "batch_size": 1}})
    assert finish(daemon, job)["status"] == "succeeded"
    with lazy(daemon, f"/v1/jobs/{job['id']}/weights"):
        wait_until(lambda: held(daemon, "answer_file_bytes") > MIB)
        assert held(daemon, "answer_bytes") == 0
    wait_until(lambda: held(daemon, "answer_file_bytes") == 0)


def test_one_who_closes_his_half_hears_the_answer(daemon):
    body = json.dumps(SMALL).encode()
    requests = {
        201: head(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body), b"POST /v1/jobs HTTP/1.1")
        + body,
        200: head(line=b"GET /v1/datasets HTTP/1.1"),
    }
    for status, request in requests.items():
        with daemon.connect(20) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(12) == b"HTTP/1.1 %d" % status


def test_bodies_where_none_is_wanted_leave_the_connection_in_step(daemon):
    answer = daemon.exchange(
        head(b"Content-Length: 5\r\n", b"GET /v1/jobs HTTP/1.1")
        + b"GET /"
        + head(b"Content-Length: 3\r\n", b"HEAD /livez HTTP/1.1")
        + b"abc"
        + head(b"Content-Type: application/json\r\nContent-Length: 2\r\n", b"DELETE /v1/jobs/none HTTP/1.1")
        + b"{}"
        + head(b"Connection: close\r\n")
    )
    assert statuses(answer) == [200, 200, 404, 200]


def test_pipelined_submissions_are_all_stored(start):
    daemon = start("--workers", "0")
    body = json.dumps(SMALL).encode()
    one = (
        head(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body), b"POST /v1/jobs HTTP/1.1") + body
    )
    assert statuses(daemon.exchange(one * 20 + head(b"Connection: close\r\n"), timeout=30)) == [201] * 20 + [200]
    assert len(daemon.get("/v1/jobs?limit=100").json()["jobs"]) == 20


# ---- who may do what -------------------------------------------------------------------------------------------------


def table_of_roles():
    """{(method, path): [no token, read, submit, admin, worker]} as SECURITY.md says."""
    rows = re.findall(r"^\| `(\w+) (\S+)` \|([^\n]*)\|$", (ROOT / "SECURITY.md").read_text(), re.M)
    found = {(method, path): [cell.strip() == "yes" for cell in cells.split("|")] for method, path, cells in rows}
    return {call: cells + [False] * (5 - len(cells)) for call, cells in found.items()}


ROLES = ("read", "submit", "admin", "worker")


@pytest.fixture
def tokens(tmp_path):
    """{role: headers}, and the file under "file"."""
    file = tmp_path / "tokens"
    made = {"file": file, None: {}}
    for role in ROLES:
        ended = subprocess.run(
            [MODPROPD, "token", f"lab-{role}", role, "--token-file", str(file)],
            capture_output=True,
            text=True,
            check=True,
        )
        made[role] = {"Authorization": "Bearer " + ended.stdout.strip()}
    return made


def test_each_role_may_do_what_the_table_says(start, tokens):
    daemon = start("--workers", "0", "--token-file", tokens["file"])
    document = daemon.get("/openapi.json").json()
    table = table_of_roles()
    assert set(table) == {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    for (method, path), allowed in table.items():
        concrete = path.replace("{id}", "none").replace("{name}", "none")
        for role, expected in zip((None, "read", "submit", "admin", "worker"), allowed, strict=True):
            with daemon.request(method, concrete, headers=tokens[role], stream=True) as answer:
                refusal = 401 if role is None else 403
                refused = answer.status_code in (401, 403) and "Modprop-Worker" not in answer.text
                assert not refused if expected else answer.status_code == refusal, (
                    method,
                    path,
                    role,
                    answer.status_code,
                )


@pytest.mark.parametrize(
    "value",
    [
        "Basic bGFiOmxhYg==",
        "Bearer",
        "Bearer ",
        "bearer x",
        "Bearer " + "0" * 64,
        "Bearer " + "x" * 5000,
        "Token x",
        "Bearer a b",
        "Bearer \u00e9".encode(),
    ],
)
def test_what_is_no_token_is_401_and_not_repeated(start, tokens, value):
    daemon = start("--token-file", tokens["file"])
    answer = daemon.get("/v1/jobs", headers={"Authorization": value})
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer") and "bGFi" not in answer.text


def test_tokens_of_the_file_are_as_the_help_says(start, tmp_path):
    digest = "ab" * 32
    for text, words in (
        (f"x:read:{digest}\n" + "y:admin:secret-token\n", "line 2"),
        (f"x:root:{digest}\n", "role"),
        (f"x y:read:{digest}\n", "name"),
        ("", "no token"),
        ("#" + " " * 2000 + f"x:admin:{digest}\n", "no token"),
        (f"x:read:{digest}\0\n", "must be text; it holds a zero byte"),
        (f"x:read:{digest}:more\n", "name:role:sha256"),
    ):
        file = tmp_path / "tokens"
        file.write_text(text)
        ended = subprocess.run(
            [MODPROPD, "--data", str(tmp_path / "d"), "--listen", "127.0.0.1:0", "--token-file", str(file)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode in (1, 2) and words in ended.stderr.splitlines()[-1], (text, ended.stderr)
        assert "secret-token" not in ended.stderr
    file.write_text(f"\ufeffx:read:{digest} \r\n", newline="")
    file.chmod(0o666)
    start("--token-file", file).logged("can be written by others")


def test_a_token_that_is_taken_away_ends_what_goes_on_with_it(start, tokens):
    """A follower may listen for days: when his token goes, he hears no more. What others do goes on."""
    daemon = start("--token-file", tokens["file"], "--workers", "0")
    job = submit(daemon, SMALL, **tokens["submit"])["id"]
    paths = (f"/v1/jobs/{job}/events", "/v1/events?after=0")
    streams = {
        role: [
            daemon.get(path, headers=tokens[role] | {"Accept": "application/x-ndjson"}, stream=True, timeout=120)
            for path in paths
        ]
        for role in ("read", "admin")
    }
    assert all(stream.status_code == 200 for stream in sum(streams.values(), []))
    lines = {role: [stream.iter_lines(chunk_size=1) for stream in opened] for role, opened in streams.items()}
    assert all(json.loads(next(told))["status"] == "queued" for told in sum(lines.values(), []))
    waiter = daemon.connect(60)
    waiter.sendall(
        head(
            b"Authorization: " + tokens["read"]["Authorization"].encode() + b"\r\n",
            f"GET /v1/jobs/{job}?wait=3600 HTTP/1.1".encode(),
        )
    )
    wait_until(lambda: "modprop_http_requests_active 6" in daemon.get("/metrics", headers=tokens["admin"]).text)
    kept = tokens["file"].read_text().splitlines(True)
    tokens["file"].write_text("".join(line for line in kept if not line.startswith("lab-read")))
    daemon.signal(signal.SIGHUP)
    for told in lines["read"]:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(told)
    assert waiter.recv(1) == b""
    waiter.close()
    assert daemon.post(f"/v1/jobs/{job}/cancel", headers=tokens["submit"]).status_code == 200
    for told in lines["admin"]:
        assert json.loads(next(filter(None, told)))["status"] == "cancelled"
    daemon.logged("requests_closed=3")


def test_a_token_is_added_on_a_line_of_its_own(tokens):
    """An editor, or a full disk, may have left the last line without its end."""
    tokens["file"].write_text(tokens["file"].read_text().rstrip("\n"))
    assert (
        subprocess.run(
            [MODPROPD, "token", "late", "read", "--token-file", str(tokens["file"])], capture_output=True
        ).returncode
        == 0
    )
    lines = tokens["file"].read_text().splitlines()
    assert len(lines) == len(ROLES) + 1 and lines[-1].startswith("late:read:")


def test_secrets_are_in_no_log_event_or_answer(start, tokens):
    daemon = start("--token-file", tokens["file"], "--log-level", "debug", "--access-log")
    secret, body_secret = tokens["submit"]["Authorization"].split()[1], "hush-0815"
    job = {**SMALL, "metadata": {"key": body_secret}}
    made = daemon.post("/v1/jobs", json=job, headers={**tokens["submit"], "Idempotency-Key": "key-4711"}).json()
    done = daemon.get(f"/v1/jobs/{made['id']}?wait=300", headers=tokens["submit"], timeout=310)
    seen = [
        done.text,
        daemon.get(f"/v1/jobs/{made['id']}/events", headers=tokens["submit"]).text,
        daemon.get("/metrics", headers=tokens["read"]).text,
        daemon.get("/v1/jobs", headers={"Authorization": "Bearer " + secret + "x"}).text,
        daemon.post("/v1/jobs", data=f'{{"x": "{body_secret}', headers=JSON | tokens["submit"]).text,
        daemon.get("/nothing?token=" + secret, headers=tokens["submit"]).text,
        daemon.request("DELETE", f"/v1/jobs/{made['id']}", headers=tokens["submit"]).text,
    ]
    daemon.stop()
    digests = [line.split(":")[2] for line in tokens["file"].read_text().split()]
    assert "lab-submit" in daemon.log(), "the name is logged"
    for text in [*seen, daemon.log()]:
        assert secret not in text and not any(digest in text for digest in digests) and "key-4711" not in text
    assert body_secret not in daemon.log(), "bodies are not logged"


# ---- rates -----------------------------------------------------------------------------------------------------------


def test_rates_are_of_a_token_and_count_what_is_refused(start, tokens):
    daemon = start("--token-file", tokens["file"], "--rate", "3")

    def limited(path, headers):
        """The answer to one of many requests that come at once."""
        lines = f"Authorization: {headers['Authorization']}\r\nConnection: close\r\n".encode()
        asked = head(lines, f"GET {path} HTTP/1.1".encode())
        return wait_until(lambda: next((a for a in burst(daemon, asked, 20) if statuses(a) == [429]), None))

    limited("/nothing", tokens["read"])  # requests that name no route count
    assert daemon.get("/v1/jobs", headers=tokens["admin"]).status_code == 200, "another token has a rate of its own"
    limited("/v1/jobs", {"Authorization": "Bearer guess"})  # guesses count, by address
    assert (
        daemon.get("/livez").status_code == 200 and daemon.get("/metrics", headers=tokens["read"]).status_code == 200
    ), "probes do not"
    answer = limited("/v1/jobs", tokens["submit"])
    assert b"3 requests per second" in answer and int(re.search(rb"Retry-After: (\d+)", answer)[1]) >= 1


def test_streams_and_waiters_have_bounds_of_their_own(start):
    daemon = start("--max-streams", "3", "--workers", "0", "--heartbeat", "1")
    job = submit(daemon, SMALL)["id"]
    open_streams = [
        daemon.get(f"/v1/jobs/{job}/events", headers={"Accept": "text/event-stream"}, stream=True) for _ in range(3)
    ]
    refused = daemon.get("/v1/events", headers={"Accept": "text/event-stream"})
    assert "--max-streams" in assert_problem(refused, 503)["detail"] and refused.headers["Retry-After"]
    assert daemon.get(f"/v1/jobs/{job}/events").status_code == 200, "a page is no stream"
    for stream in open_streams:
        stream.close()
    wait_until(
        lambda: daemon.request("HEAD", "/v1/events", headers={"Accept": "text/event-stream"}).status_code == 200,
        timeout=120,
    )


def test_streams_have_a_bound_for_a_token_and_whoever_has_most_gives_way(start, tokens):
    daemon = start("--token-file", tokens["file"], "--max-streams", "4", "--token-streams", "3", "--workers", "0")

    def stream(role):
        headers = tokens[role] | {"Accept": "text/event-stream"}
        return daemon.get("/v1/events", headers=headers, stream=True)

    first, *_ = held_open = [stream("read") for _ in range(3)]
    refused = stream("read")
    assert "--token-streams" in assert_problem(refused, 429)["detail"] and refused.headers["Retry-After"]
    held_open += [stream("submit"), stream("submit")]
    assert all(answer.status_code == 200 for answer in held_open)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):  # cut, not ended
        list(first.iter_content(None))
    for line in ("modprop_streams_cut_total 1", "modprop_streams 4"):
        wait_until(lambda line=line: f"\n{line}\n" in daemon.get("/metrics", headers=tokens["read"]).text)
    assert_problem(stream("submit"), 503)
    for answer in held_open:
        answer.close()


# ---- pages of other sites
# ---------------------------------------------------------------------------------------------


def test_preflights_are_answered_for_allowed_origins_alone(start, tokens):
    daemon = start("--allow-origin", "https://lab.example", "--token-file", tokens["file"])
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    allowed = daemon.request("OPTIONS", "/v1/jobs", headers={"Origin": "https://lab.example", **ask})
    assert allowed.status_code == 204 and allowed.headers["Access-Control-Allow-Origin"] == "https://lab.example"
    assert (
        "POST" in allowed.headers["Access-Control-Allow-Methods"]
        and allowed.headers["Access-Control-Allow-Private-Network"] == "true"
    )
    assert {"authorization", "content-type", "idempotency-key", "last-event-id"} <= {
        h.strip().lower() for h in allowed.headers["Access-Control-Allow-Headers"].split(",")
    }
    assert "Origin" in allowed.headers["Vary"] and "Access-Control-Allow-Credentials" not in allowed.headers
    foreign = daemon.request("OPTIONS", "/v1/jobs", headers={"Origin": "https://evil.example", **ask})
    assert foreign.status_code == 403 and not any(name.startswith("Access-Control") for name in foreign.headers)
    refused = daemon.get("/v1/jobs", headers={"Origin": "https://lab.example"})
    assert refused.status_code == 401 and refused.headers["Access-Control-Allow-Origin"] == "https://lab.example", (
        "the page may read why"
    )
    page = daemon.get("/", headers={"Accept": "text/html", "Origin": "https://lab.example"})
    assert page.status_code == 200 and "Origin" in page.headers["Vary"]


def test_forms_and_simple_requests_change_nothing(start):
    daemon = start("--workers", "0")
    job = submit(daemon, SMALL)["id"]
    text = json.dumps(SMALL)
    for type in (
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain;application/json",
        "application/jsonx",
        None,
    ):
        for path in ("/v1/jobs", f"/v1/jobs/{job}/cancel", f"/v1/jobs/{job}/pause", "/v1/gradients"):
            assert (
                daemon.post(path, data=text.encode(), headers={"Content-Type": type} if type else {}).status_code == 415
            ), (type, path)
    assert (
        daemon.post(f"/v1/jobs/{job}/cancel", headers={"Content-Type": "application/x-www-form-urlencoded"}).status_code
        == 415
    ), "an empty form"
    assert daemon.request("PUT", "/v1/datasets/x", data=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert [j["status"] for j in daemon.get("/v1/jobs").json()["jobs"]] == ["queued"]


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_listening_beyond_loopback_needs_tokens_or_a_word(start, tmp_path, tokens, listen):
    refused = subprocess.run(
        [MODPROPD, "--data", str(tmp_path / "a"), "--listen", listen], capture_output=True, text=True, timeout=120
    )
    assert refused.returncode == 2 and "--token-file" in refused.stderr and not os.path.exists(tmp_path / "a")
    for flags in (["--token-file", str(tokens["file"])], ["--create-token"], ["--allow-unauthenticated"]):
        daemon = start("--listen", listen, *flags, data=tmp_path / flags[0].strip("-"))
        assert daemon.ready_line.startswith("modpropd listening on http://")
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=120) as connection:
            connection.sendall(head(b"Connection: close\r\n", b"GET /v1/jobs HTTP/1.1", b"evil.example"))
            assert connection.recv(12) == b"HTTP/1.1 403", "a foreign Host stays foreign"
        daemon.stop()


def test_a_tls_handshake_that_stalls_is_cut(start, tmp_path):
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            str(tmp_path / "key"),
            "-out",
            str(tmp_path / "certificate"),
        ],
        check=True,
        capture_output=True,
    )
    daemon = start(
        "--tls-cert",
        tmp_path / "certificate",
        "--tls-key",
        tmp_path / "key",
        "--header-timeout",
        "2",
        "--max-connections",
        "50",
    )
    crowd = [daemon.connect(60) for _ in range(120)]
    try:
        for connection in crowd[::2]:
            with contextlib.suppress(OSError):  # its place was taken by a later one
                connection.sendall(b"\x16\x03\x01\x02")  # the first bytes of a hello
        assert daemon.get("/livez", verify=str(tmp_path / "certificate"), timeout=120).status_code == 200
        assert crowd[-1].recv(10) == crowd[-2].recv(10) == b"", (
            "closed at the deadline, silent ones and half ones alike"
        )
    finally:
        for connection in crowd:
            connection.close()
