"""Runs many jobs on one daemon."""

PATIENCE = 300


def submit(daemon, job):
    answer = daemon.post("/v1/jobs", json=job)
    assert answer.status_code == 201, (answer.text, job)
    return answer.json()["id"]


def ended(daemon, id):
    """The job once it has ended."""
    return daemon.get(f"/v1/jobs/{id}?wait={PATIENCE}", timeout=PATIENCE + 10).json()


def run_all(daemon, jobs):
    """The sha256 of the weights of each; "" where a job did not succeed."""
    ids = [submit(daemon, job) for job in jobs]
    return [ended(daemon, id).get("weights_sha256") or "" for id in ids]


def curve(daemon, id):
    """The job's evaluations as they are stored."""
    metrics = daemon.get(f"/v1/jobs/{id}/metrics").json()
    return {name: metrics[name] for name in ("iteration", "loss", "accuracy")}
