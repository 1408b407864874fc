"""Lists: what a query finds, in pages; names, notes and tags of jobs; saved views."""

import pathlib
import re
import sqlite3
import subprocess

import pytest
from daemons import MODPROPD
from test_jobs import SMALL, changed, finish, submit

ROOT = pathlib.Path(__file__).parents[2]
TINY = changed(SMALL, training={"iterations": 2})


def found(daemon, query, path="/v1/jobs", **parameters):
    """What a query finds, by the jobs' notes, oldest first."""
    answer = daemon.get(path, params={"q": query, "limit": 100, **parameters})
    assert answer.status_code == 200, answer.text
    return [one["notes"] for one in reversed(answer.json()[path.rsplit("/", 1)[1]])]


def faults(daemon, query, path="/v1/jobs"):
    answer = daemon.get(path, params={"q": query})
    assert answer.status_code == 422, answer.text
    return [(error["pointer"], error["detail"]) for error in answer.json()["errors"]]


@pytest.fixture
def some(start):
    """Four jobs that differ in what can be searched."""
    daemon = start("--workers", "0")
    bptt = changed(SMALL, rule={"type": "bptt"}, notes="a", tags=["paper", "fig 2"], seed=3, name="First try")
    submit(daemon, bptt)
    submit(daemon, changed(SMALL, notes="b", seed=4, name="second try", metadata={"lab": "x", "deep": {"n": 1.5}}))
    submit(daemon, changed(SMALL, rule={"type": "eprop"}, notes="c", seed=5, tags=["Paper"], priority=2))
    cancelled = submit(daemon, changed(bptt, notes="d", seed=6, name=None, metadata={"lab": "y"}))
    daemon.post(f"/v1/jobs/{cancelled['id']}/cancel")
    return daemon


FINDS = [
    ("try", "ab"),
    ("-try", "cd"),
    ("delayed", "cd"),  # a job without a name is found by its task
    ('"first try"', "a"),
    ("rule:bptt,eprop", "acd"),
    ("rule:bptt -status:cancelled", "a"),
    ("rule:BPTT status:Cancelled", "d"),
    ("task:Delayed_XOR name:*TRY", "ab"),
    ("status:active", "abc"),
    ("seed:4..5", "bc"),
    ("seed>=5 priority:0", "d"),
    ("tag:paper", "acd"),
    ('tag:"fig 2",nothing', "ad"),
    ("meta.lab=x", "b"),
    ("meta.lab:*", "bd"),
    ("meta.deep.n<2", "b"),
    ("meta.lab:none", "ac"),
    ("network.units:20 task.delay:40", "abcd"),
    ("rule.type:bptt", "ad"),
    ("loss:none", "abcd"),
    ("created>2020 finished:none", "abc"),
    ("notes!=a", "bcd"),
    ("owner:127.*", "abcd"),
]


def test_jobs_are_found(some):
    for query, wanted in FINDS:
        assert "".join(found(some, query)) == wanted, query


def test_faults_name_the_place_and_the_nearest_field(some):
    assert faults(some, "lossy<1 rule:eprob") == [
        ("/q", 'at character 1: there is no field "lossy"; did you mean "loss"?'),
        ("/q", 'at character 14: "eprob" is no rule; did you mean "eprop"?'),
    ]
    assert "a range such as 1..5" in faults(some, "seed:x")[0][1]
    assert faults(some, "loss<", "/v1/experiments") != []
    assert "at most 1023 bytes" in faults(some, "x" * 1024)[0][1]
    assert found(some, "x" * 1023) == []


def test_parameters_and_the_query_hold_together(some):
    assert found(some, "paper", rule="bptt") == []
    assert found(some, "tag:paper", rule="bptt", status="queued") == ["a"]
    answer = some.get("/v1/jobs?rule=bpttt")
    assert answer.json()["errors"] == [{"pointer": "/rule", "detail": '"bpttt" is no rule; did you mean "bptt"?'}]


