"""Phrases that a native reader stumbles over do not come back: in comments, messages, documents and tests alike.

A text is read as running words: line breaks, comment marks and the quotes between two parts of a string are blanks.
"""

import re
import subprocess

import pytest
from daemons import ROOT

PHRASES = {
    "is told": 'say "gets", "receives", "is reported", "is returned"',
    "are told": 'say "get", "receive", "are reported", "are returned"',
    "told whole": 'say "reported at once"',
    "want of memory": 'say "out of memory", "lack of memory"',
    "for want of": 'say "for lack of", "because there was no"',
    "of something else": "name the thing",
    "nobody else to call": "say what calls it",
    "what began nothing": 'say "what could not start"',
    "what was aimed at": 'say "the target"',
    "of another day": 'say "out of date"',
    "goes on by itself": 'say "resumes by itself"',
}
SOURCES = [
    "*.c",
    "*.h",
    "*.py",
    "*.js",
    "*.mjs",
    "*.html",
    "*.css",
    "*.md",
    "*.json",
    "*.yml",
    "*.yaml",
    "*.build",
    "*.sh",
]
OURSELVES = "tests/house/test_words.py"


def running(text):
    """The text with what only lays it out taken away."""
    text = re.sub(r'"\s*\n\s*f?"', " ", text)
    return re.sub(r"[ \t]*\n[ \t]*(?:\*(?!/)|//|#|--)?[ \t]*", " ", text)


def found(text):
    words = re.sub(r"\s+", " ", running(text)).lower()
    return [phrase for phrase in PHRASES if re.search(rf"\b{re.escape(phrase)}\b(?! to )", words)]


def tracked():
    listed = subprocess.check_output(["git", "ls-files", "-z", "--", *SOURCES], cwd=ROOT, text=True).split("\0")
    return [path for path in listed if path and path != OURSELVES and (ROOT / path).is_file()]


@pytest.mark.parametrize(
    "text",
    [
        "Bad input is told whole, by field:",
        " * stopped for want of\n * memory",
        '"stopped for "\n    "want of memory"',
        "# what began nothing\n# has nobody else to call it again",
    ],
)
def test_a_phrase_is_found_across_lines(text):
    assert found(text)


def test_plain_words_pass():
    assert not found("The daemon reports every bad field at once. It runs until it is told to stop.")


def test_no_such_phrase_is_left():
    faults = []
    for path in tracked():
        text = (ROOT / path).read_text(errors="replace")
        faults += [f'{path}: "{phrase}": {PHRASES[phrase]}' for phrase in found(text)]
    assert not faults, "\n" + "\n".join(faults)
