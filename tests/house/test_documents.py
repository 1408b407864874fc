"""Documents name only what there is: paths of the repository, source files and tests by name, and relative links.

Left out are texts of the past, which name what stood then: the changelog, and the results of version 0.1.
"""

import fnmatch
import os.path
import re
import subprocess

import pytest
from daemons import ROOT

PAST = ("CHANGELOG.md", "tests/reproduce/results/")
SOURCE = r"`([\w-]+\.(?:c|h|cl|js|py))`"


def tracked():
    return subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).rstrip("\0").split("\0")


FILES = tracked()
DOCUMENTS = [path for path in FILES if path.endswith((".md", ".rst")) and not path.startswith(PAST)]
FOLDERS = {"/".join(path.split("/")[:depth]) for path in FILES for depth in range(1, path.count("/") + 1)}
TOPS = "|".join(sorted(folder for folder in FOLDERS if "/" not in folder))
PATH = re.compile(rf"(?<![\w/.$~:-])(?:{TOPS})/[\w./*-]*[\w*]")
NAMES = {os.path.basename(path) for path in FILES}
TESTS = "\n".join(
    (ROOT / path).read_text()
    for path in FILES
    if path.startswith("tests/") and path.endswith((".c", ".py")) and path != "tests/house/test_documents.py"
)


def exists(path):
    """A file, a folder, a pattern of them, or one of these with the asterisk that ends a text in italics."""
    return any(
        known in FOLDERS or known in FILES or ("*" in known and fnmatch.filter(FILES, known))
        for known in (path, path.removesuffix("*"))
    )


def faults(document, text):
    """What `text` names and the repository lacks. A page's blocks of code may make files (core/ADDING.md)."""
    made = re.findall(r"^```\w+ (\S+/\S+)$", text, re.M)
    names = NAMES | {os.path.basename(path) for path in made}
    found = [path for path in PATH.findall(text) if path not in made and not exists(path)]
    found += [name for name in re.findall(SOURCE, text) if name not in names]
    found += [name for name in re.findall(r"`(test_\w+)` in `tests/", text) if not re.search(rf"\b{name}\b", TESTS)]
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        path = os.path.normpath(os.path.join(os.path.dirname(document), link))
        if ":" not in link and path not in FOLDERS and path not in FILES:
            found.append(link)
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_names_is_there(document):
    missing = faults(document, (ROOT / document).read_text())
    assert not missing, f"{document} names {', '.join(missing)}"


@pytest.mark.parametrize(
    "text,missing",
    [
        ("*tests/unit/test_shop.c, tests/unit/test_store.c*", ["tests/unit/test_shop.c"]),
        ("the kernels (`core/backend/opencl/*.cl`), `core/backend/opencl/*.cu`", ["core/backend/opencl/*.cu"]),
        ("`sh tests/run --long`, not `sh tests/walk`", ["tests/walk"]),
        ("`writer.c` and `rider.c`", ["rider.c"]),
        ("`test_nothing_of_the_kind` in `tests/unit`", ["test_nothing_of_the_kind"]),
        ("[limits](../SECURITY.md#limits), [more](../INSECURITY.md#limits)", ["../INSECURITY.md"]),
        ("```c core/rules/fading.c\n```\n`core/rules/fading.c` and `fading.c`", []),
        ("See https://example.org/core/none.c and $HOME/server/none.c.", []),
    ],
)
def test_what_is_missing_is_found(text, missing):
    assert faults("server/GUARANTEES.md", text) == missing