def test_pages_go_on_where_they_end(some):
    names, after = [], None
    while True:
        page = some.get("/v1/jobs", params={"q": "tag:paper", "limit": 1, **({"after": after} if after else {})}).json()
        names += [job["notes"] for job in page["jobs"]]
        assert page["scanned"] <= 1 and page["bounded"] is False
        after = page["next"]
        if after is None:
            break
    assert names == ["d", "c", "a"]


def test_experiments_are_found(start):
    daemon = start("--workers", "0")
    for name, rule in (("first hop", "bptt"), ("second hop", "eprop")):
        base = changed(SMALL, rule={"type": rule})
        body = {"name": name, "notes": name, "tags": [rule], "base": base, "seeds": [1, 2, 3]}
        assert daemon.post("/v1/experiments", json=body).status_code == 201
    for query, wanted in (
        ("hop", 2),
        ("first", 1),
        ("tag:eprop", 1),
        ("status:active trials:3", 2),
        ("rule:bptt", 1),
        ("rule.type:eprop points<2", 1),
        ("created<2020", 0),
        ("task:delayed_xor -first", 1),
    ):
        assert len(found(daemon, query, "/v1/experiments")) == wanted, query


def test_the_guide_has_every_field_and_its_examples_are_sound(some):
    guide = (ROOT / "server" / "QUERIES.md").read_text()
    parameters = some.get("/openapi.json").json()["paths"]["/v1/jobs"]["get"]["parameters"]
    text = next(p["schema"]["description"] for p in parameters if p["name"] == "q")
    fields = re.findall(r"^- ([a-z]+): ", text, re.M)
    assert len(fields) > 25
    for field in fields:
        assert f"| `{field}` |" in guide, field
    examples = re.findall(r"^\| `([^`]+)` \| (?:jobs|experiments) ", guide, re.M)
    assert len(examples) > 15
    for example in examples:
        assert some.get("/v1/jobs", params={"q": example.replace("\\|", "|")}).status_code == 200, example


# ---- names, notes and tags ----


def patch(daemon, job, status=200, **caption):
    answer = daemon.request("PATCH", f"/v1/jobs/{job['id']}", json=caption)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_job_is_named_at_submission_and_later(start):
    daemon = start("--workers", "1")
    job = submit(daemon, changed(TINY, name="one", notes="two\nlines", tags=["a", "b c"]))
    assert (job["name"], job["notes"], job["tags"]) == ("one", "two\nlines", ["a", "b c"])
    job = daemon.get(f"/v1/jobs/{job['id']}?wait=300", timeout=310).json()
    before = daemon.get(f"/v1/jobs/{job['id']}/manifest").json(), daemon.get(f"/v1/jobs/{job['id']}/events").json()
    renamed = patch(daemon, job, name="other", tags=["c"])
    assert (renamed["name"], renamed["notes"], renamed["tags"]) == ("other", "two\nlines", ["c"])
    assert patch(daemon, job, notes=None, name=None)["notes"] == ""
    assert patch(daemon, job)["name"] is None
    after = daemon.get(f"/v1/jobs/{job['id']}/manifest").json(), daemon.get(f"/v1/jobs/{job['id']}/events").json()
    assert after == before  # what people call it is no part of what was computed
    assert renamed["config_sha256"] == job["config_sha256"]
    assert found(daemon, "tag:c") == [""] and found(daemon, "tag:a") == []
    again = submit(daemon, changed(TINY, name="two", notes="x"))
    assert again["config_sha256"] == job["config_sha256"]


def test_the_stream_of_all_jobs_says_so(start):
    daemon = start("--workers", "0")
    job = submit(daemon, TINY)
    for name in ("one", "two"):
        patch(daemon, job, name=name)
    events = daemon.get("/v1/events").json()["events"]
    assert [(event["type"], event["id"]) for event in events] == [("status", 1), ("changed", 0)]  # the newest alone
    assert events[1]["job"] == job["id"] and events[1]["seq"] == 3
    daemon.post(f"/v1/jobs/{job['id']}/cancel")
    assert [event["type"] for event in daemon.get(f"/v1/jobs/{job['id']}/events").json()["events"]] == [
        "status",
        "status",
    ]
    assert delete(daemon, f"/v1/jobs/{job['id']}").status_code == 204
    patch(daemon, job, 404, name="three")


