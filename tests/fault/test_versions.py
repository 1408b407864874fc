"""Versions of datasets under a disk that fails: a replacement that cannot be made durable costs nobody a dataset."""

import errno
import json
import shutil
import struct

import pytest
from daemons import wait_until
from faults import Faults


def body_of(number):
    tensors = {
        "inputs": {"dtype": "F32", "shape": [2, 1, 1], "data_offsets": [0, 8]},
        "targets": {"dtype": "F32", "shape": [2, 1, 1], "data_offsets": [8, 16]},
    }
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + bytes([number]) * 8 + bytes(8)


def put(daemon, number):
    kind = {"Content-Type": "application/octet-stream"}
    return daemon.request("PUT", "/v1/datasets/one", data=body_of(number), headers=kind)


def content(daemon):
    answer = daemon.get("/v1/datasets/one", headers={"Accept": "application/octet-stream"})
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("number,status", [(errno.EIO, 500), (errno.ENOSPC, 507)])
def test_a_failed_sync_costs_no_version(start, tmp_path, number, status):
    """The file of the version before was once deleted all the same, and the status came from an errno of before."""
    faults = Faults(tmp_path, tmp_path / "data")
    daemon = start("--workers", "0", data=tmp_path / "data", environment=faults.environment)
    assert put(daemon, 0).status_code == 201
    faults.error_sync = number
    for chance in (10**6, 500_000, 500_000, 500_000, 300_000, 300_000):
        faults.rate_sync = chance
        answer = put(daemon, 1)
        faults.none()
        assert answer.status_code in (200, status), answer.text
        assert content(daemon) == body_of(1 if answer.status_code == 200 else 0)
        assert put(daemon, 0).status_code == 200
    faults.rate_sync = 10**6
    assert put(daemon, 1).status_code == status
    faults.none()
    daemon.kill()
    daemon = start("--workers", "0", data=tmp_path / "data")
    assert content(daemon) in (body_of(0), body_of(1)), "one of them, whole"
    left = [path for path in (tmp_path / "data" / "datasets" / "content").iterdir() if ".upload-" in path.name]
    assert not left


def test_a_failed_write_is_told_before_anything_is_named(start, tmp_path):
    faults = Faults(tmp_path, tmp_path / "data")
    daemon = start("--workers", "0", data=tmp_path / "data", environment=faults.environment)
    assert put(daemon, 0).status_code == 201
    faults.error_write = errno.ENOSPC
    faults.rate_write = 10**6
    assert put(daemon, 1).status_code == 507
    faults.none()
    assert content(daemon) == body_of(0)
    assert len(list((tmp_path / "data" / "datasets" / "content").iterdir())) == 2


def test_an_upload_never_fills_the_disk(start, small_disk):
    """One whose length is known is refused before it comes; of one whose length is not known nothing stays."""
    daemon = start("--workers", "0", data=small_disk / "data")
    answer = daemon.exchange(
        b"PUT /v1/datasets/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Length: 4000000\r\nExpect: 100-continue\r\n\r\n",
        timeout=2,
    )
    assert answer.startswith(b"HTTP/1.1 507") and b"the disk has space for" in answer, answer
    kind = {"Content-Type": "application/octet-stream"}
    chunks = (bytes(100_000) for _ in range(40))
    assert daemon.request("PUT", "/v1/datasets/x", data=chunks, headers=kind).status_code == 507
    wait_until(lambda: not list((small_disk / "data" / "datasets" / "content").iterdir()))
    assert shutil.disk_usage(small_disk).free > 3 * 2**20 // 16
    assert put(daemon, 0).status_code == 201
