"""The pages that clients/docs/build made (tests/docs/run builds them first): whole, self-contained, small."""

import gzip
import json
import re
import subprocess

import pytest
from daemons import ROOT

CLI = ROOT / "build" / "clients" / "cli" / "modprop"
PAGES = ROOT / "build" / "docs"
# Attributes by which a page loads something; a link that a reader may follow is none.
LOADS = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=\"([^\"]*)\"")


@pytest.fixture(scope="module")
def pages():
    found = {file.name: file.read_text() for file in sorted(PAGES.glob("*.html"))}
    assert {"index.html", "start.html", "tutorial.html", "mathematics.html", "glossary.html", "search.html"} <= set(
        found
    )
    return found


def test_a_page_is_small_and_loads_nothing_foreign(pages):
    for name, text in pages.items():
        assert len(text) < 300_000, name
        assert "<style" not in text and ' style="' not in text and not re.search(r"<script>|\son\w+=\"", text), name
        for target in LOADS.findall(text):
            assert not re.match(r"[a-z]+:|//", target), (name, target)
            file = PAGES / target.split("?")[0].split("#")[0]
            assert file.exists(), (name, target)
    for sheet in PAGES.rglob("*.css"):
        for target in re.findall(r"url\(([^)]*)\)", sheet.read_text()):
            assert (sheet.parent / target.strip("\"'")).exists(), (sheet, target)
    for file in PAGES.rglob("*.gz"):
        assert gzip.decompress(file.read_bytes()) == file.with_suffix("").read_bytes(), file


def test_the_references_have_every_rule_task_route_and_command(pages, daemon):
    for kind in ("rules", "tasks", "neurons"):
        for entry in daemon.get(f"/v1/{kind}").json()[kind]:
            assert f'id="{entry["type"].replace("_", "-")}"' in pages[f"reference-{kind}.html"], entry["type"]
            for parameter in entry["parameters"]:
                assert f">{parameter}<" in pages[f"reference-{kind}.html"], (entry["type"], parameter)
    document = daemon.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<h3>{method.upper()} {path}<" in pages["reference-api.html"], (method, path)
    commands = json.loads(subprocess.run([CLI, "help", "--json"], check=True, capture_output=True).stdout)
    for command in commands["commands"]:
        if command["group"]:
            assert f"modprop {command['name']}" in pages["reference-cli.html"], command["name"]


def test_a_document_of_the_repository_links_to_pages(pages):
    assert 'href="guarantees.html"' in pages["index.html"]
    assert 'href="performance.html"' in pages["architecture.html"] or 'href="adding.html"' in pages["architecture.html"]
    for name, text in pages.items():
        for target in re.findall(r'<a [^>]*href="([^"#]*\.md)[#"]', text):
            pytest.fail(f"{name} links to {target}, which is no page")