def test_a_name_that_was_stored_with_control_characters_stays_readable(start):
    daemon = start("--workers", "0")
    job = submit(daemon, changed(TINY, name="once"))
    assert daemon.stop() == 0
    with sqlite3.connect(daemon.data / "modprop.db") as database:
        changes = database.execute(
            "UPDATE jobs SET name=?, document=replace(document, '\"once\"', '\"on\\u0001ce\"')", ("on\u0001ce",)
        )
        assert changes.rowcount == 1
    database.close()
    daemon = start("--workers", "1", data=daemon.data)
    assert finish(daemon, job)["status"] == "succeeded"
    assert daemon.get(f"/v1/jobs/{job['id']}").json()["name"] == "on\u0001ce"


def test_captions_are_bounded(start):
    daemon = start("--workers", "0")
    job = submit(daemon, TINY)
    faults_of = {
        "/name": {"name": "x" * 201},
        "/name ": {"name": "two\nlines"},
        "/name  ": {"name": "a\u0001"},
        "/name   ": {"name": "a\u007f"},
        "/notes": {"notes": "x" * 4097},
        "/tags": {"tags": [str(i) for i in range(33)]},
        "/tags/1": {"tags": ["paper", "PAPER"]},
        "/tags/0": {"tags": [""]},
        "/nmae": {"nmae": "x"},
    }
    for pointer, caption in faults_of.items():
        assert [error["pointer"] for error in patch(daemon, job, 422, **caption)["errors"]] == [pointer.strip()]
    for caption in ({"tags": ["a\n"]}, {"tags": ["x" * 64]}, {"tags": [1]}, {"tags": "a"}, {"notes": "\u0007"}):
        patch(daemon, job, 422, **caption)
        assert daemon.post("/v1/jobs", json=TINY | caption).status_code == 422
    most = {"name": "x" * 200, "notes": "x" * 4096, "tags": [f"{i:063}" for i in range(32)]}
    assert patch(daemon, job, **most)["tags"] == most["tags"]


