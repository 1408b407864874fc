"""The gallery: its programs make its figures, as they stand on the page. The long run makes all twelve, the short one
its first, smaller.

To store the pictures again, after a change of a program, the style or the results: MODPROP_LONG=1 MODPROP_STORE=1
tests/python/run -k gallery
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as tree

import pytest
from daemons import ROOT

PAGE = (ROOT / "clients" / "docs" / "gallery.md").read_text(encoding="utf-8")
STORED = ROOT / "clients" / "docs" / "gallery"
PROGRAMS = {
    re.search(r'savefig\("(\w+)\.svg"\)', program)[1]: program
    for program in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
}
LARGEST = 60_000  # bytes of a picture


def run(name, program, daemon, folder, monkeypatch):
    """The picture that the program saves, as bytes."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.setenv("MODPROP_SERVER", daemon.url)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")  # matplotlib writes no other date
    monkeypatch.chdir(folder)
    with pyplot.rc_context():
        exec(compile(program, f"gallery.md, {name}", "exec"), {})
    pyplot.close("all")
    return (folder / f"{name}.svg").read_bytes()


def test_the_page_has_twelve_figures_with_pictures():
    assert len(PROGRAMS) == 12
    assert re.findall(r"^!\[[^\]]{20,}\]\(gallery/(\w+)\.svg\)$", PAGE, re.MULTILINE) == list(PROGRAMS)
    assert {file.stem for file in STORED.iterdir()} == set(PROGRAMS)
    for name in PROGRAMS:
        picture = (STORED / f"{name}.svg").read_bytes()
        assert len(picture) < LARGEST, name
        width = tree.fromstring(picture).get("width")
        assert float(width.removesuffix("pt")) == pytest.approx(3.35 * 72, abs=0.1), name


def test_a_figure_is_made_by_its_program(daemon, tmp_path, monkeypatch):
    small = PROGRAMS["rules"].replace('"delay": 50, "cue": 25', '"delay": 10, "cue": 10')
    small = small.replace('"iterations": 200, "evaluate_every": 10', '"iterations": 4, "evaluate_every": 2')
    small = small.replace("seeds=3", "seeds=2")
    picture = run("rules", small, daemon, tmp_path, monkeypatch).decode()
    for rule in ("bptt", "modprop", "mdgl", "eprop"):
        assert f"{rule} (2)" in picture


@pytest.mark.skipif(not os.environ.get("MODPROP_LONG"), reason="a long test: MODPROP_LONG=1")
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_figure_is_made_by_its_program(name, daemon, tmp_path, monkeypatch):
    picture = run(name, PROGRAMS[name], daemon, tmp_path, monkeypatch)
    assert tree.fromstring(picture).tag.endswith("svg") and len(picture) < LARGEST
    if os.environ.get("MODPROP_STORE"):
        STORED.mkdir(exist_ok=True)
        (STORED / f"{name}.svg").write_bytes(picture)
