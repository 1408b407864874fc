"""The OpenAPI document and the routes, held against each other; Prometheus' page; roles."""

import re
import subprocess

import pytest
from daemons import MODPROPD, ROOT
from test_jobs import SMALL, finish, submit


def routes():
    """(method, path) of the route table."""
    text = (ROOT / "server" / "routes" / "table.c").read_text()
    table = text[text.index("routes_listed[] = {") : text.index("const size_t routes_listed_count")]
    found = re.findall(r'\{\.name = "(\w+)",(?:\s+\.method = HTTP_(\w+),)?\s+\.path = "([^"]+)"', table)
    return {((method or "GET").lower(), path): name for name, method, path in found}


def test_document_describes_every_route(daemon):
    document = daemon.get("/openapi.json").json()
    described = {
        (method, path): operation["operationId"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert described == routes()
    assert document["openapi"] == "3.1.0"
    schemas = document["components"]["schemas"]
    for reference in re.findall(r'"#/components/schemas/(\w+)"', daemon.get("/openapi.json").text):
        assert reference in schemas
    for item in document["paths"].values():
        for operation in item.values():
            assert operation["summary"] and {"401", "403", "406", "500", "503"} <= set(operation["responses"])


def test_every_type_of_event_is_as_its_schema_says(daemon):
    schemas = daemon.get("/openapi.json").json()["components"]["schemas"]
    mapping = schemas["Event"]["discriminator"]["mapping"]
    job = finish(daemon, submit(daemon, SMALL))["id"]
    events = daemon.get(f"/v1/jobs/{job}/events?limit=1000").json()["events"]
    assert daemon.request("DELETE", f"/v1/jobs/{job}").status_code == 204
    events += daemon.get("/v1/events?limit=1000").json()["events"]
    assert {event["type"] for event in events} <= set(mapping)
    assert {"status", "progress", "checkpoint"} <= {event["type"] for event in events}
    kinds = {"integer": int, "string": str, "number": (int, float), "null": type(None), "object": dict}
    for event in events:
        schema = schemas[mapping[event["type"]].rsplit("/", 1)[1]]
        assert set(schema["required"]) <= set(event) and schema["properties"]["type"]["const"] == event["type"]
        for name, part in schema["properties"].items():
            if name in event and "type" in part:
                wanted = part["type"] if isinstance(part["type"], list) else [part["type"]]
                assert any(isinstance(event[name], kinds[kind]) for kind in wanted), (event, name)


def test_every_route_refuses_what_its_table_forbids(daemon):
    for method, path in routes():
        concrete = path.replace("{id}", "x").replace("{name}", "x")
        assert daemon.request(method, concrete, headers={"Accept": "image/png"}).status_code in (406, 404, 415), (
            method,
            path,
        )
        other = next(m for m in ("PATCH", "PUT") if (m.lower(), path) not in routes())
        answer = daemon.request(other, concrete)
        assert answer.status_code == 405 and method.upper() in answer.headers["Allow"]
        assert daemon.request(method, concrete, headers={"Origin": "http://evil.example"}).status_code == 403


def test_roles(start, tmp_path):
    file = tmp_path / "tokens"
    headers = {}
    for role in ("read", "submit", "admin"):
        made = subprocess.run(
            [MODPROPD, "token", role, role, "--token-file", str(file)], capture_output=True, text=True, check=True
        )
        headers[role] = {"Authorization": "Bearer " + made.stdout.strip()}
    daemon = start("--workers", "0", "--token-file", file)
    assert daemon.post("/v1/jobs", json=SMALL).status_code == 401
    answer = daemon.post("/v1/jobs", json=SMALL, headers=headers["read"])
    assert answer.status_code == 403 and "submit" in answer.json()["detail"]
    assert daemon.post("/v1/jobs:validate", json=SMALL, headers=headers["read"]).status_code == 200
    job = daemon.post("/v1/jobs", json=SMALL, headers=headers["submit"]).json()
    assert daemon.get(f"/v1/jobs/{job['id']}", headers=headers["read"]).status_code == 200
    assert daemon.post(f"/v1/jobs/{job['id']}/cancel", headers=headers["read"]).status_code == 403
    assert daemon.post(f"/v1/jobs/{job['id']}/cancel", headers=headers["submit"]).status_code == 200
    assert daemon.request("DELETE", f"/v1/jobs/{job['id']}", headers=headers["submit"]).status_code == 403
    assert daemon.request("DELETE", f"/v1/jobs/{job['id']}", headers=headers["admin"]).status_code == 204


def test_prometheus_page(daemon):
    finish(daemon, submit(daemon, SMALL))
    text = daemon.get("/metrics").text
    names = set()
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            names.add(line.split()[2])
        elif not line.startswith("#"):
            name, value = re.fullmatch(r"([a-z_]+)(?:\{[^}]*\})? (\S+)", line).groups()
            assert re.sub(r"_(bucket|sum|count)$", "", name) in names or name in names, line
            float(value)
    assert 'modprop_jobs{status="succeeded"} 1' in text and "modprop_store_commits_total" in names


def test_every_json_answer_ends_in_one_line_break(daemon):
    """Also errors, answers that lanes make, and compressed ones: a prompt of a terminal comes on a line of its own."""
    job = finish(daemon, submit(daemon, SMALL))["id"]
    body = {"trials": 1, "units": [0], "every": 60}
    answers = [
        daemon.get(path.replace("{id}", job), headers={"Accept": "application/json"})
        for path, item in daemon.get("/openapi.json").json()["paths"].items()
        if "application/json" in item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        and ("{" not in path or "{id}" in path)
    ]
    assert len(answers) > 12
    answers += [
        daemon.post(f"/v1/jobs/{job}/simulate", json=body),
        daemon.post("/v1/jobs:validate", json=SMALL),
        daemon.post("/v1/jobs", json={"task": 3}),
        daemon.post("/v1/jobs", data="{", headers={"Content-Type": "application/json"}),
        daemon.post(f"/v1/jobs/{job}/retry"),
        daemon.get("/v1/jobs/none"),
        daemon.get("/v1/jobs?limit=many"),
        daemon.get("/nothing"),
        daemon.request("PATCH", "/v1/tasks"),
        daemon.get("/v1/tasks", headers={"Accept-Encoding": "gzip"}),
    ]
    for answer in answers:
        assert answer.text.endswith("}\n") and answer.text.count("\n") == 1, (answer.request.url, answer.text[-200:])
        if "Content-Encoding" not in answer.headers:
            assert int(answer.headers["Content-Length"]) == len(answer.content)
    weights = daemon.get(f"/v1/jobs/{job}/weights")
    tag = {"If-None-Match": weights.headers["ETag"]}
    unchanged = daemon.get(f"/v1/jobs/{job}/weights", headers=tag)
    assert unchanged.status_code == 304 and unchanged.content == b""
    head = daemon.request("HEAD", f"/v1/jobs/{job}/weights")
    assert head.headers["Content-Length"] == weights.headers["Content-Length"]


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/rules", "/openapi.json"])
def test_large_answers_are_compressed_where_asked(daemon, path):
    plain = daemon.get(path, headers={"Accept-Encoding": "identity"})
    packed = daemon.get(path, headers={"Accept-Encoding": "gzip"})
    assert (
        packed.headers["Content-Encoding"] == "gzip" and int(packed.headers["Content-Length"]) < len(plain.content) / 3
    )
    assert packed.json() == plain.json() and "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in daemon.get(path, headers={"Accept-Encoding": "gzip;q=0"}).headers


def test_what_must_be_given_is_required_by_the_schema(daemon):
    schema = daemon.get("/openapi.json").json()["components"]["schemas"]["JobSubmission"]
    for section in ("task", "rule", "optimizer"):
        one = schema["properties"][section]
        for variant in one.get("oneOf") or one["anyOf"]:
            if variant.get("type") != "object":
                continue
            job = {"task": {"type": "delayed_xor"}} | {section: {"type": variant["title"]}}
            faults = daemon.post("/v1/jobs:validate", json=job).json().get("errors", [])
            missing = {fault["pointer"] for fault in faults if fault["detail"] == "is required"}
            required = set(variant.get("required", [])) - {"type"}
            assert missing == {f"/{section}/{name}" for name in required}, (section, variant["title"])
