"""The HTTP transport: probes, framing, deadlines, limits, Host and Origin, and the ends of a daemon."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest
from daemons import MODPROPD, PATIENCE, STOP_SECONDS, wait_until


def head(lines=b"", line=b"GET /livez HTTP/1.1", host=b"localhost"):
    return line + b"\r\nHost: " + host + b"\r\n" + lines + b"\r\n"


def statuses(answer):
    """The status of every answer in a stream of bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def own_address():
    """This machine's IPv4 address towards others; nothing is sent, and no name need be resolved."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError as reason:
            pytest.skip(f"this machine has no IPv4 address but loopback: {reason}")
        return probe.getsockname()[0]


def assert_problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status and document["title"] and document["detail"]
    return document


def test_probes(daemon):
    assert daemon.ready_line == f"modpropd listening on http://127.0.0.1:{daemon.port}\n"
    for path in ("/livez", "/readyz"):
        answer = daemon.get(path)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    version = daemon.get("/version").json()
    assert version["name"] == "modpropd" and version["limits"]["workers"] == 2


def test_head_is_get_without_body(shared):
    get, without = shared.get("/version"), shared.request("HEAD", "/version")
    assert without.status_code == 200 and without.content == b""
    assert without.headers["Content-Length"] == get.headers["Content-Length"]


def test_request_id_is_kept_or_made(shared):
    assert shared.get("/livez", headers={"X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"
    made = {shared.get("/livez", headers={"X-Request-Id": "not a \x7f id"}).headers["X-Request-Id"] for _ in range(3)}
    assert len(made) == 3


def test_unknown_path_and_method(shared):
    assert_problem(shared.get("/nothing"), 404)
    assert_problem(shared.get("/livez/"), 404)
    for method in ("POST", "DELETE", "PATCH", "TRACE", "PROPFIND"):
        answer = shared.request(method, "/livez")
        assert_problem(answer, 405)
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    answer = shared.request("OPTIONS", "/livez")
    assert answer.status_code == 204 and answer.headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "accept,status",
    [
        ("application/json", 200),
        ("application/*;q=0.1", 200),
        ("*/*", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("text/html, */*;q=0.1", 200),
        (";;;,,", 406),
    ],
)
def test_accept(shared, accept, status):
    assert shared.get("/version", headers={"Accept": accept}).status_code == status


@pytest.mark.parametrize(
    "host,status",
    [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:8080", 200),
        ("127.9.9.9", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("[::1", 403),
        ("192.168.0.1", 403),
        ("localhost:80:80", 403),
        ("lab.example", 200),
    ],
)
def test_host(start, host, status):
    daemon = start("--allow-host", "lab.example")
    assert daemon.get("/livez", headers={"Host": host}).status_code == status


def test_origin(start):
    daemon = start("--allow-origin", "https://lab.example")
    assert daemon.get("/version", headers={"Origin": daemon.url}).status_code == 200
    for foreign in ("http://evil.example", "null", "https://lab.example.evil.example", "https://127.0.0.1"):
        answer = daemon.get("/version", headers={"Origin": foreign})
        assert_problem(answer, 403)
        assert "Access-Control-Allow-Origin" not in answer.headers
    answer = daemon.get("/version", headers={"Origin": "https://lab.example"})
    assert answer.status_code == 200 and answer.headers["Access-Control-Allow-Origin"] == "https://lab.example"
    preflight = daemon.request(
        "OPTIONS", "/version", headers={"Origin": "https://lab.example", "Access-Control-Request-Method": "GET"}
    )
    assert preflight.status_code == 204 and "GET" in preflight.headers["Access-Control-Allow-Methods"]
    for site, mode, status in (
        ("cross-site", "no-cors", 403),
        ("same-site", "no-cors", 403),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
        ("cross-site", "navigate", 200),
    ):
        assert daemon.get("/version", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}).status_code == status


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 3\r\nContent-Length: 5\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Host: evil.example\r\n",
        b"Content-Length: 3x\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length : 5\r\n",
        b"Content-Type: text/plain\r\nContent-Type: application/json\r\n",
        b"Origin: http://localhost\r\nOrigin: http://evil.example\r\n",
        b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
    ],
)
def test_doubtful_framing_is_refused_and_closed(shared, lines):
    answer = shared.exchange(head(lines) + b"abcde" + head())
    assert set(statuses(answer)) == {400}, answer


@pytest.mark.parametrize(
    "line,host,status",
    [
        (b"GET http://localhost/version HTTP/1.1", b"evil.example", 200),  # the target counts, whatever Host says
        (b"GET HTTP://LOCALHOST:1/version?x=1 HTTP/1.1", b"localhost", 200),
        (b"GET http://localhost HTTP/1.1", b"localhost", 200),
        (b"OPTIONS http://localhost HTTP/1.1", b"localhost", 204),
        (b"OPTIONS * HTTP/1.1", b"localhost", 204),
        (b"GET http://evil.example/version HTTP/1.1", b"localhost", 403),
        (b"GET http://me@localhost/version HTTP/1.1", b"localhost", 400),
        (b"GET http:///version HTTP/1.1", b"localhost", 400),
        (b"GET ftp://localhost/version HTTP/1.1", b"localhost", 400),
        (b"GET version HTTP/1.1", b"localhost", 400),
        (b"GET * HTTP/1.1", b"localhost", 400),
        (b"CONNECT localhost:80 HTTP/1.1", b"localhost", 400),
    ],
)
def test_targets_are_as_rfc_9112_says(shared, line, host, status):
    assert statuses(shared.exchange(head(b"Connection: close\r\n", line, host))) == [status]


def test_lines_that_end_in_lf_alone_are_taken_and_a_lone_cr_is_not(shared):
    """RFC 9112, 2.2: LF may end a line; a CR without LF neither ends a line nor is part of a value."""
    lf = b"GET /version HTTP/1.1\nHost: localhost\nConnection: close\n\n"
    assert statuses(shared.exchange(lf)) == [200]
    assert statuses(shared.exchange(head(b"X: a\rContent-Length: 5\r\n") + b"hello")) == [400]
    assert statuses(shared.exchange(head(b"X: a\x01b\r\n"))) == [400]


def test_chunks_of_http_1_0_are_refused_and_the_connection_closed(shared):
    """RFC 9112, 6.1: HTTP/1.0 knows no Transfer-Encoding, so that nobody can say where such a request ends."""
    lines = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n"
    first = head(lines, b"POST /v1/jobs:validate HTTP/1.0")
    answer = shared.exchange(first + b"2\r\n{}\r\n0\r\n\r\n" + head())
    assert (
        len(statuses(answer.replace(b"HTTP/1.0 ", b"HTTP/1.1 "))) == 1 and b"HTTP/1.0" in answer.split(b"\r\n\r\n")[1]
    )


def test_blanks_behind_a_value_are_no_part_of_it(shared):
    """RFC 9110, 5.5. libmicrohttpd 0.9.75 leaves them there."""
    answer = shared.exchange(
        head(
            b"X-Request-Id: mine-1 \t \r\nAccept:  application/json  \r\nConnection: close\r\n",
            b"GET /version HTTP/1.1",
            b"localhost ",
        )
    )
    assert statuses(answer) == [200] and b"X-Request-Id: mine-1\r\n" in answer


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "localhost"])
def test_a_socket_of_both_families_takes_ipv4(start, host):
    """The daemon listens at [::]; clients that come by IPv4 name it by an address that is mapped into IPv6."""
    daemon = start("--listen", "[::]:0", "--allow-unauthenticated", "--access-log", "--log-format", "json")
    daemon.url = f"http://127.0.0.1:{daemon.port}"
    assert daemon.get("/version", headers={"Host": f"{host}:{daemon.port}"}).status_code == 200
    address = own_address()
    daemon.url = f"http://{address}:{daemon.port}"
    assert daemon.get("/version").status_code == 200
    wait_until(lambda: daemon.log().count('"request"') == 2)
    clients = [json.loads(line)["client"] for line in daemon.log().splitlines() if '"request"' in line]
    assert clients[0] == "127.0.0.1" and ":" not in clients[1]


def test_host_is_required(shared):
    assert statuses(shared.exchange(b"GET /livez HTTP/1.1\r\n\r\n")) == [400]
    assert b" 200 OK" in shared.exchange(b"GET /livez HTTP/1.0\r\n\r\n").split(b"\r\n")[0]


def test_pipelined_requests_are_answered_in_order(shared):
    answer = shared.exchange(head() * 30 + head(line=b"GET /nothing HTTP/1.1") + head(b"Connection: close\r\n"))
    assert statuses(answer) == [200] * 30 + [404, 200]


def test_body_that_nobody_wants_is_drained(shared):
    body = b"x" * 100_000
    chunked = b"Transfer-Encoding: chunked\r\n"
    answer = shared.exchange(
        head(b"Content-Length: 100000\r\n", b"POST /nothing HTTP/1.1")
        + body
        + head(chunked, b"POST /livez HTTP/1.1")
        + b"186a0\r\n"
        + body
        + b"\r\n0\r\n\r\n"
        + head(b"Connection: close\r\n")
    )
    assert statuses(answer) == [404, 405, 200]


def test_expectation(shared):
    assert statuses(shared.exchange(head(b"Expect: wonders\r\nConnection: close\r\n"))) == [417]
    answer = shared.exchange(head(b"Expect: 100-continue\r\nContent-Length: 10\r\n", b"POST /nothing HTTP/1.1"))
    assert statuses(answer) == [404], "the final answer comes without the body"


def test_endless_chunked_body_is_cut(start):
    daemon = start("--max-body", "1M")
    with daemon.connect(20) as connection:
        connection.sendall(head(b"Transfer-Encoding: chunked\r\n", b"POST /nothing HTTP/1.1"))
        block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(4096):
                connection.sendall(block)
    assert daemon.get("/livez").status_code == 200


def test_slow_headers_are_cut_however_steadily_they_come(start):
    daemon = start("--header-timeout", "1", "--idle-timeout", "600")
    end = time.monotonic() + PATIENCE
    with daemon.connect() as connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
        while time.monotonic() < end:
            connection.sendall(b"a")
            time.sleep(0.1)


def test_idle_connection_is_closed(start):
    daemon = start("--idle-timeout", "1")
    with daemon.connect(10) as connection:
        connection.sendall(head())
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
        assert statuses(answer) == [200]


def test_oversized_headers(shared):
    assert statuses(shared.exchange(head(b"X: " + b"a" * 40000 + b"\r\n"))) == [431]


def test_garbage_harms_nobody(daemon):
    for data in (
        b"\0" * 1000,
        b"GET\r\n\r\n",
        b"\r\n" * 5000,
        b"GET / HTTP/9.9\r\n\r\n",
        os.urandom(5000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ):
        daemon.exchange(data, timeout=0.3)
    assert daemon.get("/livez").status_code == 200


def test_many_idle_connections_make_room(start):
    daemon = start("--max-connections", "50", "--max-address-connections", "1000")
    crowd = [daemon.connect() for _ in range(200)]
    try:
        for _ in range(5):
            assert daemon.get("/livez", timeout=120).status_code == 200
    finally:
        for connection in crowd:
            connection.close()
    assert "modprop_http_connections_evicted_total" in daemon.get("/metrics").text


def test_hang_ups_leave_nothing_behind(daemon):
    before = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    for i in range(100):
        with daemon.connect() as connection:
            connection.sendall(head()[: 10 + i % 40])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) <= before + 2)


def connections(daemon):
    """Open ones, that of the question included."""
    return int(re.search(r"^modprop_http_connections (\d+)", daemon.get("/metrics").text, re.M).group(1))


HALF = {
    "upload": head(
        b"Content-Type: application/octet-stream\r\nContent-Length: 20000\r\n", b"PUT /v1/datasets/x HTTP/1.1"
    )
    + b"x" * 3000,
    "body": head(b"Content-Type: application/json\r\nContent-Length: 20000\r\n", b"POST /v1/jobs HTTP/1.1") + b"{",
    "head": head()[:30],
}


@pytest.mark.parametrize("part", HALF)
@pytest.mark.parametrize("side", ["all", "sending"])
def test_half_a_request_and_a_hang_up_that_arrive_together(start, part, side):
    """The end of the stream comes with the last bytes: it must be seen, not the deadline awaited."""
    daemon = start("--header-timeout", "600", "--body-timeout", "600", "--idle-timeout", "600")
    held = []
    for _ in range(20):
        connection = daemon.connect()
        connection.sendall(HALF[part])
        if side == "sending":
            connection.shutdown(socket.SHUT_WR)
            held.append(connection)
        else:
            connection.close()
    wait_until(lambda: connections(daemon) == 1, timeout=8)
    for connection in held:
        connection.close()


def test_complete_requests_of_a_client_that_closed_its_sending_side_are_answered(daemon):
    for count, size in ((1, 0), (5, 0), (3, 200_000)):
        body = b" " * size
        asked = head(f"Content-Length: {size}\r\n".encode()) + body
        with daemon.connect() as connection:
            connection.sendall(asked * count)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))  # noqa: B023
        assert statuses(answer) == [200] * count
    wait_until(lambda: connections(daemon) == 1)


def test_a_client_that_waits_for_a_job_and_hangs_up_is_not_kept(start):
    daemon = start("--workers", "0")
    job = {"task": {"type": "delayed_xor"}, "network": {"units": 6}}
    id = daemon.post("/v1/jobs", json=job).json()["id"]
    for _ in range(20):
        with daemon.connect() as connection:
            connection.sendall(head(line=f"GET /v1/jobs/{id}?wait=600 HTTP/1.1".encode()))
            time.sleep(0.01)
    wait_until(lambda: connections(daemon) == 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_end(start, number):
    daemon = start()
    idle = daemon.connect()
    daemon.signal(number)
    assert daemon.wait(STOP_SECONDS) == 0
    idle.close()


def test_tokens(start, tmp_path):
    file = tmp_path / "tokens"
    tokens = {}
    for role in ("read", "submit", "admin"):
        made = subprocess.run(
            [MODPROPD, "token", f"a-{role}", role, "--token-file", str(file)],
            capture_output=True,
            text=True,
            check=True,
        )
        tokens[role] = made.stdout.strip()
        assert tokens[role] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    daemon = start("--token-file", file, "--log-level", "debug")
    assert daemon.get("/livez").status_code == 200, "probes need none"
    answer = daemon.get("/metrics")
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert_problem(daemon.get("/metrics", headers={"Authorization": "Bearer " + tokens["read"][:-1] + "x"}), 401)
    assert_problem(daemon.get("/nothing"), 401)
    assert daemon.get("/metrics", headers={"Authorization": "Bearer " + tokens["read"]}).status_code == 200
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("a-read")))
    daemon.signal(signal.SIGHUP)
    wait_until(
        lambda: daemon.get("/metrics", headers={"Authorization": "Bearer " + tokens["read"]}).status_code == 401,
        timeout=120,
    )
    file.write_text("nonsense\n")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in daemon.log())
    assert daemon.get("/metrics", headers={"Authorization": "Bearer " + tokens["admin"]}).status_code == 200
    assert not any(token in daemon.log() for token in tokens.values())


def test_created_token(start):
    daemon = start("--create-token")
    file = daemon.data / "token"
    token = file.read_text().strip()
    daemon.logged(str(file))
    assert file.stat().st_mode & 0o777 == 0o600 and token not in daemon.log()
    assert daemon.get("/metrics").status_code == 401
    assert daemon.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def burst(daemon, asked, count):
    """What so many requests are answered that come at once, each by a connection of its own."""
    crowd = [daemon.connect() for _ in range(count)]
    for connection in crowd:
        connection.sendall(asked)
    answers = []
    for connection in crowd:
        with connection:
            answers.append(b"".join(iter(lambda: connection.recv(65536), b"")))  # noqa: B023
    return answers


def test_rate(start):
    daemon = start("--rate", "5")
    asked = head(b"Connection: close\r\n", b"GET / HTTP/1.1")

    def limited():
        return next((answer for answer in burst(daemon, asked, 30) if statuses(answer) == [429]), None)

    assert int(re.search(rb"Retry-After: (\d+)", wait_until(limited))[1]) >= 1
    assert daemon.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "request_line,lines,host",
    [
        (b"OPTIONS /v1/jobs HTTP/1.1", b"", b"localhost"),
        (b"GET /app.js HTTP/1.1", b"", b"localhost"),
        (b"GET / HTTP/1.1", b"Accept: text/html\r\n", b"localhost"),
        (b"GET /v1/rules HTTP/1.1", b"Origin: http://evil.example\r\n", b"localhost"),
        (b"GET /v1/jobs HTTP/1.1", b"", b"evil.example"),
        (b"GET /v1/jobs HTTP/1.1", b"Content-Length: 1\r\nContent-Length: 2\r\n", b"localhost"),
        (b"POST /v1/jobs HTTP/1.1", b"Expect: miracles\r\n", b"localhost"),
    ],
    ids=["options", "file", "page", "origin", "host", "framing", "expectation"],
)
def test_the_rate_counts_whatever_was_asked(start, request_line, lines, host):
    daemon = start("--rate", "2")
    asked = head(lines + b"Connection: close\r\n", request_line, host)
    wait_until(lambda: any(statuses(answer) == [429] for answer in burst(daemon, asked, 12)))
    assert daemon.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "flags,environment,words",
    [
        ([], {"MODPROPD_DATA": ""}, ["MODPROPD_DATA", "empty"]),
        (["--data", "D", "--workers", "many"], {}, ["--workers", "integer", "many"]),
        (["--data", "D", "--workers", "-2"], {}, ["--workers", "-1 to 1000", "-2"]),
        (["--data", "D"], {"MODPROPD_MAX_QUEUED": "0"}, ["MODPROPD_MAX_QUEUED", "from 1"]),
        (["--data", "D", "--listen", "8080"], {}, ["--listen", "ADDRESS:PORT"]),
        (["--data", "D", "--listen", "0.0.0.0:0"], {}, ["--listen", "--token-file"]),
        (["--data", "D", "--nonsense"], {}, ["--nonsense"]),
        (["--data", "D", "--max-body"], {}, ["--max-body", "BYTES"]),
        (["--data", "D", "--log-format", "xml"], {}, ["--log-format", "text, json"]),
        (["--data", "D", "--tls-cert", "c"], {}, ["--tls-key"]),
        (["--data", "D", "--allow-origin", "lab.example"], {}, ["--allow-origin", "https://"]),
        (["--data", "D", "--config", "/nonexistent"], {}, ["/nonexistent"]),
        ([], {}, ["--data"]),
    ],
)
def test_bad_usage_is_one_clear_sentence(tmp_path, flags, environment, words):
    flags = [str(tmp_path) if flag == "D" else flag for flag in flags]
    base = {k: v for k, v in os.environ.items() if not k.startswith(("MODPROP_", "MODPROPD_"))}
    ended = subprocess.run([MODPROPD, *flags], env=base | environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("modpropd: ") and ended.stderr.count("\n") == 1
    assert all(word in ended.stderr for word in words), ended.stderr


def test_configuration_layers(start, tmp_path):
    file = tmp_path / "modpropd.conf"
    file.write_text("# a comment\nworkers = 3\n max_queued=7 \nlog-format = json\n")
    daemon = start("--config", file, environment={"MODPROPD_WORKERS": "4"})
    assert daemon.get("/version").json()["limits"]["workers"] == 4
    wait_until(lambda: daemon.lines)
    assert all(json.loads(line)["level"] for line in daemon.lines)
    other = start("--workers", "5", data=tmp_path / "other", environment={"MODPROPD_CONFIG": str(file)})
    assert other.get("/version").json()["limits"]["workers"] == 5
    file.write_text("workers = 3\nwonders = 1\n")
    ended = subprocess.run(
        [MODPROPD, "--data", str(tmp_path), "--config", str(file)], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 2 and f"{file}:2" in ended.stderr and "wonders" in ended.stderr


def test_variables_of_version_0_1_are_read_with_a_warning(start, tmp_path):
    daemon = start(environment={"MODPROP_WORKERS": "3"})
    assert daemon.get("/version").json()["limits"]["workers"] == 3
    daemon.logged("variable=MODPROP_WORKERS new_name=MODPROPD_WORKERS")
    both = start(data=tmp_path / "both", environment={"MODPROP_WORKERS": "3", "MODPROPD_WORKERS": "4"})
    assert both.get("/version").json()["limits"]["workers"] == 4 and "MODPROP_WORKERS" not in both.log()


def test_the_clients_variables_do_not_stop_the_daemon(start, tmp_path):
    """Version 0.1 took the client's token for its list of tokens, and the client's settings for its own."""
    (tmp_path / "token").write_text("modprop_secret\n")
    (tmp_path / "config").write_text("server = http://127.0.0.1:1\n")
    clients = {"MODPROP_TOKEN_FILE": str(tmp_path / "token"), "MODPROP_CONFIG": str(tmp_path / "config")}
    clients |= {"MODPROP_SERVER": "127.0.0.1:1", "MODPROP_TOKEN": "x", "MODPROP_CA_FILE": "none"}
    daemon = start(environment=clients)
    assert daemon.get("/v1/jobs").status_code == 200
    for name in ("TOKEN_FILE", "CONFIG"):
        daemon.logged(f"variable=MODPROP_{name} the_daemons=MODPROPD_{name}")
    ended = subprocess.run([MODPROPD, "token", "ann", "read"], env=os.environ | clients, capture_output=True, text=True)
    assert ended.returncode == 0 and (tmp_path / "token").read_text() == "modprop_secret\n"


@pytest.mark.parametrize(
    "text,workers",
    [
        (b"\xef\xbb\xbfworkers = 3\n", 3),  # a byte order mark, as some editors write it
        (b"workers = 3   \t \r\n", 3),
        (b"workers = 3 # a note\n\t# another\n", 3),
        (b'workers = "3" # a note\n', 3),
        (b"workers = 3", 3),
        (b"workers = 2\nworkers = 3\n", 3),
        (b"heartbeat = 2m\nworkers = 3\n", 3),
    ],
)
def test_a_settings_file_is_read_as_most_programs_do(start, tmp_path, text, workers):
    (tmp_path / "conf").write_bytes(text)
    assert start("--config", tmp_path / "conf").get("/version").json()["limits"]["workers"] == workers


@pytest.mark.parametrize(
    "text,words",
    [
        (b"data = x\x00y\n", "conf must be text; it holds a zero byte"),
        ("workers = 3\n".encode("utf-16"), "conf must be text in UTF-8; it begins as UTF-16 does"),
        (b'isa = "portable\n', "conf:1: a value that begins with a double quote must end with the next one"),
        (b"workers = 3#4\n", 'conf:1: workers must be an integer from -1 to 1000; got "3#4"'),
        (b"\nworkers\n", 'conf:2 must read "key = value"; got "workers"'),
        (b"heartbeat = 2 m\n", "conf:1: heartbeat must be a number of seconds (such as 90, 15m or 2h) from 1 to 3600"),
        (b"token-file = # none\n", "conf:1: token-file must not be empty"),
    ],
)
def test_what_is_wrong_with_a_settings_file_is_shown(tmp_path, text, words):
    (tmp_path / "conf").write_bytes(text)
    ended = subprocess.run(
        [MODPROPD, "--data", str(tmp_path), "--config", str(tmp_path / "conf")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2 and words in ended.stderr and ended.stderr.count("\n") == 1, ended.stderr


def test_a_path_with_blanks_and_hashes_is_quoted(start, tmp_path):
    place = tmp_path / "my data # 1"
    (tmp_path / "conf").write_text(f'data = "{place}"  # here\n')
    ended = subprocess.run(
        [MODPROPD, "verify", "--config", str(tmp_path / "conf")], capture_output=True, text=True, timeout=120
    )
    assert str(place) in ended.stderr


def test_help_and_version():
    text = subprocess.run([MODPROPD, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--max-queued" in text and "MODPROPD_" in text
    assert subprocess.run([MODPROPD, "--version"], capture_output=True, text=True, check=True).stdout.startswith(
        "modpropd "
    )


def test_healthcheck(start):
    daemon = start()
    command = [MODPROPD, "healthcheck", "--listen", f"127.0.0.1:{daemon.port}"]
    assert subprocess.run(command, timeout=120).returncode == 0
    daemon.stop()
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("flags,environment", [(["--isa", "mmx"], {}), ([], {"MODPROPD_ISA": "mmx"})])
def test_unknown_instruction_set(tmp_path, flags, environment):
    base = {k: v for k, v in os.environ.items() if not k.startswith(("MODPROP_", "MODPROPD_"))}
    ended = subprocess.run(
        [MODPROPD, "--data", str(tmp_path), *flags], env=base | environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 2 and "mmx" in ended.stderr and ended.stderr.count("\n") == 1


def make_certificate(directory, serial=1):
    """A key and a certificate of its own, in the files key and certificate."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-set_serial", str(serial)]
        + ["-keyout", str(directory / "key"), "-out", str(directory / "certificate")],
        check=True,
        capture_output=True,
    )


