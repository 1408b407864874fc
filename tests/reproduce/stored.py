"""Numbers of documents, made from the stored results.

A document holds no number of an experiment that this module did not write. Between the two comments

    <!-- stored {"kind": "points", "of": [["delayed_xor", "bptt"]]} -->
    <!-- stored end -->

stands what `filled` makes of the specification in the first (KINDS lists the kinds). clients/docs/build fills the
blocks anew whenever it builds a page, tests/reproduce/fill writes them into the documents of the repository, and
tests/house/test_numbers.py fails where a document and the files of results/ disagree.

A result is one of two files, by the experiment's name:

- `results/NAME.json`, which tests/reproduce/store writes from a daemon's answers: specification, build, points,
  comparisons, trials with the sha256 of their weights. Its statistics are the daemon's.
- `results/NAME_loss.csv` (and `_accuracy.csv`) with the curve of each seed, of version 0.1 and of early builds of 0.2.
  Each seed's numbers are read off its curve, and the median is taken here as the daemon takes it.

`results/withdrawn.json` lists the seeds of the second kind that the build of today does not make; they enter no number.
"""

import csv
import functools
import json
import math
import pathlib
import re
import statistics

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results"
NEVER = math.inf
# Documents with blocks, beside every page of results/ and of clients/docs/questions.
DOCUMENTS = ("README.md", "tests/reproduce/README.md")
BLOCK = re.compile(r"^<!-- stored (\{.*?\}) -->\n(.*?)^<!-- stored end -->$", re.MULTILINE | re.DOTALL)
BURST = 1  # a final loss above it, or none, on row MNIST: no run that was learning has it
# Of a paired t test at 5 % with 80 % power: server/experiments/statistics.c has the same.
Z = 1.959963984540054 + 0.8416212335729143


def documents():
    """Every document that may have blocks."""
    pages = [*RESULTS.glob("*.md"), *(ROOT / "clients" / "docs" / "questions").glob("*.md")]
    return [ROOT / name for name in DOCUMENTS] + sorted(pages)


# ---- results ----


@functools.cache
def experiment(name):
    return json.loads((HERE / f"{name}.json").read_text())


@functools.cache
def withdrawn():
    return json.loads((RESULTS / "withdrawn.json").read_text())


def is_withdrawn(name, label, seed):
    """Whether a row of withdrawn.json names this run; null there stands for every condition, or every seed."""
    return any(
        name in one["experiments"]
        and one["condition"] in (None, label)
        and (one["seeds"] is None or seed in one["seeds"])
        for one in withdrawn()["rows"]
    )


@functools.cache
def result(name):
    """The daemon's answers about an experiment; None where there is no such file."""
    file = RESULTS / f"{name}.json"
    document = json.loads(file.read_text()) if file.exists() else {}
    return document if "trials" in document else None


def learned_of(curve, metric):
    """The first iteration of `in_a_row` evaluations under (or above) the metric's bound."""
    bound, above = metric.get("loss_below"), False
    if bound is None:
        bound, above = metric["accuracy_above"], True
    row = []
    for iteration, value in curve:
        meets = value is not None and (value > bound if above else value < bound)
        row = row + [iteration] if meets else []
        if len(row) == metric.get("in_a_row", 1):
            return row[0]
    return NEVER


@functools.cache
def curves(name, key):
    """{condition: {seed: [(iteration, value)]}} of a stored CSV; a value that is no number is None."""
    found = {}
    with open(RESULTS / f"{name}_{key}.csv", newline="") as file:
        for row in csv.DictReader(file):
            for column, text in row.items():
                if column.startswith("seed_"):
                    value = float(text) if text not in ("", "nan") else None
                    seeds = found.setdefault(row["label"], {})
                    seeds.setdefault(int(column[5:]), []).append((int(row["iteration"]), value))
    return found


def last_five(curve):
    """The mean of the last five evaluations; of one that is no number there is none."""
    last = [value for _, value in curve[-5:]]
    return NEVER if None in last else statistics.fmean(last)


@functools.cache
def every_trial(name):
    """{condition: {seed: {metric: value}}}, withdrawn ones too."""
    if document := result(name):
        found = {}
        for one in document["trials"]:
            values = {key: NEVER if value == "never" else value for key, value in one["metrics"].items()}
            found.setdefault(one["label"], {})[one["seed"]] = values
        return found
    loss = curves(name, "loss")
    accuracy = curves(name, "accuracy") if (RESULTS / f"{name}_accuracy.csv").exists() else {}
    metric = next((one for one in experiment(name)["metrics"] if one.get("name") == "learned"), None)
    found = {}
    for label, seeds in loss.items():
        for seed, curve in seeds.items():
            values = {"final_loss": NEVER if curve[-1][1] is None else curve[-1][1], "loss5": last_five(curve)}
            if metric:
                of = accuracy[label][seed] if "accuracy_above" in metric else curve
                values["learned"] = learned_of(of, metric)
            if label in accuracy:
                values["final_accuracy"] = accuracy[label][seed][-1][1] or 0.0
                values["accuracy5"] = last_five(accuracy[label][seed])
            found.setdefault(label, {})[seed] = values
    return found


