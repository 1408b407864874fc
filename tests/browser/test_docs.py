"""The documentation as the daemon serves it: no fault in the console, nothing foreign, accessible, fitting."""

import daemons
import pytest
from conftest import made_by
from daemons import ROOT


@pytest.fixture
def pages():
    """The folder of pages; tests/docs/run has made it, or it is made now."""
    if not (ROOT / "build" / "docs" / "index.html").exists():
        made_by("clients/docs/build")
    return ROOT / "build" / "docs"


@pytest.fixture
def daemon(pages, tmp_path):
    running = daemons.Daemon(tmp_path / "data", "--docs", str(pages))
    yield running
    running.finish()


def test_pages_in_the_browser(daemon, browser, axe):
    found = []
    for width, scheme, names in (
        (1920, "light", ("index", "reference-rules", "mathematics")),
        (1000, "dark", ("gallery", "tutorial", "reference-cli")),
        (390, "light", ("start", "glossary", "reference-tasks")),
    ):
        browser.device(width, 1000, scheme)
        for name in names:
            browser.open(f"{daemon.url}/docs/{name}.html")
            browser.wait("document.readyState === 'complete' && document.querySelector('h1') !== null")
            wide = browser.script("return document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (name, width, wide)
            found += [(name, scheme, fault) for fault in axe(browser, ["serious", "critical"])]
    assert not found, "\n".join(map(str, found))
    browser.open(f"{daemon.url}/docs/search.html?q=alignment")
    browser.wait("document.querySelectorAll('.search li a').length > 0")
