"""The formatters and analysers, each in one version, and clean.

The tools come from PyPI and npm into build/lint; a test whose tool cannot be had is skipped with its reason.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from daemons import ROOT

LINT = ROOT / "build" / "lint"
BUILD = ROOT / "build"
PYPI = ["clang-format==20.1.8", "ruff==0.17.6", "lizard==1.24.3"]
NPM = ["eslint@9.39.1", "@eslint/js@9.39.1", "globals@16.5.0"]
LINES_MOST, COMPLEXITY_MOST, MEDIAN_MOST = 50, 20, 12


def tracked(*patterns):
    return [
        str(ROOT / path)
        for path in subprocess.check_output(["git", "ls-files", "--", *patterns], cwd=ROOT, text=True).split()
        if (ROOT / path).exists()
    ]


def run(*command, **options):
    made = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, **options)
    return made.returncode, (made.stdout + made.stderr).strip()


def clean(*command):
    status, text = run(*command)
    assert status == 0, "\n" + text[-6000:]


@pytest.fixture(scope="session")
def python_tools():
    """The folder of the commands that PyPI gives."""
    marker = LINT / "installed"
    if not marker.exists() or marker.read_text() != "\n".join(PYPI):
        LINT.parent.mkdir(exist_ok=True)
        status, text = run("/usr/bin/python3", "-m", "venv", LINT)
        if status == 0:
            status, text = run(LINT / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *PYPI)
        if status != 0:
            pytest.skip(f"SKIPPED: {', '.join(PYPI)} come from PyPI, which is out of reach: {text[-300:]}")
        marker.write_text("\n".join(PYPI))
    return LINT / "bin"


@pytest.fixture(scope="session")
def eslint():
    """The command, in a folder of its own beside a copy of the configuration."""
    folder = BUILD / "eslint"
    marker = folder / "installed"
    if shutil.which("npm") is None:
        pytest.skip("SKIPPED: eslint comes from npm, which is not installed (package npm)")
    if not marker.exists() or marker.read_text() != "\n".join(NPM):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        status, text = run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *NPM)
        if status != 0:
            pytest.skip(f"SKIPPED: {', '.join(NPM)} come from npm, which is out of reach: {text[-300:]}")
        marker.write_text("\n".join(NPM))
    return folder / "node_modules" / ".bin" / "eslint"


def test_c_is_formatted(python_tools):
    clean(python_tools / "clang-format", "--dry-run", "-Werror", *tracked("*.c", "*.h"))


def test_python_is_formatted(python_tools):
    clean(python_tools / "ruff", "format", "--check", "--quiet", ".")


def test_python_is_linted(python_tools):
    clean(python_tools / "ruff", "check", "--quiet", ".")


def test_the_dashboard_is_linted(eslint):
    shutil.copy(ROOT / "clients" / "web" / "eslint.config.mjs", eslint.parents[2] / "eslint.config.mjs")
    copy = eslint.parents[2] / "web"  # eslint resolves its configuration's imports from where that stands
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in tracked("clients/web/*.js"):
        shutil.copy(path, copy)
    made = subprocess.run([eslint, "--max-warnings=0", "web"], cwd=eslint.parents[2], capture_output=True, text=True)
    assert made.returncode == 0, "\n" + (made.stdout + made.stderr)[-6000:]


def test_functions_are_short_and_plain(python_tools):
    sources = [path for path in tracked("core/**/*.c", "api/*.c", "server/**/*.c", "clients/cli/*.c", "core/**/*.h")]
    status, text = run(python_tools / "lizard", "-l", "c", "--csv", *sources)
    assert status == 0 or text, text
    rows = [line.split(",") for line in text.splitlines() if re.match(r"\d+,\d+,", line)]
    assert len(rows) > 1000
    wrong = [
        f"{row[5]}: {row[0]} lines, complexity {row[1]}"
        for row in rows
        if int(row[0]) > LINES_MOST or int(row[1]) > COMPLEXITY_MOST
    ]
    assert not wrong, "\n" + "\n".join(wrong)
    lines = sorted(int(row[0]) for row in rows)
    assert lines[len(lines) // 2] <= MEDIAN_MOST


def test_cppcheck_is_content():
    if shutil.which("cppcheck") is None:
        pytest.skip("SKIPPED: cppcheck is not installed")
    clean(
        "cppcheck",
        "--enable=warning,performance,portability",
        "--error-exitcode=1",
        "--inline-suppr",
        "--quiet",
        "--std=c11",
        "--suppress=missingIncludeSystem",
        # it does not know __VA_OPT__-like macros of the log (server/base/log.h)
        "--suppress=syntaxError",
        "--suppress=invalidPointerCast",
        f"-j{os.cpu_count()}",
        "-I.",
        "core",
        "api",
        "server",
        "clients/cli",
    )


def test_clang_tidy_is_content():
    """All files but the kernels, whose intrinsics it would read for minutes."""
    if not os.environ.get("MODPROP_LONG"):
        pytest.skip("SKIPPED: clang-tidy takes minutes; MODPROP_LONG=1 runs it, as sh tests/run --long does")
    if shutil.which("clang-tidy") is None:
        pytest.skip("SKIPPED: clang-tidy is not installed")
    if not (BUILD / "compile_commands.json").exists():
        pytest.skip("SKIPPED: there is no build in build/ (meson setup build && ninja -C build)")
    listed = {entry["file"] for entry in json.loads((BUILD / "compile_commands.json").read_text())}
    sources = sorted(
        path
        for path in tracked("core/*.c", "api/*.c", "server/*.c", "clients/cli/*.c")
        if os.path.relpath(path, BUILD) in listed and pathlib.Path(path).stem not in ("avx2", "avx512", "neon")
    )
    assert len(sources) > 100
    script = 'exec clang-tidy --quiet -p build "$@" 2>/dev/null'
    names = "\0".join(sources)
    made = subprocess.run(
        ["xargs", "-0", f"-P{os.cpu_count()}", "-n8", "sh", "-c", script, "sh"],
        input=names,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    wrong = sorted({line for line in made.stdout.splitlines() if re.search(r": (error|warning): ", line)})
    assert not wrong, "\n" + "\n".join(wrong)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