def serial_of(daemon):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with daemon.connect() as plain, context.wrap_socket(plain) as connection:
        pem = ssl.DER_cert_to_PEM_cert(connection.getpeercert(True))
    ended = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True)
    return int(ended.stdout.split("=")[1], 16)


def test_a_new_certificate_is_read_on_sighup(start, tmp_path):
    make_certificate(tmp_path, 17)
    daemon = start("--tls-cert", tmp_path / "certificate", "--tls-key", tmp_path / "key")
    assert serial_of(daemon) == 17
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with daemon.connect() as plain, context.wrap_socket(plain) as old:
        make_certificate(tmp_path, 18)
        assert serial_of(daemon) == 17, "a file alone changes nothing"
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "certificate reloaded" in daemon.log())
        assert serial_of(daemon) == 18
        old.sendall(head(b"Connection: close\r\n"))
        assert statuses(old.recv(65536)) == [200], "connections go on"
    (tmp_path / "key").write_text("no key\n")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: "certificate not reloaded" in daemon.log())
    assert serial_of(daemon) == 18
    other = tmp_path / "other"
    other.mkdir()
    make_certificate(other)
    (tmp_path / "key").write_bytes((other / "key").read_bytes())
    ended = subprocess.run(
        [MODPROPD, "--data", str(other), "--tls-cert", tmp_path / "certificate", "--tls-key", tmp_path / "key"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1 and "--tls-cert and --tls-key must hold a certificate and its key" in ended.stderr


@pytest.mark.parametrize(
    "options,agrees",
    [
        (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], True),
        (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], False),
        (["-tls1_2", "-cipher", "AES256-SHA256:AES128-SHA"], False),
        (["-tls1_3"], True),
        (["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], False),
    ],
)
def test_tls_without_forward_secrecy_is_not_negotiated(start, tmp_path, options, agrees):
    make_certificate(tmp_path)
    daemon = start("--tls-cert", tmp_path / "certificate", "--tls-key", tmp_path / "key")
    ended = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port}", *options],
        input=b"",
        capture_output=True,
        timeout=120,
    )
    assert (b"Cipher is (NONE)" not in ended.stdout) == agrees


