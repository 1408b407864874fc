"""modprop experiment, as a user types it: run, follow, show, compare, plot, extend, stop, delete; and mistakes."""

import json

import pytest
from conftest import Program

SMALL = [
    "--task",
    "delayed_xor",
    "--set",
    "network.units=16",
    "--set",
    "task.delay=10",
    "--set",
    "training.iterations=10",
    "--set",
    "training.evaluate_every=5",
    "--set",
    "training.batch_size=4",
]


@pytest.fixture
def made(modprop):
    out = modprop.run(
        "experiment", "run", *SMALL, "--rule", "bptt,eprop", "--seeds", "1-3", "--name", "pair", "--follow"
    )
    return out.stdout.splitlines()


def test_run_follows_and_ends_with_a_row_a_point(modprop, made):
    assert made[1].startswith(("running: ", "complete: ")) and "complete: 6 of 6 trials" in made
    heading = next(line for line in made if line.startswith("POINT"))
    assert heading.split() == ["POINT", "CONDITION", "SEEDS", "final_loss"]
    rows = [line.split()[:3] for line in made[made.index(heading) + 1 :]]
    assert rows == [["0", "bptt", "3"], ["1", "eprop", "3"]]


def test_what_it_shows_is_what_the_server_says(modprop, made):
    experiment = json.loads(modprop.run("experiment", "show", made[0], "--json").stdout)
    assert experiment["name"] == "pair" and experiment["status"] == "complete"
    points = json.loads(modprop.run("experiment", "trials", made[0], "--format", "json").stdout)["trials"]
    assert len(points) == 6
    shown = modprop.lines("experiment", "compare", made[0])
    answer = json.loads(modprop.run("experiment", "compare", made[0], "--json").stdout)["comparisons"]
    assert len(shown) == 1 + len(answer) == 2
    assert f"{answer[0]['mean_difference']:.3g} [" in shown[1] and "3 (few)" in shown[1]
    rows = modprop.lines("experiment", "trials", made[0], "--format", "csv")
    assert len(rows) == 7 and rows[0].startswith("point,")


def test_the_document_that_show_prints_can_be_run_again(modprop, made, tmp_path):
    document = tmp_path / "pair.json"
    document.write_text(modprop.run("experiment", "show", made[0], "--json").stdout)
    again = modprop.lines("experiment", "run", document, "--seeds", "1-4", "--follow")
    assert "complete: 8 of 8 trials" in again
    trials = json.loads(modprop.run("experiment", "trials", again[0], "--json").stdout)["trials"]
    assert sum(trial["linked"] for trial in trials) == 6, "trials that the server has are not run again"


def test_it_grows_by_seeds_and_values(modprop):
    made = modprop.lines("experiment", "run", *SMALL, "--set", "optimizer.learning_rate=0.001,0.002", "--seeds", "1")[0]
    modprop.run("experiment", "follow", made)
    modprop.run("experiment", "extend", made, "--seeds", "1-2", "--axis", "learning_rate=0.002,0.004")
    assert "complete: 6 of 6 trials" in modprop.lines("experiment", "follow", made)
    events = [json.loads(line) for line in modprop.lines("experiment", "follow", made, "--json")]
    assert sum(event["type"] == "trial" for event in events) == 6


def test_plot_has_the_servers_colours(modprop, made, tmp_path):
    figure = tmp_path / "loss.svg"
    modprop.run("experiment", "plot", made[0], "-o", figure)
    rules = json.loads(modprop.run("rules", "--json").stdout)["rules"]
    colours = {rule["type"]: rule["colour"] for rule in rules}
    text = figure.read_text()
    assert text.startswith("<svg ") and text.count('class="mean"') == 2 and text.count('class="seed"') == 4
    assert colours["bptt"] in text and colours["eprop"] in text
    assert "eprop" in modprop.run("experiment", "plot", made[0]).stdout


def test_pause_resume_cancel_retry_delete(modprop):
    long = [word.replace("iterations=10", "iterations=1000000") for word in SMALL]
    made = modprop.lines("experiment", "run", *long, "--rule", "bptt,eprop", "--seeds", "1-3")[0]
    assert "paused" in modprop.run("experiment", "pause", made).stdout
    assert "running" in modprop.run("experiment", "resume", made).stdout
    follower = modprop.start("experiment", "follow", made, text=True)
    assert follower.stdout.readline().startswith("running: ")
    assert modprop.lines("experiment", "list", "--quiet")[0] == made
    assert "cancel" in modprop.run("experiment", "cancel", made).stdout
    output, _ = follower.communicate(timeout=120)
    assert follower.returncode == 1 and "cancelled" in output
    assert "cancelled" in modprop.run("experiment", "follow", made, status=1).stdout
    modprop.run("experiment", "delete", made)
    modprop.run("experiment", "show", made, status=4)


