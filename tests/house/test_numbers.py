"""Numbers of experiments stand in documents only where a stored result put them (tests/reproduce/stored.py)."""

import json
import math
import re
import statistics
import sys

import pytest
from daemons import ROOT

sys.path.insert(0, str(ROOT / "tests" / "reproduce"))
import stored  # noqa: E402

DOCUMENTS = stored.documents()
QUESTIONS = sorted((ROOT / "clients" / "docs" / "questions").glob("*.md"))
WITH_FILE = sorted(path.stem for path in stored.RESULTS.glob("*.json") if stored.result(path.stem))
WITH_CURVES = sorted(path.name.removesuffix("_loss.csv") for path in stored.RESULTS.glob("*_loss.csv"))
# What is no result: code, links and pictures, names of experiments and settings, the paper's year.
NOT_PROSE = [r"^```.*?^```", r"`[^`]*`", r"!?\[[^\]]*\]\([^)]*\)", r"<!-- stored .*?<!-- stored end -->"]
# A result's number: a percentage, a decimal fraction, or three digits and more that are no year.
NUMBER = re.compile(r"\d+(?:\.\d+)? ?%|\b\d+\.\d+|\b(?!20\d\d\b)\d{3,}\b")
# The power and level of a plan; delays that an experiment sets; a release.
ALLOWED = ("80 %", "5 %", "3000 ms", "100 ms", "version 0.1")


def name_of(path):
    return str(path.relative_to(ROOT))


def prose(text):
    for pattern in NOT_PROSE:
        text = re.sub(pattern, " ", text, flags=re.MULTILINE | re.DOTALL)
    for words in ALLOWED:
        text = text.replace(words, " ")
    return text


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_document_says_what_its_files_say(path):
    text = path.read_text()
    assert stored.filled(text) == text, f"{name_of(path)} differs from the stored results; run tests/reproduce/fill"
    assert len(stored.BLOCK.findall(text)) == text.count("<!-- stored {"), (
        "a block without its end, or not at a line's start"
    )


def test_an_edited_number_is_found():
    edited = 0
    for path in DOCUMENTS:
        text = path.read_text()
        for block in stored.BLOCK.finditer(text):
            found = re.search(r"\d", block[2])
            if found:
                at = block.start(2) + found.start()
                changed = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
                assert stored.filled(changed) == text, name_of(path)
                edited += 1
    assert edited > 40


@pytest.mark.parametrize("path", QUESTIONS, ids=name_of)
def test_a_page_of_a_question_has_no_number_of_its_own(path):
    assert not NUMBER.findall(prose(path.read_text()))


def test_the_results_of_the_readme_have_no_number_of_their_own():
    text = (ROOT / "README.md").read_text()
    results = text[text.index("\n## Results\n") : text.index("\n## Source tree\n")]
    assert results.count("<!-- stored {") >= 2
    left = prose(results).replace("under a loss of 0.1", " ")
    assert not NUMBER.findall(left)


def test_a_number_in_prose_is_seen():
    assert NUMBER.findall(prose("it learned at 510, in 94.8 % of 0.25")) == ["510", "94.8 %", "0.25"]
    assert not NUMBER.findall(prose("`rule.mu=0.25` of 2022, ten seeds, [510](a510.md)\n```sh\n--x 510\n```\n"))


@pytest.mark.parametrize("path", QUESTIONS, ids=name_of)
def test_a_page_of_a_question_is_whole(path):
    text = path.read_text()
    if path.stem == "index":
        assert {file.stem for file in QUESTIONS} - {"index"} == set(re.findall(r"\]\(([a-z-]+)\.md\)", text))
        return
    assert "**Question.**" in text and "**Answer.**" in text and "**What would change it.**" in text
    named = re.findall(r"\]\(\.\./\.\./\.\./tests/reproduce/(\w+)\.json\)", text)
    assert named or path.stem == "power"
    blocks = [json.loads(specification) for specification, _ in stored.BLOCK.findall(text)]
    costs = [name for block in blocks if block["kind"] == "cost" for name in block["of"]]
    assert set(named) == set(costs), "the cost of each of its experiments stands on the page"


@pytest.mark.parametrize("name", WITH_FILE)
def test_a_result_is_of_its_experiment_and_names_its_build(name):
    document, asked = stored.result(name), stored.experiment(name)
    for key in ("base", "axes", "metrics"):
        assert document["specification"][key] == asked[key], key
    build = document["build"]
    assert all(build[key] for key in ("version", "build", "instruction_set", "machine", "compiler", "commit"))
    assert re.fullmatch(r"[0-9a-f]{40}", build["commit"])
    assert len(document["trials"]) == len(document["points"]) * document["seeds"]
    assert document["seeds"] <= document["seeds_asked"] == asked["seeds"]["count"]
    assert all(one["status"] in ("succeeded", "failed") for one in document["trials"])
    page = "".join(path.read_text() for path in DOCUMENTS)
    assert build["build"] in page and build["commit"][:12] in page


@pytest.mark.parametrize("name", WITH_FILE)
def test_the_daemons_statistics_are_those_of_its_trials(name):
    """And so the median and its interval are taken here as the daemon takes them."""
    document = stored.result(name)
    for point in document["points"]:
        for metric, said in point["metrics"].items():
            found = stored.values(name, point["label"], metric)
            assert said["n"] == len(found) and said["never"] == sum(1 for one in found if one == math.inf)
            median, interval = statistics.median(found), stored.median_interval(found)
            ends = (said["median_95"]["low"], said["median_95"]["high"]) if interval else ()
            for mine, daemons in zip([median, *(interval or ())], [said["median"], *ends], strict=True):
                assert mine == (math.inf if daemons == "never" else pytest.approx(daemons, rel=1e-12)), (point, metric)


@pytest.mark.parametrize("name", WITH_CURVES)
def test_a_pages_rows_are_its_curves(name):
    """Each row's final loss is the last of its curve; rows withdrawn.json names exist."""
    experiment = stored.experiment(name)
    assert len(stored.every_trial(name)) >= 1 and name in stored.withdrawn()["builds"]
    for label, seeds in stored.curves(name, "loss").items():
        assert sorted(seeds) == list(range(1, experiment["seeds"]["count"] + 1)), label
    for row in stored.withdrawn()["rows"]:
        if name in row["experiments"]:
            assert row["condition"] is None or row["condition"] in stored.every_trial(name)


def test_what_is_withdrawn_enters_no_number():
    assert 1 not in stored.trials("delayed_xor", "bptt") and 2 in stored.trials("delayed_xor", "bptt")
    assert not stored.trials("pattern", "mdgl")
    assert 2 not in stored.trials("row_mnist_exact", "modprop cell, first hop exact")


def test_the_sample_sizes_are_those_of_the_plan():
    """Pairs that settle a factor of 1.5 with 80 % power, never taken as the run's length."""
    of = "delayed_xor"
    plan = {
        ("modprop cell", "bptt"): 62,
        ("modprop type C=8", "mdgl"): 38,
        ("modprop cell", "modprop type C=2"): 56,
        ("mdgl", "eprop"): 8,
    }
    for (label, to), pairs in plan.items():
        assert stored.pairs_needed(stored.pairs(of, label, of, to, 3000))[1] == pairs
    planned = set(plan.values()) | {17}  # the published protocol's fifteen, and the two that it drops
    for path in QUESTIONS:
        for name in re.findall(r"\]\(\.\./\.\./\.\./tests/reproduce/(\w+)\.json\)", path.read_text()):
            if name not in WITH_CURVES:
                assert stored.experiment(name)["seeds"]["count"] in planned, name
