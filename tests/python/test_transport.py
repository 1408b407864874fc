"""Errors, retries, reconnection: against servers that misbehave as the test says."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from modprop import (
    AsyncClient,
    BadAnswer,
    Client,
    Conflict,
    InvalidRequest,
    JobFailed,
    NotAllowed,
    NotFound,
    ServerUnreachable,
    Unavailable,
    _calls,
)
from modprop._base import JobView
from scripted import Script, hang, reply, stream, vanish

JOB = {"id": "j1", "status": "running", "seed": 1, "name": None, "training": {"iterations": 100}}
ENDED = JOB | {"status": "succeeded"}


def line(id, type="progress", **fields):
    return json.dumps({"id": id, "job": "j1", "seq": id + 40, "type": type, **fields}).encode() + b"\n"


def progress(id):
    return line(id, iteration=20 * (id - 1), loss=1 / id, accuracy=0.5)


END = line(9, "status", status="succeeded")


def test_a_problem_document_names_every_field(script):
    problem = {
        "type": "about:blank", "title": "Unprocessable Content", "status": 422, "detail": "2 fields are not valid",
        "errors": [
            {"pointer": "/rule/mu", "detail": 'must be a number from 0 to 1; got "high"'},
            {"pointer": "/network/unit", "detail": 'is not known; did you mean "units"?'},
        ],
    }  # fmt: skip
    script.answers["/v1/jobs"] = [reply(422, problem, kind="application/problem+json")]
    with Client(script.url) as client, pytest.raises(InvalidRequest) as caught:
        client.train()
    text = str(caught.value)
    assert (
        "422" in text
        and '/rule/mu must be a number from 0 to 1; got "high"' in text
        and '/network/unit is not known; did you mean "units"?' in text
    )
    assert [error.pointer for error in caught.value.errors] == ["/rule/mu", "/network/unit"]
    assert len(script.requests) == 1, "a refusal is not asked again"


@pytest.mark.parametrize(
    "status, kind", [(400, InvalidRequest), (401, NotAllowed), (403, NotAllowed), (404, NotFound), (409, Conflict)]
)
def test_each_refusal_has_its_exception(script, status, kind):
    script.answers["/v1/jobs/j1"] = [reply(status, {"title": "T", "detail": "D"})]
    with Client(script.url) as client, pytest.raises(kind, match=f"{status} T: D"):
        client.job("j1")


def test_a_proxys_page_is_told_as_it_is(script):
    script.answers["/version"] = [reply(500, b"<h1>oh no</h1>", kind="text/html")]
    with Client(script.url) as client, pytest.raises(Exception, match="500.*oh no"):
        client.version()


def test_an_answer_that_is_no_modpropds(script):
    script.answers["/v1/jobs/j1"] = [reply(200, b"hello", kind="text/html")]
    with Client(script.url) as client, pytest.raises(BadAnswer, match="/v1/jobs/j1"):
        client.job("j1")


def test_nobody_there_is_said_at_once():
    with (
        Client("http://127.0.0.1:9", patience=60) as client,
        pytest.raises(
            ServerUnreachable, match=r"127.0.0.1:9.*modpropd running there\? \(modpropd --data DIR starts one\)"
        ),
    ):
        client.version()


def test_a_lost_answer_is_asked_for_again_with_the_same_key(script):
    script.answers["/version"] = [reply(200, {})]
    script.answers["/v1/jobs"] = [vanish, vanish, reply(201, JOB)]
    with Client(script.url) as client:
        client.version()
        assert client.train().id == "j1"
    keys = script.headers("/v1/jobs", "Idempotency-Key")
    assert len(keys) == 3 and len(set(keys)) == 1 and keys[0]


def test_a_delete_whose_answer_was_lost_has_succeeded(script):
    script.answers["/v1/jobs/j1"] = [reply(200, ENDED), vanish, reply(404, {"title": "Not Found"})]
    with Client(script.url) as client:
        client.job("j1").delete()
        with pytest.raises(NotFound):
            client.job("j1")


def test_a_full_queue_is_waited_for_as_the_server_asks(script):
    script.answers["/v1/jobs"] = [reply(429, {"title": "Too Many Requests"}, Retry_After="0"), reply(201, JOB)]
    with Client(script.url) as client:
        assert client.train().id == "j1"


def test_patience_ends(script):
    script.answers["/v1/jobs"] = [reply(429, {"title": "Too Many Requests"}, Retry_After="60")]
    with Client(script.url, patience=1) as client, pytest.raises(Unavailable) as caught:
        client.train()
    assert caught.value.retry_after == 60


def prepare_broken_stream(script):
    """Cut in a line, cut between lines, a refusal while the server starts, an event twice, heartbeats, a line separator
    inside an event."""
    script.answers["/v1/jobs/j1"] = [reply(200, JOB), reply(200, ENDED)]
    script.answers["/v1/jobs/j1/events"] = [
        stream(line(1, "status", status="queued"), b"\n", progress(2), progress(3)[:20], cut=True),
        reply(503, {"title": "Service Unavailable"}, Retry_After="0"),
        stream(progress(2), progress(3), cut=True),
        vanish,
        stream(b"\n\n" + line(4, "log", message="a\u2028b") + progress(5)[:11], progress(5)[11:] + END),
    ]


def check_broken_stream(script, ids):
    assert ids == [1, 2, 3, 4, 5, 9]
    assert script.headers("/v1/jobs/j1/events", "Last-Event-ID") == ["0", "2", "2", "3", "3"]


def test_events_arrive_once_each_whatever_happens_to_the_stream(script):
    prepare_broken_stream(script)
    with Client(script.url) as client:
        check_broken_stream(script, [event["id"] for event in client.job("j1").events()])


def test_events_arrive_once_each_asynchronously_too(script):
    prepare_broken_stream(script)

    async def follow():
        async with AsyncClient(script.url) as client:
            job = await client.job("j1")
            return [event["id"] async for event in job.events()]

    check_broken_stream(script, asyncio.run(follow()))


def test_a_stream_that_ends_at_once_is_not_asked_for_without_pause(script):
    """A proxy that answers every stream with nothing must not be hammered, and not be waited for without end."""
    script.answers["/v1/jobs/j1"] = [reply(200, JOB)]
    script.answers["/v1/jobs/j1/events"] = [stream()]
    with (
        Client(script.url, patience=1) as client,
        pytest.raises(ServerUnreachable, match="the stream ended before the job did"),
    ):
        list(client.job("j1").events())

    async def follow():
        async with AsyncClient(script.url, patience=1) as client:
            [_ async for _ in (await client.job("j1")).events()]

    with pytest.raises(ServerUnreachable):
        asyncio.run(follow())
    assert 2 <= len(script.headers("/v1/jobs/j1/events", "Accept")) <= 30


def quiet_streams(script):
    """A live server whose stream says nothing for longer than the client waits for a byte, three times over."""
    script.answers["/v1/jobs/j1"] = [reply(200, JOB), reply(200, ENDED)]
    script.answers["/v1/jobs/j1/events"] = [hang(), hang(), hang(progress(2)), stream(progress(2), END)]


def test_a_quiet_stream_of_a_live_server_is_followed_beyond_patience(script, monkeypatch):
    monkeypatch.setattr(_calls, "STREAM_SILENCE_SECONDS", 0.3)
    quiet_streams(script)
    with Client(script.url, patience=0.1) as client:
        assert [event["id"] for event in client.job("j1").events()] == [2, 9]

    async def follow():
        async with AsyncClient(script.url, patience=0.1) as client:
            return [event["id"] async for event in (await client.job("j1")).events()]

    quiet_streams(script)
    assert asyncio.run(follow()) == [2, 9]


def test_waiting_is_bounded_on_a_quiet_stream_too(script):
    pytest.importorskip("tqdm")
    script.answers["/v1/jobs/j1"] = [reply(200, JOB)]
    script.answers["/v1/jobs/j1/events"] = [hang()]
    with Client(script.url) as client, pytest.raises(TimeoutError, match="still running after 0.5 s"):
        client.job("j1").wait(0.5, progress=True)


def test_waiting_for_what_has_ended_needs_no_time(script):
    """The client last heard that the job runs; it has ended since."""

    async def wait():
        async with AsyncClient(script.url) as client:
            return await (await client.job("j1")).wait(timeout=0)

    script.answers["/v1/jobs/j1"] = [reply(200, JOB), reply(200, ENDED)]
    with Client(script.url) as client:
        assert client.job("j1").wait(timeout=0).status == "succeeded"
    script.answers["/v1/jobs/j1"] = [reply(200, JOB), reply(200, ENDED)]
    assert asyncio.run(wait()).status == "succeeded"
    script.answers["/v1/jobs/j1"] = [reply(200, JOB)]
    with Client(script.url) as client, pytest.raises(TimeoutError, match="still running after 0 s"):
        client.job("j1").wait(timeout=0)


IDS = [f"0198abcd-{n:04x}-7000-8000-000000000000" for n in range(300, 0, -1)]  # newest first


def prepare_list(script):
    pages = [
        {"jobs": [JOB | {"id": id} for id in IDS[start : start + 100]], "next": f"c{start}" if start < 200 else None}
        for start in (0, 100, 200)
    ]

    def page(handler):
        after = handler.path.partition("after=c")[2]
        reply(200, pages[int(after) // 100 + 1 if after else 0])(handler)

    script.answers["/v1/jobs"] = [page]
    for id in IDS:
        script.answers[f"/v1/jobs/{id}"] = [reply(200, JOB | {"id": id})]


@pytest.mark.parametrize("word, index", [("0198abcd-0001", 299), ("0198ABCD-012c", 0), ("latest", 0), (IDS[5], 5)])
def test_a_job_is_found_by_the_beginning_of_its_id(script, word, index):
    prepare_list(script)
    with Client(script.url) as client:
        assert client.job(word).id == IDS[index]

    async def find():
        async with AsyncClient(script.url) as client:
            return (await client.job(word)).id

    assert asyncio.run(find()) == IDS[index]


def test_a_beginning_that_fits_several_jobs_or_none(script):
    prepare_list(script)
    script.answers["/v1/jobs/0197"] = [reply(404, {"title": "Not Found"})]
    with Client(script.url) as client:
        with pytest.raises(ValueError, match="more than one job begins with '0198': 0198abcd-012c"):
            client.job("0198")
        with pytest.raises(NotFound):
            client.job("0197")


def test_a_field_beside_its_section_is_named(script):
    with Client(script.url) as client:
        for name, meant in (
            ("iterations", "training={'iterations': ...}"),
            ("learning_rate", "optimizer={'learning_rate': ...}"),
            ("mu", "rule={'type': ..., 'mu': ...}"),
        ):
            with pytest.raises(TypeError, match=re.escape(f"argument {name!r}; did you mean {meant}?")):
                client.train(**{name: 3})
        with pytest.raises(TypeError, match="argument 'nothing'$"):
            client.train(nothing=3)
    assert script.requests == []


def test_a_queue_is_not_waited_for_in_silence(script, caplog):
    queued = JOB | {"status": "queued", "queue_position": 18, "name": "first", "rule": {"type": "modprop"}}
    script.answers["/v1/jobs/j1"] = [reply(200, queued), reply(200, ENDED)]
    script.answers["/v1/jobs/j1/events"] = [stream(END)]
    with Client(script.url) as client:
        job = client.job("j1")
        assert job._label() == "first"
        assert list(job) == []
    assert caplog.messages == ["job first is queued, 18 ahead"]
    assert JobView(queued | {"name": None})._label() == "modprop, seed 1"


def test_what_became_of_a_job_is_shown(script):
    script.answers["/v1/jobs/j1"] = [reply(200, ENDED | {"outcome": "diverged"})]
    with Client(script.url) as client:
        job = client.job("j1")
    assert job.outcome == "diverged" and "succeeded (diverged)" in repr(job)


def test_nan_is_named_before_anything_is_sent(script):
    with Client(script.url) as client:
        with pytest.raises(ValueError, match="/rule/mu must be a finite number; got nan"):
            client.train(rule={"type": "modprop", "mu": float("nan")})
        with pytest.raises(ValueError, match="/inputs/0/1 must be a finite number"):
            client.gradients({}, [[1.0, float("inf")]], [], ["bptt"])
    assert script.requests == []


def test_a_job_is_iterated_for_its_progress(script):
    prepare_broken_stream(script)
    with Client(script.url) as client:
        job = client.job("j1")
        seen = list(job)
    assert [(p.iteration, p.loss, p.fraction) for p in seen] == [(20, 1 / 2, 0.2), (40, 1 / 3, 0.4), (80, 1 / 5, 0.8)]
    assert job.status == "succeeded"


def test_iteration_ends_with_the_failure(script):
    failed = JOB | {
        "status": "failed",
        "error": {"code": "diverged", "detail": "the loss was not finite at iteration 40"},
    }
    script.answers["/v1/jobs/j1"] = [reply(200, JOB), reply(200, failed)]
    script.answers["/v1/jobs/j1/events"] = [stream(progress(2), line(3, "status", status="failed"))]
    with Client(script.url) as client, pytest.raises(JobFailed, match="not finite at iteration 40") as caught:
        for _ in client.job("j1"):
            pass
    assert caught.value.code == "diverged"


def test_following_what_has_ended_ends_at_once(script):
    script.answers["/v1/jobs/j1"] = [reply(200, ENDED)]
    script.answers["/v1/jobs/j1/events"] = [reply(204)]
    with Client(script.url) as client:
        assert list(client.job("j1").events(after=9)) == []


def test_a_stream_that_is_no_stream(script):
    script.answers["/v1/jobs/j1"] = [reply(200, JOB)]
    script.answers["/v1/jobs/j1/events"] = [stream(b"<html>\n")]
    with Client(script.url) as client, pytest.raises(BadAnswer, match="not an event"):
        list(client.job("j1").events())


def test_the_stream_of_all_jobs_goes_on_by_sequence(script):
    script.answers["/v1/events"] = [
        stream(progress(2), END, cut=True),
        stream(progress(9), line(10, "deleted"), cut=True),
    ]
    with Client(script.url) as client:
        events = client.events()
        assert [next(events)["seq"] for _ in range(3)] == [42, 49, 50]
        events.close()
    assert script.headers("/v1/events", "Last-Event-ID") == [None, "49"]


def test_pages_of_a_listing_are_read_to_the_end(script):
    jobs = [JOB | {"id": f"j{n}", "metadata": {"key": n, "lab": "x"}} for n in range(3)]
    script.answers["/v1/jobs"] = [
        reply(200, {"jobs": jobs[:2], "next": "cursor"}),
        reply(200, {"jobs": jobs[2:], "next": None}),
    ]
    with Client(script.url) as client:
        assert [job.id for job in client.jobs(status="running", metadata={"lab": "x"})] == ["j0", "j1", "j2"]
    paths = [path for _, path, _, _ in script.requests]
    assert "status=running" in paths[0] and "after=cursor" in paths[1] and "status=running" in paths[1]


def test_metadata_choose_jobs(script):
    jobs = [JOB | {"id": f"j{n}", "metadata": {"key": n}} for n in range(3)]
    script.answers["/v1/jobs"] = [reply(200, {"jobs": jobs, "next": None})]
    with Client(script.url) as client:
        assert [job.id for job in client.jobs(metadata={"key": 1})] == ["j1"]


def test_a_token_travels_as_a_bearer(script):
    script.answers["/version"] = [reply(200, {})]
    with Client(script.url, token="secret") as client:
        client.version()
    assert script.headers("/version", "Authorization") == ["Bearer secret"]
    with pytest.raises(ValueError, match="line break"):
        Client(script.url, token="secret\n")


def test_settings_come_from_the_environment(script, monkeypatch):
    script.answers["/version"] = [reply(200, {})]
    monkeypatch.setenv("MODPROP_SERVER", script.url)
    monkeypatch.setenv("MODPROP_TOKEN", "other")
    with Client() as client:
        client.version()
    assert script.headers("/version", "Authorization") == ["Bearer other"]
    with Client(script.url.removeprefix("http://")) as client:
        assert client.server == script.url and repr(client) == f"<Client {script.url}>"
    for wrong in ("ftp://127.0.0.1", "http://", "http://user:secret@host", "a b"):
        with pytest.raises(ValueError, match="must be an address such as"):
            Client(wrong)


def test_settings_come_from_the_command_lines_file(script, monkeypatch, tmp_path):
    """The same file, the same precedence; a token of the file goes to its server only."""
    home = tmp_path / "config"
    (home / "modprop").mkdir(parents=True)
    file = home / "modprop" / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    (tmp_path / "token").write_text("from-a-file\n")
    file.write_text(f"# ours\n\nserver = {script.url}/\ntoken-file = {tmp_path}/token\n")
    other = Script()
    try:
        for server, sent in ((script, "Bearer from-a-file"), (other, None)):
            server.answers["/version"] = [reply(200, {})] * 2
            with Client(None if server is script else server.url) as client:
                client.version()
            assert server.headers("/version", "Authorization") == [sent]
        monkeypatch.setenv("MODPROP_TOKEN_FILE", str(tmp_path / "token"))
        with Client(other.url) as client:
            client.version()
        assert other.headers("/version", "Authorization")[-1] == "Bearer from-a-file"
    finally:
        other.close()
    monkeypatch.setenv("MODPROP_SERVER", "http://127.0.0.1:9")
    assert Client().server == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("server", ":1 must read"),
        ("\nserver =\n", ":2: server must not be empty"),
        ("sever = x", "there is no setting 'sever'; there are server, token, token_file, ca_file"),
        ("server = ftp://x", "must be an address such as"),
        ("token = a b", "printable ASCII"),
        ("server = http://x:port", "must be an address such as"),
        ("server = http://x:70000", "must be an address such as"),
        ('token = ""', "config:1: token must not be empty"),
        ('token = "a', "a value that begins with a double quote must end with the next one"),
        ("server = x\0", "config must be text; it holds a zero byte"),
        (b"\xff\xfes\0", "must be text in UTF-8; it begins as UTF-16 does"),
        (b"server = \xe9", "must be text in UTF-8; byte 9 is not"),
        ("token = a:b", "a client needs the token itself"),
    ],
)
def test_a_bad_file_of_settings(monkeypatch, tmp_path, text, sentence):
    (tmp_path / "config").write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.setenv("MODPROP_CONFIG", str(tmp_path / "config"))
    with pytest.raises(ValueError, match=sentence):
        Client()
    monkeypatch.setenv("MODPROP_CONFIG", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        Client()


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfserver = URL",
        b"server = URL   \t\r\n",
        b"server = URL # the lab's",
        b"server = URL\t# the lab's",
        b"  # server\n\n server=URL",
        b'server = "URL"  # quoted',
    ],
)
def test_settings_are_read_as_the_command_line_reads_them(monkeypatch, tmp_path, text):
    (tmp_path / "config").write_bytes(text.replace(b"URL", b"http://127.0.0.1:9/a#b".partition(b"#")[0]))
    (tmp_path / "token").write_bytes(b"\xef\xbb\xbf secret \r\n")
    monkeypatch.setenv("MODPROP_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MODPROP_TOKEN_FILE", str(tmp_path / "token"))
    with Client() as client:
        assert client.server == "http://127.0.0.1:9/a" and client._settings.headers["Authorization"] == "Bearer secret"


def test_a_hash_inside_a_value_is_part_of_it(monkeypatch, tmp_path):
    monkeypatch.setenv("MODPROP_CONFIG", str(tmp_path / "config"))
    for text, token in (("token = a#b", "a#b"), ('token = "a#b" # c', "a#b"), ("token = a#b #c", "a#b")):
        (tmp_path / "config").write_text(text)
        with Client() as client:
            assert client._settings.headers["Authorization"] == f"Bearer {token}"


def test_a_proxy_has_no_part_in_talking_to_this_machine(script, monkeypatch):
    script.answers["/version"] = [reply(200, {"name": "modpropd"})]
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Client(script.url) as client:
        assert client.version() == {"name": "modpropd"}


def test_a_file_of_certificates_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("MODPROP_CA_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(OSError):
        Client("https://127.0.0.1:9")
    Client("https://127.0.0.1:9", verify=False).close()
