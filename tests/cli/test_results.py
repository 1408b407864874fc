"""Weights, metrics, comparisons, gradients and what describes them, against a real daemon."""

import csv
import io
import json
import os
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree

import pytest
from conftest import Program
from daemons import ROOT
from work import SHORT, digest, ended, submit

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def trained(modprop):
    [modprop.job] = submit(modprop, *SHORT)
    assert ended(modprop, modprop.job)["status"] == "succeeded"
    return modprop


def test_weights(trained, tmp_path):
    weights = json.loads(trained.run("weights", trained.job).stdout)
    assert digest(weights) == weights["sha256"]
    file = tmp_path / "w.json"
    trained.run("weights", "latest", "-o", file)
    assert json.loads(file.read_text()) == weights and [p.name for p in tmp_path.glob("w.json*")] == ["w.json"]
    mask = os.umask(0)
    os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~mask
    earlier = json.loads(trained.run("weights", trained.job, "--iteration", "20").stdout)
    assert earlier["iteration"] == 20 and earlier["sha256"] != weights["sha256"]
    assert trained.run("weights", trained.job, "--iteration", "7", status=4).stdout == ""
    assert "60" in [line.split()[0] for line in trained.lines("checkpoints", trained.job)[1:]]


def test_safetensors(trained, tmp_path):
    file = tmp_path / "w.safetensors"
    trained.run("weights", trained.job, "-o", file)
    piped = trained.run("weights", trained.job, "--format", "safetensors", text=False).stdout
    assert piped == file.read_bytes()
    size = struct.unpack("<Q", piped[:8])[0]
    assert json.loads(piped[8 : 8 + size])["W"]["shape"] == [20, 20]


def test_output_that_cannot_be_written(trained, tmp_path):
    assert "cannot write" in trained.run("weights", trained.job, "-o", tmp_path / "none" / "w.json", status=5).stderr
    assert "Is a directory" in trained.run("weights", trained.job, "-o", tmp_path, status=5).stderr
    assert "cannot write" in trained.run("metrics", trained.job, "-o", "/dev/full", status=5).stderr
    trained.run("metrics", trained.job, "-o", "/dev/null")


def test_metrics(trained):
    rows = list(csv.DictReader(io.StringIO(trained.run("metrics", trained.job).stdout)))
    assert [row["iteration"] for row in rows] == ["0", "20", "40", "60"] and all(float(row["loss"]) > 0 for row in rows)
    document = json.loads(trained.run("metrics", trained.job, "--json", "--keys", "loss").stdout)
    assert document["iteration"] == [0, 20, 40, 60] and "accuracy" not in document
    assert document["loss"] == [float(row["loss"]) for row in rows]
    assert trained.run("metrics", trained.job, "--json").stdout.endswith("}\n")
    for words, sentence in (
        (("metrics", trained.job, "--keys", "accuracy,los"), '"los" is not a curve; did you mean "loss"?'),
        (("compare", trained.job, "--metric", "acuracy"), 'got "acuracy"'),
    ):
        assert sentence in trained.run(*words, status=4).stderr


def test_spectrum(trained, tmp_path):
    document = json.loads(trained.run("spectrum", trained.job, "--json").stdout)
    weights = json.loads(trained.run("weights", trained.job).stdout)
    assert document["sha256"] == weights["sha256"] and len(document["real"]) == 20
    assert sum(document["real"]) == pytest.approx(0, abs=1e-6)  # the trace of W, whose diagonal is empty
    file = tmp_path / "spectrum.csv"
    trained.run("spectrum", "latest", "-o", file)
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [float(row["real"]) for row in rows] == document["real"]
    assert [float(row["imaginary"]) for row in rows] == document["imaginary"]
    earlier = json.loads(trained.run("spectrum", trained.job, "--iteration", "20", "--json").stdout)
    assert earlier["iteration"] == 20 and earlier["real"] != document["real"]
    assert "no intact checkpoint" in trained.run("spectrum", trained.job, "--iteration", "7", status=4).stderr


