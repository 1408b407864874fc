"""How long each analysis of a trained network takes on a job of the published size, against that job's own evaluation.

usage: python3 tests/bench/analyses.py      ($MODPROPD is the daemon, else build/server/modpropd)

Prints seconds and multiply-adds of each type with its defaults. Timings are of one run on an idle machine: compare them
within a run only.
"""

import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from daemons import Daemon

MORE = {
    "similarity": {"other": {"iteration": 5}},
    "difficulty": {"parameter": "delay", "values": [300, 500, 700, 900, 1100]},
}
JOB = {"task": {"type": "delayed_xor"}, "training": {"iterations": 20, "checkpoint_every": 5, "keep_checkpoints": 4}}


def timed(daemon, path, body):
    begin = time.monotonic()
    answer = daemon.post(path, json=body, timeout=600)
    return time.monotonic() - begin, answer


def main():
    daemon = Daemon(tempfile.mkdtemp(), "--workers", "1")
    try:
        job = daemon.post("/v1/jobs", json=JOB).json()["id"]
        ended = daemon.get(f"/v1/jobs/{job}?wait=600", timeout=620).json()
        print(f"{ended['network']['units']} units, {ended['task']}, batch {ended['training']['batch_size']}")
        for one in daemon.get("/v1/analyses").json()["analyses"]:
            kind = one["type"]
            seconds, answer = timed(daemon, f"/v1/jobs/{job}/analyses", {"type": kind} | MORE.get(kind, {}))
            if answer.status_code == 200:
                found = answer.json()
                work, size = found["multiply_adds"], len(answer.content)
                print(f"{kind:16} {seconds:6.2f} s  {work:.3g} multiply-adds, {size} bytes")
            else:
                print(f"{kind:16} {answer.json()['detail']}")
        for of in ("units", "pathways"):
            seconds, answer = timed(daemon, f"/v1/jobs/{job}/analyses", {"type": "lesions", "of": of})
            print(f"lesions {of:8} {seconds:6.2f} s  {answer.json()['multiply_adds']:.3g} multiply-adds")
    finally:
        daemon.finish()


if __name__ == "__main__":
    main()
