"""What the package promises as a whole: no circles of modules, a docstring at every public member, typed parameters."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import pathlib
import shutil
import subprocess
import sys

import httpx
import modprop
import modprop.parameters
import pytest
from daemons import ROOT

SOURCES = ROOT / "clients" / "python" / "src" / "modprop"


def imports_of(path):
    """Modules of the package that this one imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            yield from [node.module] if node.module else [alias.name for alias in node.names]


def test_modules_have_no_circles():
    left = {path.stem: set(imports_of(path)) - {path.stem} for path in SOURCES.glob("*.py") if path.stem != "__init__"}
    while left:
        free = {name for name, needed in left.items() if not needed & set(left)}
        assert free, f"these modules import one another in a circle: {left}"
        left = {name: needed for name, needed in left.items() if name not in free}


def test_modules_of_the_package_are_imported_at_the_top():
    for path in SOURCES.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner = [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.level and node.col_offset
        ]
        assert not inner, f"{path.name}: lines {inner} import a module of the package where it is hidden"


def test_every_public_member_has_a_docstring():
    without = []
    for name in modprop.__all__:
        thing = getattr(modprop, name)
        if inspect.isclass(thing):
            members = {
                member: value.fget if isinstance(value, property) else getattr(value, "__func__", value)
                for member, value in vars(thing).items()
                if not member.startswith("_")
            }
            without += [f"{name}.{m}" for m, value in members.items() if callable(value) and not value.__doc__]
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not thing.__doc__:
            without.append(name)
    assert without == []


def generator():
    path = ROOT / "clients" / "python" / "generate_parameters.py"
    specification = importlib.util.spec_from_file_location("generate_parameters", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def classes():
    """The members of each class that a checker knows, by name."""
    return {
        name: set(kind.__required_keys__ | kind.__optional_keys__)
        for name, kind in vars(modprop.parameters).items()
        if inspect.isclass(kind) and hasattr(kind, "__total__")
    }


def test_parameters_are_those_of_the_daemon(daemon):
    """/v1/rules and /v1/tasks list what a type checker may know, no more and no less."""
    known = classes()
    for section, title in (("rules", "Rule"), ("tasks", "Task")):
        for entry in httpx.get(f"{daemon.url}/v1/{section}").json()[section]:
            assert known.pop(generator().camel(entry["type"]) + title) == {"type", *entry["parameters"]}
            training = known["Training"]
            assert {*entry.get("defaults", {}).get("training", training)} == training
    neurons = httpx.get(f"{daemon.url}/v1/neurons").json()["neurons"]
    assert set().union(*(neuron["parameters"] for neuron in neurons)) == known["Network"]
    assert not [name for name in known if name.endswith(("Rule", "Task")) and not name.startswith("_")]


def test_the_committed_parameters_are_what_the_generator_writes(daemon):
    module = generator()
    text = module.generate(httpx.get(daemon.url + "/openapi.json").json())
    ruff = next(filter(None, (os.environ.get("RUFF"), shutil.which("ruff"), tool("build/lint/bin/ruff"))), None)
    if ruff is None:
        committed = module.TARGET.read_text(encoding="utf-8")
        assert "".join(text.split()).replace(",", "") == "".join(committed.split()).replace(",", "")
    else:
        assert module.lay_out(text, ruff) == module.TARGET.read_text(encoding="utf-8"), (
            "clients/python/generate_parameters.py writes another file: run it and commit"
        )


def tool(path):
    return str(ROOT / path) if (ROOT / path).exists() else None


def test_a_type_checker_finds_a_misspelt_parameter(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    good = [
        'client.train("delayed_xor", "modprop")',
        'client.train({"type": "delayed_xor", "delay": 300}, {"type": "modprop", "mu": "auto", "taps": None})',
        'client.train(rule={"type": "modprop", "mu": np.float64(0.25)}, network={"tau": np.ones(3), "units": 3})',
        'client.train(network={"initial": client.job("latest")}, optimizer={"learning_rate": 1e-3})',
        'client.train(network={"initial": client.job("latest").weights}, optimizer={"type": "sgd", "momentum": 0.9})',
        'client.train(training={"stop_when": {"metric": "loss", "below": 0.1}, "diagnostics": ["cosine"]})',
        'client.train(network=client.job("latest").document["network"] | {"bias": True})',
        'client.train({"type": "dataset", "name": "mine"})',
    ]
    bad = [
        'client.train(rule={"type": "modprop", "muu": 1})',
        'client.train(rule={"type": "eprop", "mu": 1})',
        'client.train({"type": "delayed_xr"})',
        'client.train({"type": "dataset"})',
        'client.train(network={"units": "many"})',
        'client.train(training={"iteration": 5})',
        'client.gradients({}, [], [], [{"type": "modprop", "muu": 1}])',
    ]
    head = ["import numpy as np", "from modprop import Client", "client = Client()"]
    program.write_text("\n".join([*head, *good, *bad]) + "\n")
    package = pathlib.Path(modprop.__file__).parents[1]
    made = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", program],
        capture_output=True,
        text=True,
        env=os.environ | {"MYPYPATH": str(package) if package.name == "src" else ""},
    )
    wrong = {int(line.split(":")[1]) for line in made.stdout.splitlines() if ": error:" in line}
    first = len(head) + len(good) + 1
    assert wrong == set(range(first, first + len(bad))), made.stdout + made.stderr


def test_asynchronous_calls_are_known_to_be_so():
    """Tools ask whether to await: no decorator hides it. `events` is a call that gives an iterator."""
    for kind in (modprop.AsyncClient, modprop.AsyncJob, modprop.AsyncExperiment):
        for name, value in vars(kind).items():
            if inspect.isfunction(value) and not name.startswith("_") and name != "events":
                assert inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value), name