def test_compare(modprop):
    jobs = submit(modprop, *SHORT, "--seed", "1-2") + submit(modprop, *SHORT, "--rule", "eprop", "--seed", "1-2")
    documents = [ended(modprop, job) for job in jobs]
    members, points, pairs = modprop.run("compare", *jobs, "--under", "10").stdout.split("\n\n")
    assert [line.split()[1:4] for line in members.splitlines()[1:]] == [
        ["modprop", "1", jobs[0]],
        ["modprop", "2", jobs[1]],
        ["eprop", "1", jobs[2]],
        ["eprop", "2", jobs[3]],
    ]
    assert [line.split()[:3] for line in points.splitlines()[1:]] == [["0", "modprop", "2"], ["1", "eprop", "2"]]
    assert [line.split()[:3] for line in pairs.splitlines()[1:]] == [
        [metric, "eprop", "modprop"] for metric in ("final_loss", "best_loss", "learned")
    ]
    answer = json.loads(modprop.run("compare", *jobs, "--json").stdout)
    losses = [document["metrics"]["loss"] for document in documents]
    assert [trial["metrics"]["final_loss"] for trial in answer["trials"]] == losses
    assert answer["points"][0]["metrics"]["final_loss"]["mean"] == pytest.approx((losses[0] + losses[1]) / 2)
    found = json.loads(modprop.run("compare", "--query", "rule:modprop,eprop", "--by", "rule", "--json").stdout)
    assert [point["metrics"] for point in sorted(found["points"], key=lambda point: point["label"])] == [
        point["metrics"] for point in sorted(answer["points"], key=lambda point: point["label"])
    ]
    assert "named twice" in modprop.run("compare", jobs[0], jobs[0].upper(), status=2).stderr
    assert "not both" in modprop.run("compare", jobs[0], "--query", "seed:1", status=2).stderr
    plot = modprop.run("compare", *jobs, "--plot", "-", environment={"LC_ALL": "C"}).stdout
    assert "a modprop" in plot and "b eprop" in plot and plot.isascii()


def test_compare_draws_svg(modprop, tmp_path):
    jobs = submit(modprop, *SHORT, "--seed", "1-3") + submit(modprop, *SHORT, "--rule", "eprop")
    for job in jobs:
        ended(modprop, job)
    curves = tmp_path / "curves.svg"
    modprop.run("compare", *jobs, "--plot", curves)
    root = xml.etree.ElementTree.parse(curves).getroot()
    paths = root.findall(f".//{SVG}path")
    assert len([path for path in paths if path.get("class") == "mean"]) == 2
    seeds = [path for path in paths if path.get("class") == "seed"]
    assert len(seeds) == 3
    # Each seed's curve has the four evaluations, inside the picture, from left to right.
    for path in seeds:
        points = [tuple(map(float, point.split())) for point in re.findall(r"[ML]([\d.]+ [\d.]+)", path.get("d"))]
        assert (
            len(points) == 4 and points == sorted(points) and all(70 <= x <= 780 and 40 <= y <= 420 for x, y in points)
        )
    modprop.run("compare", *jobs, "--plot", curves, "--scale", "linear", "--metric", "accuracy")
    assert [text.text for text in xml.etree.ElementTree.parse(curves).getroot().iter(f"{SVG}text")].count(
        "accuracy"
    ) == 1


def test_compare_draws_png_by_gnuplot(trained, tmp_path):
    curves = tmp_path / "curves.png"
    result = trained.run("compare", trained.job, "--plot", curves, status=5, environment={"PATH": "/nonexistent"})
    assert "gnuplot" in result.stderr and ".svg" in result.stderr and not curves.exists()
    if shutil.which("gnuplot") is None:
        pytest.skip("gnuplot is not installed")
    trained.run("compare", trained.job, "--plot", curves)
    assert curves.read_bytes().startswith(b"\x89PNG")


