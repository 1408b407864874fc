"""Lists: what a query finds, in pages; names, notes and tags of jobs; saved views."""

import pathlib
import re

import pytest
from test_jobs import SMALL, changed, submit

ROOT = pathlib.Path(__file__).parents[2]
TINY = changed(SMALL, training={"iterations": 0})


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
