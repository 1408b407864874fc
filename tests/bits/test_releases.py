"""Data directories of released versions open, and jobs that had not ended resume and end with the same weights.

record_release.py wrote them, and what the release itself made of each job when nobody interrupted it.
"""

import hashlib
import json
import pathlib
import struct
import subprocess
import tarfile

import pytest
from daemons import MODPROPD
from record_release import result_name
from runs import curve, ended

FOLDER = pathlib.Path(__file__).with_name("releases")
CASES = [(path.stem, kind) for path in sorted(FOLDER.glob("*.json")) for kind in ("killed", "stopped")]


def unpack(version, kind, target):
    with tarfile.open(FOLDER / f"{version}-{kind}.tar.xz") as archive:
        archive.extractall(target)
    return json.loads((FOLDER / f"{version}.json").read_text())


def weights_digest(daemon, id):
    """Of the arrays as they are served, in the order that `sha256` in the weights document means."""
    answer = daemon.get(f"/v1/jobs/{id}/weights?format=safetensors")
    assert answer.status_code == 200, answer.text
    raw = answer.content
    (size,) = struct.unpack_from("<Q", raw)
    header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    digest = hashlib.sha256()
    for name in ("W", "Win", "b", "Wout", "bout"):
        if name in header:
            digest.update(data[slice(*header[name]["data_offsets"])])
    return digest.hexdigest()


def judge(daemon, job, results):
    now = ended(daemon, job["id"])
    if job["status"] == "cancelled":
        assert now["status"] == "cancelled" and daemon.get(f"/v1/jobs/{job['id']}/weights").status_code == 200
        return
    expected = results[result_name(job)]
    assert now["status"] == expected["end"], (job, now)
    assert now.get("weights_sha256") == expected["weights_sha256"], job
    assert curve(daemon, job["id"]) == expected["curve"], job
    assert "mu" not in daemon.get(f"/v1/jobs/{job['id']}/metrics").json()  # 0.1 did not report it
    if now["status"] == "succeeded":
        assert weights_digest(daemon, job["id"]) == expected["weights_sha256"], job


@pytest.mark.parametrize("version, kind", CASES)
def test_a_data_directory_of_a_release_opens_and_goes_on(start, tmp_path, version, kind):
    told = unpack(version, kind, tmp_path)
    daemon = start("--workers", "4", data=tmp_path)
    for job in told["jobs"][kind]:
        if job["status"] == "paused":
            assert daemon.get(f"/v1/jobs/{job['id']}").json()["status"] == "paused"
            assert daemon.post(f"/v1/jobs/{job['id']}/resume").status_code == 200
    for job in told["jobs"][kind]:
        judge(daemon, job, told["results"])
    assert daemon.stop() == 0
    checked = subprocess.run([MODPROPD, "verify", "--data", tmp_path], capture_output=True, text=True, timeout=300)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_jobs_of_a_release_are_trained_again_with_the_same_numbers(start, tmp_path):
    told = unpack("0.1.0", "stopped", tmp_path)
    assert start("--workers", "0", data=tmp_path).stop() == 0  # brings the database forward
    for job in told["jobs"]["stopped"]:
        if job["name"].startswith("finished"):
            again = subprocess.run(
                [MODPROPD, "verify", "--data", tmp_path, "--rerun", job["id"]],
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert again.returncode == 0, (job, again.stdout + again.stderr)