def test_gradients(modprop, tmp_path):
    case = json.loads((ROOT / "tests" / "golden" / "gradients.json").read_text())[0]
    body = {name: case[name] for name in ("network", "inputs", "targets", "mask", "loss")} | {
        "rules": [{"type": "bptt"}, {"type": "eprop"}]
    }
    file = tmp_path / "case.json"
    file.write_text(json.dumps(body))
    lines = modprop.lines("gradients", file)
    assert float(lines[0].split()[1]) == pytest.approx(case["expected_loss"], rel=1e-4)
    assert lines[3].split() == ["bptt"] + ["1.0000"] * 6
    out = tmp_path / "answer.json"
    modprop.run("gradients", file, "-o", out)
    assert [rule["rule"]["type"] for rule in json.loads(out.read_text())["rules"]] == ["bptt", "eprop"]
    file.write_text("{\n  oops")
    assert f"{file} is not JSON: line 2" in modprop.run("gradients", file, status=2).stderr


def safetensors(path, **tensors):
    """Little-endian float32 and int64 lists as a safetensors file."""
    header, data = {}, b""
    for name, (kind, shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}{'f' if kind == 'F32' else 'q'}", *values)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_datasets(modprop, tmp_path):
    """A user's own data: stored, listed, trained on, deleted."""
    file = tmp_path / "signs.safetensors"
    steps, trials = 10, 8
    inputs = [float((trial % 2) * 2 - 1) for _ in range(steps) for trial in range(trials)]
    safetensors(
        file,
        inputs=("F32", [steps, trials, 1], inputs),
        targets=("I64", [steps, trials], [trial % 2 for _ in range(steps) for trial in range(trials)]),
    )
    assert "no datasets yet" in modprop.run("datasets").stderr
    stored = modprop.run("datasets", "put", "signs", file).stdout
    [heading, row] = modprop.lines("datasets")
    assert row.split()[:3] == ["signs", "10", "8"] and row.split()[-1] in stored
    assert modprop.run("datasets", "show", "signs").stdout == stored
    modprop.run("datasets", "get", "signs", "-o", tmp_path / "back.safetensors")
    assert (tmp_path / "back.safetensors").read_bytes() == file.read_bytes()
    assert modprop.run("datasets", "get", "signs", text=False).stdout == file.read_bytes()
    modprop.run("datasets", "get", "none", "-o", tmp_path / "none", status=4)
    assert not (tmp_path / "none").exists()
    assert json.loads(modprop.run("datasets", "show", "signs", "--json").stdout)["sha256"] == row.split()[-1]
    [job] = submit(
        modprop,
        "--task",
        "dataset",
        "--set",
        "task.name=signs",
        "--set",
        "training.iterations=20",
        "--set",
        "network.units=10",
    )
    assert ended(modprop, job)["status"] == "succeeded"
    modprop.run("delete", job)
    assert "signs  deleted" in modprop.run("datasets", "delete", "signs").stdout
    modprop.run("datasets", "show", "signs", status=4)
    modprop.run("datasets", "put", "signs", tmp_path / "signs.safetensors")
    assert json.loads(modprop.run("datasets", "delete", "signs", "--json").stdout) == {
        "name": "signs",
        "status": "deleted",
    }
    assert "safetensors" in modprop.run("datasets", "put", "bad", __file__, status=4).stderr
    assert "is a directory" in modprop.run("datasets", "put", "bad", tmp_path, status=2).stderr


def test_a_dataset_from_a_pipe(modprop, tmp_path):
    file = tmp_path / "d.safetensors"
    safetensors(file, inputs=("F32", [2, 1, 1], [0.0, 1.0]), targets=("I64", [2, 1], [0, 1]))
    modprop.run("datasets", "put", "piped", "-", input=file.read_bytes(), text=False)
    assert modprop.lines("datasets")[1].split()[:3] == ["piped", "2", "1"]


