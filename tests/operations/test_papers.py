"""Licence, notices, citation and packaging say the same as the build does."""

import re

import yaml
from daemons import ROOT


def text(*parts):
    return ROOT.joinpath(*parts).read_text()


def test_one_version_everywhere():
    version = re.search(r"version: '([0-9.]+)'", text("meson.build"))[1]
    assert yaml.safe_load(text("CITATION.cff"))["version"] == version
    assert re.search(r"ARG VERSION=(\S+)", text("docker", "Dockerfile"))[1] == version
    assert re.match(r"modprop \(([^)]+)\)", text("docker", "debian", "changelog"))[1] == version


def test_citation_names_the_program_and_the_paper():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert (
        citation["cff-version"] == "1.2.0" and citation["license"] == "MIT" and citation["title"].startswith("modprop")
    )
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == [
        "Liu",
        "Smith",
        "Mihalas",
        "Shea-Brown",
        "Sümbül",
    ]
    assert "2206.01338" in paper["url"]
    assert text("LICENSE").startswith("MIT License\n")


def test_notices_name_every_package_of_the_image():
    notices = text("docker", "NOTICES")
    last_stage = text("docker", "Dockerfile").rsplit("FROM ", 1)[1]
    packages = re.search(r"apt-get install -q -y --no-install-recommends \\\n\s+(.*?) \\\n", last_stage)[1].split()
    assert len(packages) >= 8
    for package in packages:
        assert re.search(rf"^{re.escape(package)} ", notices, re.M), package


def test_the_package_builds_with_what_the_list_has():
    """docker/packages and Build-Depends are two lists of one thing."""
    section = re.search(r"^# build\n(.*?)^# quickstart$", text("docker", "packages"), re.M | re.S)[1]
    listed = {line for line in section.splitlines() if line and not line.startswith("#")}
    control = re.search(r"Build-Depends: (.*?)\n\n", text("docker", "debian", "control"), re.S)[1]
    needed = {re.sub(r"[ (:].*", "", part.strip()) for part in control.split(",")} - {"debhelper-compat"}
    assert needed == listed - {
        "ca-certificates",
        "check",
        "gcc",
        "libc6-dev",
        "ninja-build",
    }  # of Debian's build-essential, of meson, of the tests