def trials(name, label):
    """{seed: {metric: value}} of a condition, without what is withdrawn."""
    found = every_trial(name)
    if label not in found:
        raise KeyError(f"{name} has no condition {label!r}; it has {sorted(found)}")
    return {seed: values for seed, values in found[label].items() if not is_withdrawn(name, label, seed)}


def values(name, label, metric):
    return sorted(one[metric] for one in trials(name, label).values() if one.get(metric) is not None)


def median_interval(ordered):
    """The 95 % interval of the median by order statistics, as the daemon takes it; None below six values."""
    n, below, rank = len(ordered), 0.0, 0
    while rank < n // 2 and 2 * (below + math.comb(n, rank) / 2**n) <= 0.05:
        below += math.comb(n, rank) / 2**n
        rank += 1
    return (ordered[rank - 1], ordered[n - rank]) if rank > 0 else None


def pairs(name, label, to_name, to_label, cap=None):
    """Differences of log `learned`, paired by seed; a pair with a never is left out, or with `cap` never is that.

    Withdrawn seeds too: a plan rests on what was seen when it was made.
    """
    one, other = every_trial(name)[label], every_trial(to_name)[to_label]
    found = []
    for seed in sorted(one.keys() & other.keys()):
        a, b = one[seed]["learned"], other[seed]["learned"]
        if cap is not None:
            a, b = min(a, cap), min(b, cap)
        if 0 < a < NEVER and 0 < b < NEVER:
            found.append(math.log(a) - math.log(b))
    return found


def pairs_needed(differences):
    """Pairs that settle a factor of 1.5: the normal formula, and with Guenther's correction, which the daemon says."""
    spread = statistics.stdev(differences)
    normal = (Z * spread / math.log(1.5)) ** 2
    return spread, math.ceil(normal), math.ceil(normal + 1.959963984540054**2 / 2)


def build_words(name):
    """The build that made a result, in words."""
    if document := result(name):
        build = document["build"]
        return (
            f"modpropd {build['version']}, commit {build['commit'][:12]}, build `{build['build']}`, "
            f"{build['instruction_set']} on {build['machine']}"
        )
    return withdrawn()["builds"][name]


# ---- words ----


def number(value, metric, digits=2):
    if value is None:
        return "-"
    if value == NEVER:
        return "never" if metric == "learned" else "no number"
    if metric in ("final_accuracy", "accuracy5"):
        return f"{100 * value:.1f} %"
    return f"{value:g}" if metric == "learned" else f"{value:.{digits}g}"


def median_words(name, label, metric):
    found = values(name, label, metric)
    return number(statistics.median(found), metric) if found else "-"


def interval_words(name, label, metric):
    found = median_interval(values(name, label, metric))
    return f"{number(found[0], metric)} to {number(found[1], metric)}" if found else "too few"


def range_words(name, label, metric):
    found = values(name, label, metric)
    return f"{number(found[0], metric)} to {number(found[-1], metric)}" if found else "-"


def calm_words(name, label):
    """The range of final accuracies of the runs that did not burst."""
    found = [one["final_accuracy"] for one in trials(name, label).values() if one["final_loss"] <= BURST]
    if not found:
        return "-"
    return f"{number(min(found), 'final_accuracy')} to {number(max(found), 'final_accuracy')}"


def burst_count(name, label):
    return sum(1 for one in values(name, label, "final_loss") if one > BURST)


def share_words(name, label):
    found = values(name, label, "learned")
    return f"{sum(1 for one in found if one < NEVER)} of {len(found)}"


COLUMNS = {
    "seeds": ("seeds", lambda name, label: str(len(trials(name, label)))),
    "learned": ("learned at, median", lambda name, label: median_words(name, label, "learned")),
    "interval": ("its 95 % interval", lambda name, label: interval_words(name, label, "learned")),
    "share": ("learned", share_words),
    "loss": ("final loss, median", lambda name, label: median_words(name, label, "final_loss")),
    "accuracy": ("final accuracy, median", lambda name, label: median_words(name, label, "final_accuracy")),
    "loss5": ("loss of the last five evaluations, median", lambda name, label: median_words(name, label, "loss5")),
    "accuracy5": ("accuracy of these, median", lambda name, label: median_words(name, label, "accuracy5")),
    "accuracy5_range": ("and its range", lambda name, label: range_words(name, label, "accuracy5")),
    "burst": ("burst", lambda name, label: str(burst_count(name, label))),
    "calm": ("accuracy of those that did not burst", calm_words),
}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def points(block):
    """A row a condition: `of` names an experiment, or lists [experiment, condition, what it is called here]."""
    columns = block.get("columns", ["seeds", "learned", "interval", "share", "loss"])
    rows = []
    listed = block["of"]
    if isinstance(listed, str):  # every condition of an experiment
        listed = [[listed, label] for label in every_trial(listed)]
    for name, label, *called in listed:
        rows.append([called[0] if called else label] + [COLUMNS[column][1](name, label) for column in columns])
    return table([block.get("head", "rule")] + [COLUMNS[column][0] for column in columns], rows)