def test_simulate(trained, tmp_path):
    out = tmp_path / "activity.json"
    text = trained.run("simulate", trained.job, "--trials", "3", "--units", "0,19", "--every", "2", "-o", out).stdout
    activity = json.loads(out.read_text())
    steps = len(activity["outputs"])
    assert len(activity["rates"][0]) == 3 and len(activity["rates"][0][0]) == 2
    assert re.search(rf"^rates +{steps} x 3 x 2$", text, re.M) and re.search(rf"^outputs +{steps} x 3 x 2$", text, re.M)
    again = json.loads(
        trained.run("simulate", trained.job, "--trials", "3", "--units", "0,19", "--every", "2", "--json").stdout
    )
    assert again == activity
    listed, ranged = (
        trained.run("simulate", trained.job, "--units", units, "--json").stdout for units in ("3,4,5,0", "3-5,0")
    )
    assert ranged == listed and json.loads(ranged)["units"] == [3, 4, 5, 0]
    for wrong in ("0,,1", "5-3", "1-", "-1", "1-2-3", "0,", "a", "0-99999999999"):
        assert "--units must be" in trained.run("simulate", trained.job, f"--units={wrong}", status=2).stderr, wrong
    assert "units" in trained.run("simulate", trained.job, "--units", "20", status=4).stderr
    ask = tmp_path / "ask.json"
    ask.write_text(json.dumps({"inputs": [[[0.0, 0.0]]] * 5, "units": [1]}))
    assert re.search(r"^rates +5 x 1 x 1$", trained.run("simulate", trained.job, "--input", ask).stdout, re.M)


def test_evaluate(trained):
    plain = json.loads(trained.run("evaluate", trained.job, "--trials", "20", "--json").stdout)
    assert plain["trials"] == 20 and plain["loss"] > 0 and 0 <= plain["accuracy"] <= 1
    text = trained.run("evaluate", trained.job, "--trials", "20").stdout
    assert re.search(r"^loss +[0-9.]+", text, re.M) and re.search(r"^split +fresh$", text, re.M)
    same = json.loads(trained.run("evaluate", trained.job, "--trials", "20", "--weights", "latest", "--json").stdout)
    assert same["loss"] == plain["loss"], "the newest job is the one"
    hurt = trained.run("evaluate", trained.job, "--trials", "20", "--silence", "0-3,7", "--noise", "0.5", "--json")
    assert json.loads(hurt.stdout)["loss"] != plain["loss"]
    activity = json.loads(trained.run("simulate", trained.job, "--silence", "2", "--units", "2,3", "--json").stdout)
    assert not any(step[0][0] for step in activity["rates"]) and any(step[0][1] for step in activity["rates"])
    assert "--noise must be" in trained.run("evaluate", trained.job, "--noise", "much", status=2).stderr
    assert "--silence must be" in trained.run("evaluate", trained.job, "--silence", "x", status=2).stderr
    assert "dataset" in trained.run("evaluate", trained.job, "--dataset", "none", status=4).stderr
    assert "test split" in trained.run("evaluate", trained.job, "--split", "test", status=4).stderr


def test_analyse(trained, tmp_path):
    listed = trained.lines("analyses")
    assert "dimensionality" in listed and "lesions" in listed
    explained = trained.run("analyses", "dimensionality").stdout
    assert (
        re.search(r"^  components = 3 ", explained, re.M) and "gives trajectories (step, trial, component)" in explained
    )
    assert "did you mean dimensionality" in trained.run("analyses", "dimensionalty", status=2).stderr
    text = trained.run("analyse", trained.job, "dimensionality", "--with", "trials=4", "-w", "components=2").stdout
    assert re.search(r"^participation_ratio +[0-9.]+", text, re.M)
    assert re.search(r"^trajectories .*step \d+ x trial 4 x component 2", text, re.M)
    kept = tmp_path / "space.json"
    trained.run("analyse", "latest", "lesions", "--with", "of=units", "-o", kept)
    assert len(json.loads(kept.read_text())["results"]["unit_loss"]["values"]) == 20
    whole = json.loads(trained.run("analyse", trained.job, "selectivity", "--iteration", "40", "--json").stdout)
    assert whole["type"] == "selectivity" and whole["iteration"] == 40
    assert "NAME=VALUE" in trained.run("analyse", trained.job, "lesions", "--with", "of", status=2).stderr
    assert "must be one of" in trained.run("analyse", trained.job, "lesions", "--with", "of=x", status=4).stderr


