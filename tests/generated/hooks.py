"""What schemathesis needs to know about this daemon: which job there is, and that nobody wants to wait an hour.

$MODPROP_TEST_JOB is a job that has succeeded, $MODPROP_TEST_EXPERIMENT an experiment that has not ended, and
$MODPROP_TEST_SPARE names jobs that may be deleted; $MODPROP_TEST_LEASE is a job that $MODPROP_TEST_WORKER has.
Well-formed requests about an experiment are about that one, and half of those about a job about that job, so that they
come further than 404; half of the uploads are a dataset. Those that were made wrong on purpose stay as they are, and so
do those that ask for what an earlier one has made.
"""

import hashlib
import os
import random

import hypothesis
import schemathesis
from data import DATASET

JOB = os.environ["MODPROP_TEST_JOB"]
EXPERIMENT = os.environ["MODPROP_TEST_EXPERIMENT"]
SPARE = os.environ["MODPROP_TEST_SPARE"].split()
WORKER = os.environ["MODPROP_TEST_WORKER"]  # id, blank, secret
LEASE = os.environ["MODPROP_TEST_LEASE"].split()  # a job and the number of its attempt, leased to that worker
BUILD = os.environ["MODPROP_TEST_BUILD"]
NOBODY = "00000000-0000-7000-8000-000000000000"
ENDLESS = "/v1/events"
dice = random.Random(1)


# Hypothesis would spend most of its time on making what is accepted longer, which the daemon's bounds make hopeless;
# requests are what is wanted.
hypothesis.target = lambda observation, *, label="": observation


def of_worker(case, path):
    """A call of a worker, by the one that there is, about what it has."""
    if "worker" in path or "attempt" in path or case.operation.path == "/v1/workers":
        if isinstance(case.body, dict) and "build" in case.body:
            case.body["build"] = BUILD
        if dice.random() < 0.7:
            case.headers["Modprop-Worker"] = WORKER
    if "worker" in path:
        path["worker"] = WORKER.split()[0]
    if "attempt" in path and path.get("id") != NOBODY:
        path["id"], path["attempt"] = LEASE
    if "sha256" in path and dice.random() < 0.5:
        path["sha256"] = hashlib.sha256(DATASET).hexdigest()


@schemathesis.hook
def before_call(context, case, kwargs):
    query, path = case.query or {}, case.path_parameters or {}
    if str(query.get("wait", "")).isdigit() and int(query["wait"]) > 0:
        query["wait"] = 1 if dice.random() < 0.05 else 0
    if isinstance(case.body, dict) and isinstance(case.body.get("trials"), int) and case.body["trials"] > 1000:
        case.body["trials"] = 1000  # as many as are allowed take minutes under a sanitizer
    if case.method == "DELETE" and path.get("id") == JOB:
        path["id"] = NOBODY  # a list of jobs has told the id; the job is needed to the end
    if case.operation.path.endswith(("/end", "/release")):
        path["id"] = NOBODY  # the lease is needed to the end
    if case.operation.path == "/v1/compare" and isinstance(case.body, dict) and dice.random() < 0.3:
        case.body = {"jobs": [JOB]}
    if case.meta is None or not case.meta.generation.mode.is_positive or case.meta.phase.name == "stateful":
        return
    of_worker(case, path)
    if case.method == "PUT" and "name" in path and dice.random() < 0.5:
        case.body = DATASET
        path["name"] = "made"
    if case.method == "DELETE" and "id" in path and SPARE and dice.random() < 0.5:
        path["id"] = SPARE.pop()
    ends = case.method == "DELETE" or case.operation.path.endswith("/cancel")
    if "experiment" in path and not ends:
        path["experiment"] = EXPERIMENT
    if "id" in path and "attempt" not in path and case.method != "DELETE" and dice.random() < 0.5:
        path["id"] = JOB
        types = list(case.operation.definition.raw["responses"].get("200", {}).get("content", {}))
        if len(types) > 1 and case.operation.path != ENDLESS:
            case.headers["Accept"] = dice.choice(types)