def text(block):
    """Prose: {experiment|condition|column} stands for that cell of `points`."""

    def cell(match):
        name, label, column = match[1].split("|")
        return COLUMNS[column][1](name, label)

    return re.sub(r"\{([^{}]+)\}", cell, block["text"]) + "\n"


def build(block):
    """What made the results: one line an experiment."""
    return "".join(f"- `{name}`: {build_words(name)}\n" for name in block["of"])


def compare(block):
    """The daemon's paired comparisons of one metric."""
    document, rows = result(block["of"]), []
    for one in document["comparisons"]:
        if one["metric"] == block["metric"]:
            ratio = "-" if one["mean_difference"] is None else f"{math.exp(one['mean_difference']):.2f}"
            low, high = (one["difference_95"][end] for end in ("low", "high"))
            between = "-" if low is None else f"{math.exp(low):.2f} to {math.exp(high):.2f}"
            p = "-" if one["holm_p"] is None else f"{one['holm_p']:.2g}"
            won = f"{100 * one['won']:.0f} %"
            test = f"{one['sign_test_p']:.2g}"
            rows.append((one["label"], one["to_label"], one["n"], won, test, one["finite"], ratio, between, p))
    head = ["rule", "against", "pairs", "won", "p (sign test)", "both learned", "times as long", "95 % interval"]
    return table(head + ["p (sign flips, Holm)"], rows)


def costs():
    return json.loads((HERE / "costs.json").read_text())


def cost(block):
    """What an experiment costs, by the daemon's estimate."""
    rows = []
    for name in block["of"]:
        one, rate = costs()["experiments"][name], costs()["multiply_adds_per_second"]
        hours = one["multiply_adds"] / rate / 3600
        rows.append(
            (
                f"`{name}`",
                one["points"],
                one["trials"] // one["points"],
                one["trials"],
                f"{one['multiply_adds']:.2g}",
                f"{hours:.2g}",
                f"{one['memory_bytes'] / 2**20:.0f} MiB",
            )
        )
    return table(["experiment", "conditions", "seeds", "jobs", "multiply-adds", "core hours", "memory of a job"], rows)


def power(block):
    """Pairs that would settle a factor of 1.5, from the spread of stored pairs."""
    rows = []
    for name, label, to_name, to_label in block["of"]:
        for cap in (None, block["iterations"]):
            found = pairs(name, label, to_name, to_label, cap)
            spread, normal, corrected = pairs_needed(found)
            never = "left out" if cap is None else f"taken as {cap}"
            rows.append((f"{label} against {to_label}", never, len(found), f"{spread:.2f}", normal, corrected))
    head = ["pair", "never", "pairs seen", "spread of log iterations", "pairs needed", "with Guenther's correction"]
    return table(head, rows)


def each_seed(block):
    """Every seed of every condition, withdrawn ones marked."""
    name, rows = block["of"], []
    found = every_trial(name)
    keys = [key for key in ("learned", "final_loss", "final_accuracy") if any(key in one for one in first(found))]
    for label, seeds in found.items():
        for seed, one in sorted(seeds.items()):
            mark = " (withdrawn)" if is_withdrawn(name, label, seed) else ""
            rows.append([label, f"{seed}{mark}"] + [number(one.get(key), key, 4) for key in keys])
    heads = {"learned": "learned at", "final_loss": "final loss", "final_accuracy": "final accuracy"}
    return table(["condition", "seed"] + [heads[key] for key in keys], rows)


def first(found):
    return [one for seeds in found.values() for one in seeds.values()]


def gone(block):
    """The withdrawn rows."""
    rows = []
    for one in withdrawn()["rows"]:
        seeds = "all" if one["seeds"] is None else ", ".join(str(seed) for seed in one["seeds"])
        names = ", ".join(f"`{name}`" for name in one["experiments"])
        rows.append((names, one["condition"] or "all", seeds, one["found"]))
    return table(["experiment", "condition", "seeds", "what was found"], rows)


KINDS = {
    "points": points,
    "text": text,
    "build": build,
    "compare": compare,
    "cost": cost,
    "power": power,
    "withdrawn": gone,
    "trials": each_seed,
}


def filled(document, marks=True):
    """The document with every block made anew; without `marks` what they enclose stands alone, as pages have it."""

    def made(match):
        block = json.loads(match[1])
        inside = KINDS[block["kind"]](block)
        return f"<!-- stored {match[1]} -->\n\n{inside}\n<!-- stored end -->" if marks else f"\n{inside}"

    return BLOCK.sub(made, document)