def test_tasks_and_rules(modprop):
    assert "delayed_xor" in modprop.lines("tasks") and "eprop" in modprop.lines("rules")
    text = modprop.run("rules", "modprop").stdout
    assert "rule.mu = 0.25  (number from 0 to 1 | auto | array | object with gain_at_most, every, mu)" in text
    assert f"rule.weights = cell  ({' | '.join(WEIGHTS)})" in text
    assert "training.iterations = 3000" in modprop.run("tasks", "delayed_xor").stdout
    assert json.loads(modprop.run("rules", "eprop", "--json").stdout)["type"] == "eprop"
    assert "did you mean modprop?" in modprop.run("rules", "modpro", status=2).stderr


def test_doctor(modprop):
    checks = [line.split()[:2] for line in modprop.lines("doctor")]
    limits = r"as this program \(\d+ cores?, \d+ workers?, [\d.]+ [KMG]iB of memory\)$"
    assert re.search("^ok    version .*" + limits, modprop.run("doctor").stdout, re.M)
    assert checks == [
        ["ok", name] for name in ("configuration", "server", "token", "reachable", "ready", "version", "access")
    ]
    assert json.loads(modprop.run("doctor", "--json").stdout)["ok"] is True


def test_doctor_describes_the_device(start, tmp_path):
    try:
        daemon = start("--device", "opencl:0", "--device-jobs", "2")
    except RuntimeError as error:
        pytest.skip(f"SKIPPED: {error}")
    found = Program(tmp_path, daemon.url).run("doctor").stdout
    assert re.search(r"^ok    device +opencl:0, \S.*: 0 jobs run there, 0 B of [\d.]+ [KMGT]iB taken$", found, re.M), (
        found
    )


def test_https_where_there_is_none(modprop):
    address = modprop.environment["MODPROP_SERVER"].replace("http:", "https:")
    assert "does not use TLS (is it an http:// address?)" in modprop.run("list", "-s", address, status=3).stderr


