"""The served OpenAPI document is valid, and a daemon answers as it says.

Thousands of requests are made from it, good ones and bad: no 500, no status or shape that is not documented, no bad
value taken for a good one.

All checks of schemathesis but positive_data_acceptance: shapes that must fit one another and limits go beyond what a
schema can say. The seed is printed;
MODPROP_TEST_SEED repeats it. A short run each time; `sh tests/run --long` goes on until MODPROP_GENERATED (20000)
requests were made."""

import json
import os
import re
import subprocess
import sys

from daemons import ROOT, drawn_seed
from data import DATASET

SMALL = {
    "task": {"type": "delayed_xor", "delay": 10, "cue": 4},
    "network": {"units": 6},
    "training": {"iterations": 20, "checkpoint_every": 5},
}
WANTED = int(os.environ.get("MODPROP_GENERATED", "20000" if os.environ.get("MODPROP_LONG") else "1"))
EXAMPLES = 150 if WANTED > 5000 else 4  # of each operation, beyond those that cover each schema


def test_the_document_is_valid_openapi(start, tools):
    daemon = start("--workers", "0")
    answer = daemon.get("/openapi.json")
    assert answer.json()["openapi"].startswith("3.1.")
    judged = subprocess.run(
        [tools / "python", "-m", "openapi_spec_validator", "--errors", "all", "-"],
        input=answer.text,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


def experiment_of(daemon):
    """An experiment that goes on, so that it can be paused and resumed."""
    endless = SMALL | {"training": {"iterations": 10**9, "evaluate_every": 10**6}}
    made = daemon.post("/v1/experiments", json={"base": endless, "axes": [], "seeds": {"from": 1, "count": 2}})
    assert made.status_code == 201, made.text
    return made.json()["id"]


def spare_of(daemon):
    """Jobs that were cancelled before they ran, to be deleted."""
    made = [daemon.post("/v1/jobs", json=SMALL).json()["id"] for _ in range(5)]
    for job in made:
        assert daemon.post(f"/v1/jobs/{job}/cancel").status_code in (200, 409)
    return " ".join(made)


def lease_of(daemon):
    """A worker, and a job that it has: "ID SECRET", "JOB ATTEMPT"."""
    build = daemon.get("/version").json()["build"]
    facts = {"slots": 1, "cores": 1, "memory": 1 << 30, "isa": "avx2", "build": build}
    made = daemon.post("/v1/workers", json=facts).json()
    worker = f"{made['id']} {made['secret']}"
    asked = {"request_id": "first", "slots": 1, "memory": 1 << 30}
    path = f"/v1/workers/{made['id']}/leases?wait=60"
    (lease,) = daemon.post(path, json=asked, headers={"Modprop-Worker": worker}, timeout=70).json()["leases"]
    return worker, f"{lease['job']} {lease['attempt']}", build


def run_schemathesis(daemon, tools, job, seed, folder):
    """One run; the number of requests. Its report is printed where it found something."""
    command = [
        tools / "schemathesis",
        "run",
        daemon.url + "/openapi.json",
        "--checks",
        "all",
        "--exclude-checks",
        "positive_data_acceptance",
        "--request-timeout",
        "60",
        "--max-examples",
        str(EXAMPLES),
        "--seed",
        str(seed),
        "--no-color",
        "--suppress-health-check",
        "all",
    ]
    experiment = experiment_of(daemon)
    octets = {"Content-Type": "application/octet-stream"}
    assert daemon.request("PUT", "/v1/datasets/given", data=DATASET, headers=octets).ok
    worker, lease, build = lease_of(daemon)
    environment = os.environ | {
        "MODPROP_TEST_WORKER": worker,
        "MODPROP_TEST_LEASE": lease,
        "MODPROP_TEST_BUILD": build,
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(ROOT / "tests" / "generated"),
        "MODPROP_TEST_JOB": job,
        "MODPROP_TEST_EXPERIMENT": experiment,
        "MODPROP_TEST_SPARE": spare_of(daemon),
    }
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    found = re.search(r"(\d+) generated", ended.stdout)
    print(f"seed {seed}: {found.group(0) if found else 'nothing'}", file=sys.stderr)
    assert ended.returncode == 0 and found, f"seed {seed}:\n" + ended.stdout[-12000:] + ended.stderr[-2000:]
    return int(found.group(1))


def test_generated_requests(start, tools, tmp_path):
    daemon = start("--workers", "1", "--cores", "1", "--worker-lease", "1h")
    job = daemon.post("/v1/jobs", json=SMALL).json()["id"]
    assert daemon.get(f"/v1/jobs/{job}?wait=300", timeout=310).json()["status"] == "succeeded"
    made, runs, seed = 0, 0, drawn_seed()
    while made < WANTED:
        made += run_schemathesis(daemon, tools, job, seed + runs, tmp_path)
        runs += 1
    codes = re.findall(r'modprop_http_requests_total\{route="(\w+)",code="(\d+)"\} (\d+)', daemon.get("/metrics").text)
    answered = sum(int(count) for _, _, count in codes)
    assert answered > 1000, codes
    assert not [entry for entry in codes if entry[1].startswith("5")], "an error of the daemon's own"
    reached = {route for route, code, _ in codes if code.startswith("2")}
    document = json.loads(daemon.get("/openapi.json").text)
    names = {operation["operationId"] for item in document["paths"].values() for operation in item.values()}
    print(f"never answered well: {sorted(names - reached)}", file=sys.stderr)
    # what needs a state that another request has ended before, a checkpoint that somebody has trained, or another's end
    assert len(names - reached) <= 9, f"never answered well: {names - reached}"
