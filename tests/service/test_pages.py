"""The documentation's folder (--docs), served at /docs/ as the dashboard's files are."""

import gzip
import hashlib
import os
import subprocess

import pytest
from daemons import MODPROPD

POLICY = "default-src 'none'; script-src 'self'"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pages"
    (made / "_static" / "deep").mkdir(parents=True)
    (made / "index.html").write_text("<!doctype html><title>index</title>")
    (made / "a b.html").write_text("<!doctype html>")
    (made / "_static" / "deep" / "look.css").write_text("p { color: red }\n" * 100)
    (made / "_static" / "deep" / "look.css.gz").write_bytes(gzip.compress(b"p { color: red }\n" * 100))
    (made / "notes.unknown").write_text("of no known type")
    (made / ".hidden.html").write_text("hidden")
    (tmp_path / "secret.html").write_text("outside")
    os.symlink(tmp_path / "secret.html", made / "link.html")
    os.symlink(tmp_path, made / "up")
    os.mkfifo(made / "pipe.html")
    return made


def test_pages_are_served_and_nothing_else(start, folder):
    daemon = start("--docs", str(folder), "--create-token")
    assert daemon.get("/v1/jobs").status_code == 401  # pages need no token, like the dashboard
    index = daemon.get("/docs/")
    assert index.status_code == 200 and index.text == (folder / "index.html").read_text()
    assert index.headers["Content-Type"] == "text/html; charset=utf-8"
    assert index.headers["Content-Security-Policy"].startswith(POLICY)
    assert daemon.get("/docs/index.html").text == index.text
    moved = daemon.get("/docs", allow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (301, "/docs/")
    again = daemon.get("/docs/", headers={"If-None-Match": index.headers["ETag"]})
    assert (again.status_code, again.text) == (304, "")
    for kind, coding in (("identity", None), ("gzip", "gzip")):
        sheet = daemon.get("/docs/_static/deep/look.css", headers={"Accept-Encoding": kind})
        assert sheet.status_code == 200 and sheet.headers.get("Content-Encoding") == coding
        assert sheet.content == (folder / "_static" / "deep" / "look.css").read_bytes()
    host = daemon.url.split("//")[1]
    for path in (
        "notes.unknown", ".hidden.html", "link.html", "up/secret.html", "pipe.html", "../secret.html",
        "%2e%2e/secret.html", "_static", "_static/", "_static/deep/look.css.gz", "index.html/", "nothing.html",
    ):  # fmt: skip
        asked = f"GET /docs/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        assert daemon.exchange(asked.encode()).split()[1] in (b"401", b"404"), path
    assert daemon.post("/docs/", json={}).status_code in (401, 404, 405)
    (folder / "index.html").write_text("changed")  # read once, at the start
    assert daemon.get("/docs/").text == index.text
    assert hashlib.sha256(index.content).hexdigest()[:16] == index.headers["ETag"].strip('"')


def test_without_docs_there_are_none(start):
    daemon = start()
    assert daemon.get("/docs/").status_code == 404
    assert daemon.get("/docs").status_code == 404
    assert "docs" not in daemon.get("/", headers={"Accept": "application/json"}).json()["links"]


def test_the_index_names_the_documentation(start, folder):
    daemon = start("--docs", str(folder))
    assert daemon.get("/", headers={"Accept": "application/json"}).json()["links"]["docs"] == "/docs/"


def refused(docs, tmp_path):
    """What a daemon says that does not start with this folder."""
    command = [MODPROPD, "--data", tmp_path / "data", "--listen", "127.0.0.1:0", "--docs", docs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and f"--docs {docs}: " in done.stderr, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda folder: folder / "missing", "cannot be read: No such file or directory"),
        (lambda folder: folder / "index.html", "cannot be read: Not a directory"),
        (lambda folder: folder / "_static", "has no index.html; clients/docs/build makes the folder"),
    ],
)
def test_a_folder_that_is_none_of_documentation(folder, tmp_path, make, words):
    assert words in refused(make(folder), tmp_path)


def test_a_folder_too_large(folder, tmp_path):
    with open(folder / "large.html", "wb") as file:
        file.truncate(65 << 20)
    assert "holds more than 4096 files or 64 MiB" in refused(folder, tmp_path)