def test_a_daemon_with_a_token_and_a_certificate_of_its_own(start, tmp_path):
    """The whole way over TLS, all settings from the configuration file."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*openssl, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    url = start("--tls-cert", certificate, "--tls-key", key, "--create-token", data=tmp_path / "data").url
    modprop = Program(tmp_path)
    assert "(is it an https:// address?)" in modprop.run("list", "-s", url.replace("https:", "http:"), status=3).stderr
    assert "is not trusted (--ca-file names the authority's)" in modprop.run("list", "-s", url, status=3).stderr
    error = modprop.run("list", "-s", url, "--ca-file", tmp_path / "none.pem", status=3).stderr
    assert f"the certificates in {tmp_path}/none.pem cannot be used" in error
    assert "(401)" in modprop.run("list", "-s", url, "--ca-file", certificate, status=4).stderr
    config = tmp_path / ".config" / "modprop" / "config"
    config.parent.mkdir(parents=True)
    config.write_text(f"server = {url}\ntoken_file = {tmp_path}/data/token\nca_file = {certificate}\n")
    assert modprop.run("doctor").stdout.count("ok  ") == 7
    followed = modprop.run("submit", *SHORT, "--follow").stdout
    assert "succeeded after 60 iterations" in followed
    weights = json.loads(modprop.run("weights", "latest").stdout)
    assert digest(weights) == weights["sha256"]


def test_tokens(start, tmp_path):
    modprop = Program(tmp_path, start("--create-token", data=tmp_path / "data").url)
    assert "token" in modprop.run("list", status=4).stderr
    assert "FAIL  access" in modprop.run("doctor", status=1).stdout
    modprop.run("list", "--token", "wrong", status=4)
    modprop.run("list", environment={"MODPROP_TOKEN_FILE": str(tmp_path / "data" / "token")})
    assert modprop.run("doctor", "--token-file", tmp_path / "data" / "token").stdout.count("ok  ") == 7


# ---- completion ------------------------------------------------------------------------------------------------------


def candidates(modprop, *words):
    return [line.split("\t")[0] for line in modprop.lines("complete", "--", *words)]


def test_complete(trained):
    assert candidates(trained, "fol") == ["follow"]
    assert "put" in candidates(trained, "datasets", "")
    assert candidates(trained, "list", "--status", "canc") == ["cancelling", "cancelled"]
    assert candidates(trained, "list", "--status=canc") == ["--status=cancelling", "--status=cancelled"]
    assert "--follow" in candidates(trained, "submit", "--fo")
    assert candidates(trained, "submit", "") == [":files"]
    assert candidates(trained, "submit", "--rule", "e") == ["eprop"]
    assert candidates(trained, "submit", "--set", "rule.mu") == ["rule.mu="]
    paths = candidates(trained, "submit", "--set", "")
    assert len(paths) == len(set(paths)) and {"task.delay=", "network.units=", "optimizer.decay=", "rule.taps="} <= set(
        paths
    )
    assert candidates(trained, "compl") == ["completion"]
    assert candidates(trained, "show", "") == ["latest", trained.job]
    assert candidates(trained, "nothing", "") == []


# ---- answers as a reader wants them ----------------------------------------------------------------------------------


def test_an_accuracy_is_learned_above_its_bound(modprop):
    jobs = submit(modprop, *SHORT, "--set", "training.iterations=200", "--seed", "1-2")
    modprop.run("follow", *jobs)
    for words, over in ((["--metric", "accuracy"], 0.95), (["--metric", "accuracy", "--over", "0.3"], 0.3)):
        answer = json.loads(modprop.run("compare", *jobs, *words, "--json").stdout)
        for trial, job in zip(answer["trials"], jobs, strict=True):
            curve = json.loads(modprop.run("metrics", job, "--json").stdout)
            rows = [value > over for value in curve["accuracy"]]
            first = next((i for i in range(len(rows) - 4) if all(rows[i : i + 5])), None)
            assert trial["metrics"]["learned"] == ("never" if first is None else curve["iteration"][first])
    modprop.run("compare", *jobs, "--under", "1", "--over", "2", status=2)
    assert "--over must be a number" in modprop.run("compare", *jobs, "--over", "x", status=2).stderr


def test_an_answer_to_standard_output_is_json_alone(modprop, tmp_path):
    [job] = submit(modprop, *SHORT)
    modprop.run("follow", job)
    shown = json.loads(modprop.run("simulate", job, "-o", "-").stdout)
    assert set(shown) >= {"inputs", "rates", "outputs"}
    modprop.run("simulate", job, "-o", tmp_path / "s.json")
    modprop.run("weights", job, "-o", tmp_path / "w.json")
    for name in ("s.json", "w.json"):
        assert (tmp_path / name).read_bytes().endswith(b"}\n")
    for words in (["show", job, "--json"], ["weights", job], ["metrics", job, "--json"], ["simulate", job, "--json"]):
        assert modprop.run(*words).stdout.endswith("}\n")


WEIGHTS = ["cell", "type", "given", "random", "shuffled"]


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--set", "rule.weights="], [f"rule.weights={word}" for word in WEIGHTS]),
        (["--set", "rule.weights=c"], ["rule.weights=cell"]),
        (["--set=rule.weights="], [f"--set=rule.weights={word}" for word in WEIGHTS]),
        (["--set", "rule.weights", "="], WEIGHTS),
        (["--set", "rule.weights", "=", "t"], ["type"]),
        (["--set", "=", "network.dale", "="], ["true", "false"]),
        (["--set", "training.batch_size="], ["training.batch_size=32"]),
        (["--set", "task.type=delayed_x"], ["task.type=delayed_xor"]),
        (["--set", "rule.nothing="], []),
    ],
)
def test_values_of_settings_are_completed(modprop, words, expected):
    assert [line.partition("\t")[0] for line in modprop.lines("complete", "--", "submit", *words)] == expected
