"""The page of the embedding guide, as it stands there, served by another origin than the daemon's."""

import functools
import http.server
import threading

import pytest
from conftest import finish, submit
from daemons import ROOT


@pytest.fixture
def elsewhere(tmp_path):
    """A web server of its own, with the folder that it serves."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("allowed", [True, False])
def test_the_guides_page_draws_where_it_is_allowed(begin, browser, elsewhere, allowed):
    site, folder = elsewhere
    daemon = begin("--allow-origin", site if allowed else "http://lab.example")
    id = submit(daemon)
    finish(daemon, id)
    page = (ROOT / "clients" / "web" / "README.md").read_text().split("```html\n")[1].split("```")[0]
    assert page.count("\n") <= 22 and '"JOB"' in page and "http://127.0.0.1:8080" in page
    (folder / "index.html").write_text(page.replace('"JOB"', f'"{id}"').replace("http://127.0.0.1:8080", daemon.url))
    browser.origins.add(daemon.url.removeprefix("http://"))
    browser.expected.append("favicon.ico")
    if not allowed:
        browser.expected += ["CORS", "ERR_FAILED", "403"]
    browser.open(site)
    if allowed:
        browser.wait("document.getElementById('now').textContent.startsWith('iteration 40: loss')")
        assert len(browser.find("polyline").get_attribute("points").split()) == 9
    else:
        browser.wait("stream.readyState === EventSource.CLOSED")
        assert browser.find("#now").text == "waiting"
