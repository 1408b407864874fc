"""Many streams at once: nobody misses an event, memory stays small, slow readers cost the others nothing."""

import json
import selectors
import socket
import time

from daemons import PATIENCE, SANITIZED, wait_until
from test_jobs import LONG, SMALL, changed, finish, submit

STREAMS = 400


def open_stream(daemon, job):
    connection = daemon.connect()
    connection.sendall(
        f"GET /v1/jobs/{job['id']}/events HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n".encode()
    )
    return connection


def body_of(data):
    """The body of a chunked answer's bytes; a chunk may end anywhere, within a word too."""
    rest, body = data.split(b"\r\n\r\n", 1)[1], b""
    while rest:
        length, rest = rest.split(b"\r\n", 1)
        body += rest[: int(length, 16)]
        rest = rest[int(length, 16) + 2 :]
    return body


def events_of(data):
    """The events in a chunked answer's bytes."""
    return [json.loads(line) for line in body_of(data).splitlines() if line]


def resident(daemon):
    with open(f"/proc/{daemon.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def read_all(connections, seconds=PATIENCE):
    """What each connection receives until the daemon closes its stream's last chunk."""
    received = {connection: b"" for connection in connections}
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        end = time.monotonic() + seconds
        while selector.get_map() and time.monotonic() < end:
            for key, _ in selector.select(1):
                chunk = key.fileobj.recv(1 << 16)
                received[key.fileobj] += chunk
                if not chunk or received[key.fileobj].endswith(b"\r\n0\r\n\r\n"):
                    selector.unregister(key.fileobj)
        assert not selector.get_map(), "not all streams ended"
    return received


def test_many_streams_of_one_job(start):
    daemon = start("--workers", "1", "--cores", "1")
    blocker = submit(daemon, LONG)
    job = submit(daemon, changed(SMALL, training={"iterations": 200, "evaluate_every": 2}))
    before = resident(daemon)
    connections = [open_stream(daemon, job) for _ in range(STREAMS)]
    wait_until(lambda: f"modprop_streams {STREAMS}" in daemon.get("/metrics").text)
    grown = resident(daemon) - before
    assert SANITIZED or grown < STREAMS * 64 * 1024, f"{grown / STREAMS:.0f} bytes a stream"
    daemon.post(f"/v1/jobs/{blocker['id']}/cancel")
    received = read_all(connections)
    expected = daemon.get(f"/v1/jobs/{job['id']}/events?limit=1000").json()["events"]
    assert len(expected) > 100
    for connection, data in received.items():
        assert events_of(data) == expected
        connection.close()
    wait_until(lambda: "modprop_streams 0" in daemon.get("/metrics").text)


def test_a_reader_that_does_not_read_harms_nobody(daemon):
    job = submit(daemon, changed(SMALL, training={"iterations": 3000, "evaluate_every": 1}))
    lazy = []
    for _ in range(20):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # With segments larger than the window a reader's progress is reported by the sender's probes alone, which come
        # ever later.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        connection.connect(("127.0.0.1", daemon.port))
        connection.sendall(
            f"GET /v1/jobs/{job['id']}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        lazy.append(connection)
    before = resident(daemon)
    assert finish(daemon, job)["status"] == "succeeded"
    assert SANITIZED or resident(daemon) - before < 64 << 20
    assert daemon.get("/livez", timeout=120).status_code == 200
    body = body_of(read_all(lazy[:1])[lazy[0]])
    assert body.count(b"event: progress") == 3001, "it gets all of them, late"
    ids = [int(line[4:]) for line in body.splitlines() if line.startswith(b"id: ")]
    assert ids == list(range(ids[0], ids[0] + len(ids))), "none lost, none twice"
    for connection in lazy:
        connection.close()


def test_streams_are_bounded(start):
    daemon = start("--workers", "0", "--max-streams", "3")
    job = submit(daemon, SMALL)
    connections = [open_stream(daemon, job) for _ in range(3)]
    wait_until(lambda: "modprop_streams 3" in daemon.get("/metrics").text)
    answer = daemon.get(f"/v1/jobs/{job['id']}/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 503 and "--max-streams" in answer.json()["detail"] and answer.headers["Retry-After"]
    for connection in connections:
        connection.close()


def test_the_end_of_the_daemon_ends_streams(start):
    daemon = start("--workers", "0")
    connections = [open_stream(daemon, submit(daemon, SMALL)) for _ in range(10)]
    wait_until(lambda: "modprop_streams 10" in daemon.get("/metrics").text)
    assert daemon.stop() == 0
    for connection in connections:
        connection.close()


def test_probes_answer_when_all_connections_are_taken(start):
    daemon = start("--workers", "0", "--max-connections", "30")
    job = submit(daemon, SMALL)
    connections = [open_stream(daemon, job) for _ in range(29)]
    assert all(connection.recv(1000).startswith(b"HTTP/1.1 200") for connection in connections), (
        "from now on none of them is idle"
    )
    connections.append(open_stream(daemon, job))
    assert connections[-1].recv(1000)
    assert daemon.get(f"/v1/jobs/{job['id']}").status_code == 503
    for path in ("/livez", "/readyz", "/metrics"):
        assert daemon.get(path, timeout=120).status_code == 200
    for connection in connections:
        connection.close()
