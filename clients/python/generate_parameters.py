"""Writes src/modprop/parameters.py: the parameters of tasks, rules, network, optimizer and training as TypedDicts.

    modpropd --data DIR &
    python clients/python/generate_parameters.py http://127.0.0.1:8080

They come from the daemon's own tables (the schema JobSubmission of its /openapi.json), so that a type checker knows
what the daemon knows; tests/python/test_package.py fails when the committed file is out of date. Needs the standard
library and ruff, which lays the file out.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from typing import Any

TARGET = pathlib.Path(__file__).resolve().parent / "src" / "modprop" / "parameters.py"
HEAD = '''"""The parameters of a job as types, so that a type checker finds a misspelt one.

Written by generate_parameters.py from the daemon's tables; do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

Integer = int | np.integer[Any]
Real = float | np.integer[Any] | np.floating[Any]

'''

# A job, weights or a document: the client turns them into what the server takes.
OVERRIDDEN = {("Network", "initial"): "Any"}


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


class Writer:
    """Collects the classes in the order in which they are needed."""

    def __init__(self) -> None:
        self.classes: list[str] = []

    def kind(self, owner: str, field: str, schema: Mapping[str, Any]) -> str:
        """The Python type of a JSON schema; an object with known members becomes a class."""
        if (owner, field) in OVERRIDDEN:
            return OVERRIDDEN[owner, field]
        if "const" in schema:
            return f"Literal[{json.dumps(schema['const'])}]"
        if "enum" in schema:
            return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
        for word in ("oneOf", "anyOf"):
            if word in schema:
                return " | ".join(dict.fromkeys(self.kind(owner, field, choice) for choice in schema[word]))
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return " | ".join(self.named(name, owner, field, schema) for name in names)

    def named(self, name: str, owner: str, field: str, schema: Mapping[str, Any]) -> str:
        if name == "array":
            item = self.kind(owner, field, schema["items"])
            return f"Sequence[{item}]" + (" | NDArray[Any]" if item == "Real" else "")
        if name == "object":
            return self.object(owner + camel(field), schema, field) if "properties" in schema else "Mapping[str, Any]"
        return {"integer": "Integer", "number": "Real", "boolean": "bool", "string": "str", "null": "None"}[name]

    def object(self, name: str, schema: Mapping[str, Any], field: str, doc: str | None = None) -> str:
        """A class: the members that must be there in one, the others in one that inherits it (Python 3.10 has no
        NotRequired)."""
        required = {
            field: member for field, member in schema["properties"].items() if field in schema.get("required", ())
        }
        others = {field: member for field, member in schema["properties"].items() if field not in required}
        doc = doc or f"The value of `{field}`."
        if required and others:
            self.put(f"_{name}", "TypedDict", f"What a `{name}` must have.", self.fields(name, required))
            self.put(name, f"_{name}, total=False", doc, self.fields(name, others))
        else:
            self.put(
                name, "TypedDict" if required else "TypedDict, total=False", doc, self.fields(name, required or others)
            )
        return name

    def fields(self, owner: str, members: Mapping[str, Any]) -> list[str]:
        return [f"    {field}: {self.kind(owner, field, schema)}" for field, schema in members.items()]

    def put(self, name: str, bases: str, doc: str, lines: list[str]) -> None:
        self.classes.append("\n".join([f"class {name}({bases}):", f'    """{doc}"""', "", *lines]))

    def choices(self, title: str, section: Mapping[str, Any], what: str) -> None:
        """A class for each type of a section, and their union under the section's name."""
        names = []
        for choice in section.get("oneOf") or section["anyOf"]:
            kind = choice.get("title")
            if kind is None:
                continue
            # Whatever has no default must be given; an optimizer without a type is the default one.
            due = (
                []
                if what == "optimizer"
                else [field for field, member in choice["properties"].items() if "default" not in member]
            )
            doc = f"The parameters of the {what} `{kind}`."
            names.append(self.object(camel(kind) + title, dict(choice) | {"required": due}, kind, doc))
        self.classes.append(f"{title} = {' | '.join(names)}")


def generate(openapi: Mapping[str, Any]) -> str:
    """The module's text, before ruff has laid it out."""
    sections = openapi["components"]["schemas"]["JobSubmission"]["properties"]
    writer = Writer()
    for section in ("task", "rule", "optimizer"):
        writer.choices(camel(section), sections[section], section)
    for section in ("network", "training"):
        writer.object(camel(section), sections[section], section, f"The parameters of a job's {section}.")
    return HEAD + "\n\n\n".join(writer.classes) + "\n"


def lay_out(text: str, ruff: str = "ruff") -> str:
    """The text as `ruff format` leaves it with the repository's settings."""
    command = [ruff, "format", "--quiet", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    server, *ruff = sys.argv[1:]
    with urllib.request.urlopen(server.rstrip("/") + "/openapi.json", timeout=30) as answer:
        TARGET.write_text(lay_out(generate(json.load(answer)), *ruff), encoding="utf-8")