def test_a_word_means_a_name_and_no_word_means_nothing(modprop):
    """An empty variable of a script deletes nothing, not even where there is one experiment alone."""
    first = modprop.lines("experiment", "run", *SMALL, "--rule", "bptt,eprop", "--name", "0")[0].split()[0]
    assert 'no experiment has "" as its name' in modprop.run("experiment", "delete", "", status=4).stderr
    modprop.run("experiment", "run", *SMALL, "--rule", "bptt,eprop", "--name", "1")
    assert json.loads(modprop.run("experiment", "show", "0", "--json").stdout)["id"] == first
    modprop.run("experiment", "run", *SMALL, "--rule", "bptt,eprop", "--name", "0")
    assert '"0" fits more than one experiment' in modprop.run("experiment", "show", "0", status=2).stderr


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["experiment", "show", "nothing"], 4, 'no experiment has "nothing" as its name'),
        (["experiment", "shwo"], 2, "did you mean modprop experiment show?"),
        (["experiment", "run"], 2, "needs a FILE"),
        (["rerun", "/nowhere"], 5, "is /nowhere a folder of modprop export?"),
        (["experiment", "run", *SMALL, "--seeds", "3-1"], 2, "--seeds must be numbers from 0 to 2^53-1 or ranges"),
        (["experiment", "run", *SMALL, "--rule", "bprop,eprop"], 4, "points.0.rule.type"),
        (["experiment", "extend", "latest"], 2, "say what is added or changed"),
        (["experiment", "extend", "latest", "--axis", "mu"], 2, "--axis must be NAME=VALUE"),
        (["experiment", "plot", "latest", "-o", "x.gif"], 2, ".svg"),
        (["submit", *SMALL, "--set", "iterations=3"], 4, 'not a known field; did you mean "training.iterations"?'),
        (["experiment", "run", *SMALL, "--set", "units=3"], 4, 'did you mean "network.units"?'),
    ],
)
def test_mistakes_are_named(modprop, words, status, says):
    assert says in modprop.run(*words, status=status).stderr


def test_the_speed_of_an_estimate_is_named(modprop, made):
    hours = next(line for line in modprop.lines("experiment", "validate", *SMALL) if line.startswith("core-hours"))
    assert hours.endswith(" (at the speed of recent jobs here)")


def test_what_there_is_not_is_named(modprop, made):
    said = modprop.run("experiment", "compare", made[0], "--axis", "rulee", status=4).stderr
    assert 'is not an axis of this experiment; it has rule; got "rulee"' in said
    said = modprop.run("experiment", "plot", made[0], "--metric", "losss", status=4).stderr
    assert '"losss" is not a curve; did you mean "loss"?' in said
    said = modprop.run("experiment", "plot", made[0], "--metric", "quality", status=4).stderr
    assert '"quality" is not a curve; there are loss, accuracy, ' in said
    said = modprop.run("experiment", "compare", made[0], "-m", "final:losss", status=4).stderr
    assert 'did you mean "loss"?' in said


def test_a_line_of_progress_is_said_once(modprop):
    made = modprop.lines("experiment", "run", *SMALL, "--seeds", "1-3", "--follow")
    said = [line for line in made if " of 3" in line]
    assert said[-1] == "complete: 3 of 3 trials" and len(said) == len(set(said))


def test_experiments_of_one_name(start, tmp_path):
    modprop = Program(tmp_path, start("--workers", "0").url)
    ids = [modprop.lines("experiment", "run", *SMALL, "--name", "two rules")[0] for _ in range(2)]
    said = modprop.run("experiment", "show", "two rules", status=2).stderr
    assert f"fits more than one experiment: {ids[1]}, {ids[0]}; give the id" in said
    modprop.run("experiment", "run", *SMALL, "--name", "two rules")
    assert f"{ids[1]}, ...; give the id" in modprop.run("experiment", "show", "two rules", status=2).stderr
    assert "; give more of the id" in modprop.run("experiment", "show", ids[0][:2], status=2).stderr


def test_a_comma_in_brackets_or_quotes_is_no_axis(modprop):
    answer = json.loads(
        modprop.run(
            "experiment", "validate", *SMALL, "--set", "metadata.a=[1,2]", "--set", 'metadata.b="x,y"', "--json"
        ).stdout
    )
    assert answer["points"] == 1


def test_submit_with_several_values_makes_an_experiment(modprop):
    made = modprop.lines("submit", *SMALL, "--set", "rule.mu=0.1,0.2", "--seeds", "1-2")
    assert len(made) == 1
    experiment = json.loads(modprop.run("experiment", "show", made[0], "--json").stdout)
    assert (experiment["points"], experiment["trials"]) == (2, 4)