def test_captions_survive_a_restart_and_verify(start, tmp_path):
    data = tmp_path / "data"
    daemon = start("--workers", "1", data=data)
    job = submit(daemon, changed(TINY, tags=["a"]))
    daemon.get(f"/v1/jobs/{job['id']}?wait=300", timeout=310)
    patch(daemon, job, name="kept", tags=["b"])
    daemon.stop()
    verified = subprocess.run([MODPROPD, "verify", "--data", data], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    daemon = start("--workers", "0", data=data)
    assert [one["name"] for one in daemon.get("/v1/jobs?q=tag:b").json()["jobs"]] == ["kept"]


# ---- views ----


def put(daemon, path, **options):
    return daemon.request("PUT", path, **options)


def delete(daemon, path):
    return daemon.request("DELETE", path)


def test_views(start):
    daemon = start("--workers", "0")
    view = {"of": "jobs", "q": "rule:eprop loss<0.1", "sort": "-loss", "columns": ["name", "meta.lab", "loss"]}
    answer = put(daemon, "/v1/views/good", json=view)
    assert answer.status_code == 200, answer.text
    kept = answer.json()
    assert {key: kept[key] for key in view} == view and kept["name"] == "good"
    assert put(daemon, "/v1/views/all", json={}).json()["q"] == ""
    assert [one["name"] for one in daemon.get("/v1/views").json()["views"]] == ["all", "good"]
    assert daemon.get("/v1/views/good").json() == kept
    assert (
        put(daemon, "/v1/views/good", json=view | {"of": "experiments", "q": "points>3"}).json()["of"] == "experiments"
    )
    for wrong in (
        {"q": "lossy<1"},
        {"q": "points>3"},  # of experiments
        {"q": 3},
        {"of": "datasets"},
        {"sort": "a b"},
        {"columns": ["a", "a"]},
        {"columns": ["a"] * 33},
        {"colums": []},
    ):
        answer = put(daemon, "/v1/views/bad", json=wrong)
        assert answer.status_code == 422 and answer.json()["errors"], wrong
    assert put(daemon, "/v1/views/.bad", json={}).status_code == 422
    assert daemon.get("/v1/views/bad").status_code == 404
    assert delete(daemon, "/v1/views/good").status_code == 204
    assert delete(daemon, "/v1/views/good").status_code == 404


def test_views_are_durable_and_bounded(start, tmp_path):
    data = tmp_path / "data"
    daemon = start("--workers", "0", data=data)
    for i in range(200):
        assert put(daemon, f"/v1/views/v{i}", json={}).status_code == 200
    assert put(daemon, "/v1/views/more", json={}).status_code == 507
    assert put(daemon, "/v1/views/v7", json={"q": "seed:7"}).status_code == 200
    daemon.kill()
    daemon = start("--workers", "0", data=data)
    assert daemon.get("/v1/views/v7").json()["q"] == "seed:7"
    assert len(daemon.get("/v1/views").json()["views"]) == 200


# ---- comparing what a query finds ----


def compared(daemon, status=200, **body):
    answer = daemon.post("/v1/compare", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_what_a_query_finds_is_compared(start):
    daemon = start("--workers", "2")
    made = []
    for rule in ("bptt", "eprop"):
        for seed in (1, 2, 3):
            job = changed(TINY, rule={"type": rule}, seed=seed, tags=["set"], metadata={"lab": "xy"[seed % 2]})
            made.append(submit(daemon, job)["id"])
    again = submit(daemon, changed(TINY, rule={"type": "bptt"}, seed=1, tags=["set"]))["id"]
    failed = submit(daemon, changed(TINY, rule={"type": "bptt"}, seed=2, tags=["set"], priority=-9))["id"]
    daemon.post(f"/v1/jobs/{failed}/cancel")
    for id in [*made, again, failed]:
        daemon.get(f"/v1/jobs/{id}?wait=300", timeout=310)
    listed = compared(daemon, jobs=made)
    queried = compared(daemon, q="tag:set")
    assert [point["label"] for point in queried["points"]] == ["bptt", "eprop"]
    trials = {(trial["point"], trial["seed"]): trial["job"] for trial in queried["trials"]}
    assert len(trials) == len(queried["trials"]) == 6
    assert trials["0", 1] == again, "of equal jobs the newest that succeeded counts"
    assert queried["comparisons"] == listed["comparisons"]
    by = compared(daemon, q="tag:set rule:eprop", by=["rule", "meta.lab"])
    assert [point["label"] for point in by["points"]] == ["eprop, lab=y", "eprop, lab=x"]
    assert [trial["seed"] for trial in by["trials"]] == [1, 3, 2]
    assert sum(point["n"] for point in compared(daemon, q="")["points"]) == 6, "an empty query finds every job"
    one = compared(daemon, jobs=made, by=["task"], status=422)["errors"][0]
    assert one["pointer"] == "/by" and "have the seed 1 both" in one["detail"]
    for body, pointer in (
        ({"q": "tag:set", "jobs": made}, "/q"),
        ({"q": "lossy<1"}, "/q"),
        ({"q": "tag:set", "by": ["loss"]}, "/by/0"),
        ({"q": "tag:set", "by": ["rule", "rule.nu"]}, "/by/1"),
        ({"q": "tag:set", "by": ["rule:x meta.y"]}, "/by/0"),
        ({"q": "tag:set", "by": []}, "/by"),
        ({"q": 3}, "/q"),
        ({}, "/jobs"),
    ):
        assert [error["pointer"] for error in compared(daemon, 422, **body)["errors"]] == [pointer], body
    assert "it finds none" in compared(daemon, 422, q="tag:nothing")["errors"][0]["detail"]
