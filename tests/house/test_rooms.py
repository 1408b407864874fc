"""The structure that ARCHITECTURE.md draws: which room may include which, and no circle between files.

The matrix is read out of ARCHITECTURE.md itself, so the page and the code cannot disagree.
"""

import ast
import json
import pathlib
import re
import subprocess

import pytest
from daemons import ROOT

BUILD = ROOT / "build"
PYTHON = ROOT / "clients" / "python" / "src" / "modprop"
WEB = ROOT / "clients" / "web"


def tracked(*patterns):
    return subprocess.check_output(["git", "ls-files", "--", *patterns], cwd=ROOT, text=True).split()


def room(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("core", "server", "clients") and len(parts) > 2 else parts[0]


def matrix():
    """{room: set of rooms whose headers its files may include}, from the block in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    block = re.search(r"```rooms\n(.*?)```", text, re.S).group(1)
    allowed = {}
    for line in block.splitlines():
        name, _, others = line.partition(":")
        allowed[name.strip()] = set(others.split())
    return allowed


def includes():
    for path in tracked("core/*.[ch]", "api/*.[ch]", "server/*.[ch]", "clients/cli/*.[ch]"):
        for included in re.findall(r'^#include "(.*?)"', (ROOT / path).read_text(), re.M):
            yield path, included


def test_every_include_is_allowed():
    allowed = matrix()
    wrong = [
        f"{path} includes {included}: {room(path)} may not include {room(included)}"
        for path, included in includes()
        if room(path) != room(included) and room(included) not in allowed.get(room(path), set())
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_room_is_in_the_matrix():
    rooms = {room(path) for path in tracked("core/*.[ch]", "api/*.[ch]", "server/*.[ch]", "clients/cli/*.[ch]")}
    assert rooms == set(matrix())


def test_allowed_includes_have_no_circle():
    assert circles(matrix()) == []


def test_an_internal_header_stays_in_its_room():
    wrong = [
        f"{path}: {included}"
        for path, included in includes()
        if included.endswith("internal.h") and room(path) != room(included)
    ]
    assert not wrong, wrong


def circles(graph):
    """Strongly connected components of more than one node (Tarjan 1972), sorted."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return sorted(found)


def symbols(*folders):
    """Of each C file below the folders: the global names that its object defines, and those that it takes from others.

    Made from the objects of the build in build/, so that a macro, a table of functions or a callback counts as what it
    is.
    """
    defined, taken = {}, {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        source = str((pathlib.Path(entry["directory"]) / entry["file"]).resolve().relative_to(ROOT))
        if not source.startswith(folders) or not source.endswith(".c"):
            continue
        taken[source] = set()
        listing = subprocess.check_output(["nm", "--format=posix", BUILD / entry["output"]], text=True)
        for name, kind, *_ in map(str.split, listing.splitlines()):
            if kind == "U":
                taken[source].add(name)
            elif kind.isupper():
                defined[name] = source
    return defined, taken


@pytest.mark.parametrize("folders", [("core/", "api/", "server/"), ("api/", "clients/cli/")], ids=["daemon", "cli"])
def test_no_circle_between_c_files(folders):
    if not (BUILD / "compile_commands.json").exists():
        pytest.skip("SKIPPED: there is no build in build/ (meson setup build && ninja -C build)")
    defined, taken = symbols(*folders)
    graph = {source: {defined[name] for name in names if name in defined} - {source} for source, names in taken.items()}
    assert len(graph) > 40, "the build was not recognised"
    assert circles(graph) == []


def test_no_circle_between_python_modules():
    modules = {path.stem: path for path in PYTHON.glob("*.py")}
    graph = {}
    for name, path in modules.items():
        used = set()
        for node in ast.parse(path.read_text()).body:  # imports inside functions are on purpose
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                used |= {node.module} if node.module else {alias.name for alias in node.names}
        graph[name] = {other for other in used if other in modules} - {name}
    assert circles(graph) == []


def test_no_circle_between_the_dashboard_s_modules():
    graph = {
        path.name: {pathlib.Path(name).name for name in re.findall(r'from "\./(.*?)"', path.read_text())}
        for path in WEB.glob("*.js")
    }
    assert circles(graph) == []