@pytest.mark.parametrize("is_tls", [False, True] if os.environ.get("MODPROP_LONG") else [True])
def test_healthcheck_notices_a_daemon_that_stands_still(start, tmp_path, is_tls):
    make_certificate(tmp_path)
    tls = ["--tls-cert", tmp_path / "certificate", "--tls-key", tmp_path / "key"] if is_tls else []
    daemon = start(*tls)
    command = [MODPROPD, "healthcheck", "--listen", f"127.0.0.1:{daemon.port}", *tls]
    assert subprocess.run(command, timeout=120).returncode == 0
    daemon.signal(signal.SIGSTOP)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    finally:
        daemon.signal(signal.SIGCONT)
    assert ended.returncode == 1 and "timed out" in ended.stderr
    assert subprocess.run(command, timeout=120).returncode == 0


def test_tls(start, tmp_path):
    make_certificate(tmp_path)
    daemon = start("--tls-cert", tmp_path / "certificate", "--tls-key", tmp_path / "key")
    assert daemon.url.startswith("https://")
    assert daemon.get("/livez", verify=str(tmp_path / "certificate")).status_code == 200
    answer = daemon.post(
        "/v1/jobs",
        json={
            "task": {"type": "delayed_xor", "delay": 10, "cue": 4},
            "network": {"units": 6},
            "training": {"iterations": 3},
        },
        headers={"Accept": "application/x-ndjson"},
        verify=str(tmp_path / "certificate"),
    )
    assert answer.status_code == 201 and json.loads(answer.text.splitlines()[-1])["type"] == "weights"
    assert statuses(daemon.exchange(head())) == [], "plain HTTP gets no answer"
