"""Datasets made from sequences, from files of time series and from recordings of spikes; and Spikes themselves."""

from __future__ import annotations

import gzip
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from modprop import Client, Spikes, datasets
from modprop._arrays import dataset_arrays, dataset_bytes, dataset_file

TRAIN = """# comment
@problemName Small
@timeStamps false
@univariate false
@classLabel true low high
@data
1,2,3:-1,-2,-3:low

5,6:-5,-6:high
"""
TEST = TRAIN.replace("1,2,3:-1,-2,-3:low", "4:-4:high")


def spikes(**changed):
    """Six spikes of three trials, out of order; trial 1 has none."""
    lists = {"trials": [2, 0, 2, 0, 0, 2], "times": [1, 3, 1, 0, 3, 9], "units": [1, 4, 0, 2, 4, 0]}
    return Spikes(**{name: np.array(values) for name, values in lists.items()} | {"shape": (10, 3, 5)} | changed)


# ---- spikes


def test_spikes_are_sorted_and_counted():
    sorted_spikes = spikes()
    assert sorted_spikes.trials.tolist() == [0, 0, 0, 2, 2, 2] and sorted_spikes.times.tolist() == [0, 3, 3, 1, 1, 9]
    assert sorted_spikes.units.tolist() == [2, 4, 4, 0, 1, 0] and len(sorted_spikes) == 6
    counts = sorted_spikes.counts()
    assert counts.shape == (10, 3, 5) and counts.sum() == 6 and counts[3, 0, 4] == 2 and not counts[:, 1].any()
    binned = sorted_spikes.counts(bin=4)
    assert binned.shape == (3, 3, 5) and binned[0, 0].tolist() == [0, 0, 1, 0, 2] and binned[2, 2, 0] == 1


def test_spikes_whose_shape_is_beyond_64_bits_are_sorted_too():
    sorted_spikes = spikes(shape=(2**31 - 1, 2**31 - 1, 16384))
    assert [getattr(sorted_spikes, name).tolist() for name in ("trials", "times", "units")] == [
        getattr(spikes(), name).tolist() for name in ("trials", "times", "units")
    ]


def test_spikes_of_lists():
    made = Spikes.from_lists([[0, 3, 3], [], [1, 1, 9]], [[2, 4, 4], [], [1, 0, 0]])
    assert made.shape == (10, 3, 5) and np.array_equal(made.counts(), spikes().counts())
    assert Spikes.from_lists([[0]], [[0]], ticks=7, inputs=9).shape == (7, 1, 9)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"shape": (10, 3)}, r"must be \(T,B,I\), each at least 1; got \(10, 3\)"),
        ({"shape": (10, 0, 5)}, "each at least 1"),
        ({"shape": (10, 3, 4)}, "the units of spikes must be from 0 to 3, as the shape says; number 1 is 4"),
        ({"trials": np.array([-1] * 6)}, "the trials of spikes must be from 0 to 2, as the shape says; number 0 is -1"),
        ({"times": np.zeros(6)}, r"the times of spikes must be a list of integers; got float64 of shape \(6,\)"),
        ({"times": np.zeros((6, 1), int)}, "the times of spikes must be a list of integers"),
        ({"units": np.zeros(5, int)}, "one trial, time and unit each; got 6 trials, 6 times, 5 units"),
    ],
)
def test_wrong_spikes_are_named(changed, message):
    with pytest.raises(ValueError, match=message):
        spikes(**changed)


def test_wrong_lists_of_spikes_are_named():
    with pytest.raises(ValueError, match="lists of as many trials; got 1 and 2"):
        Spikes.from_lists([[1]], [[1], [2]])
    with pytest.raises(ValueError, match="trial 1 must have a time and a unit a spike; got 2 and 1"):
        Spikes.from_lists([[], [1, 2]], [[], [1]])
    with pytest.raises(ValueError, match="at least one spike"):
        Spikes.from_lists([[]], [[]])


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"targets": [0, 1]}, "targets must be a class for each of the 3 trials of inputs"),
        ({"targets": np.zeros((9, 3), int)}, r"targets must begin with the \(T,B\) of inputs, \(10, 3\)"),
        ({"targets": [0.0, 1.0, 0.0]}, r"targets of shape \(B\) are classes and must be integers"),
        ({"mask": np.ones((3, 10))}, "mask must begin with"),
        ({"test_inputs": np.zeros((10, 2, 5)), "test_targets": [0, 1]}, "test_inputs must be Spikes where inputs are"),
        (
            {"test_inputs": spikes(shape=(11, 3, 5)), "test_targets": [0, 1, 0]},
            "test_inputs must have the shape of inputs",
        ),
    ],
)
def test_what_does_not_fit_spikes_is_named(arrays, message):
    with pytest.raises(ValueError, match=message):
        dataset_bytes({"inputs": spikes(), "targets": [0, 1, 0]} | arrays)


def test_a_dataset_of_spikes_goes_up_and_comes_back(client, tmp_path):
    arrays = {"inputs": spikes(), "targets": np.array([0, 1, 0]), "test_inputs": spikes(), "test_targets": [1, 0, 0]}
    dataset = client.dataset(**arrays)
    shown = {name: dataset.document[name] for name in ("steps", "trials", "inputs", "spikes", "test_spikes")}
    assert shown == {"steps": 10, "trials": 3, "inputs": 5, "spikes": 6, "test_spikes": 6}
    back = client.dataset_arrays(dataset)
    assert set(back) == set(arrays) and back["inputs"].shape == (10, 3, 5)
    assert np.array_equal(back["inputs"].counts(), spikes().counts())
    assert client.dataset(**back).sha256 == dataset.sha256, "the same bytes"
    datasets.Trials(arrays).save(tmp_path / "spikes.safetensors")
    lists = {f"spikes_{name}": getattr(spikes(), name) for name in ("trials", "times", "units")}
    lists |= {"targets": arrays["targets"], "shape": (10, 3, 5)}
    np.savez(tmp_path / "spikes.npz", **lists, **{f"test_{name}": value for name, value in lists.items()})
    assert client.dataset_file(tmp_path / "spikes.safetensors").sha256 == dataset.sha256
    assert client.dataset_file(tmp_path / "spikes.npz").document["spikes"] == 6
    task = {"type": "dataset", "name": dataset.name, "bin": 2}
    training = {"iterations": 2, "batch_size": 2}
    job = client.train(task, "eprop", network={"model": "lif", "units": 8}, training=training)
    assert job.wait().status == "succeeded"


def test_files_of_spikes_that_lack_something_are_named(tmp_path):
    lists = {f"spikes_{name}": getattr(spikes(), name) for name in ("trials", "times", "units")}
    for missing in ("spikes_units", "shape"):
        np.savez(tmp_path / "a.npz", **{n: v for n, v in (lists | {"shape": (10, 3, 5)}).items() if n != missing})
        with pytest.raises(ValueError, match=f"a dataset of spikes needs {missing}, which is not there"):
            dataset_file(tmp_path / "a.npz")


# ---- sequences


def test_sequences_of_unequal_length():
    sequences, labels = [[[1, 2], [3, 4]], [[5, 6]], [[7, 8], [9, 10], [11, 12]]], ["b", "a", "b"]
    trials = datasets.from_sequences(sequences, labels, test=([[[1, 1]]], ["a"]))
    assert trials.classes == ("a", "b") and trials["targets"].tolist() == [1, 0, 1]
    assert trials["inputs"][:, 0].tolist() == [[1, 2], [3, 4], [0, 0]] and trials["inputs"].dtype == np.float32
    assert trials["mask"].T.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]
    assert trials["test_inputs"].shape == (3, 1, 2) and trials["test_mask"][:, 0].tolist() == [1, 0, 0]
    last = datasets.from_sequences(sequences, labels, count="last", hold=2)
    assert last["inputs"][:, 1, 0].tolist() == [5, 5, 0, 0, 0, 0]
    assert last["mask"].T.tolist() == [[0, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]
    assert "inputs (3, 3, 2)" in repr(trials) and "2 classes" in repr(trials)
    assert set(dataset_arrays(dataset_bytes(trials))) == set(trials)


def test_standardized_sequences():
    trials = datasets.from_sequences([[1, 5], [3]], [0, 1], test=([[4, 4]], [1]), standardize=True)
    elements = trials["inputs"][trials["mask"] == 1]
    assert elements.shape == (3, 1) and abs(elements.mean()) < 1e-6 and abs(elements.std() - 1) < 1e-6
    assert trials["inputs"][1, 1, 0] == 0, "what follows a sequence stays 0"
    assert np.allclose(trials["test_inputs"].ravel(), (4 - 3) / np.std([1, 5, 3]))
    assert not datasets.from_sequences([[2, 2]], [0], standardize=True)["inputs"].any()


def test_values_of_sequences():
    trials = datasets.from_sequences([[1], [2, 3]], values=[0.5, -1], count="last")
    assert trials["targets"].shape == (2, 2, 1) and trials["targets"][:, 1, 0].tolist() == [-1, -1]
    assert trials.classes == ()


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (([[1]],), {}, "either labels or values"),
        (([[1]], [0]), {"values": [1]}, "either labels or values"),
        (([[1]], [0, 1]), {}, "a label for each sequence; got 2 for 1 sequences"),
        (([], []), {}, "at least one sequence"),
        (([[1], []], [0, 1]), {}, r"sequence 1 must have the shape \(steps, inputs\), neither 0; got \(0, 1\)"),
        (([[[1]], [[1, 2]]], [0, 1]), {}, "sequence 1 must have as many inputs as the first, 1; it has 2"),
        (([[1, np.nan]], [0]), {}, "sequence 0 must hold finite numbers; one at step 1 is not"),
        (([[1]], [0]), {"test": ([[1]], [1])}, "test labels must be those of training sequences; 1 is not"),
        (([[1]], [0]), {"test": ([[np.inf]], [0])}, "test sequence 0 must hold finite numbers"),
        (([[1]], [0]), {"hold": 0}, "hold must be at least 1"),
        (([[1]], [0]), {"count": "first"}, 'count "every" or "last"'),
    ],
)
def test_wrong_sequences_are_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.from_sequences(*arguments, **options)


def write(folder, **texts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.ts").write_text(text)
    return folder


def test_files_of_series(tmp_path):
    folder = write(tmp_path, train=TRAIN, test=TEST)
    trials = datasets.from_ts(folder / "train.ts", folder / "test.ts", hold=2)
    assert trials.classes == ("high", "low") and trials["targets"].tolist() == [1, 0]
    assert trials["inputs"].shape == (6, 2, 2) and trials["inputs"][:4, 1].tolist() == [[5, -5]] * 2 + [[6, -6]] * 2
    assert trials["test_targets"].tolist() == [0, 0] and trials["test_mask"].sum(0).tolist() == [2, 4]
    write(
        folder,
        values=TRAIN.replace("@classLabel true low high", "@targetLabel true")
        .replace("low", "1.5")
        .replace("high", "2"),
    )
    assert datasets.from_ts(folder / "values.ts")["targets"][0, :, 0].tolist() == [1.5, 2]


@pytest.mark.parametrize(
    "text, message",
    [
        (TRAIN.replace("@data", ""), "a.ts is not a .ts file: it has no line @data"),
        (TRAIN.replace("@classLabel true low high", "@classLabel false"), "neither @classLabel nor @targetLabel"),
        (TRAIN.replace("@timeStamps false", "@timeStamps true"), "time stamps"),
        (TRAIN.replace("-6", "?"), "a.ts, line 9: a number must stand here; got '\\?'"),
        (TRAIN.replace("5,6:", "5:"), r"line 9: the inputs of a series must be of one length; got \[1, 2\]"),
        (TRAIN.replace("5,6:-5,-6", "5,6"), "sequence 1 must have as many inputs as the first, 2; it has 1"),
        ("", "is not a .ts file"),
    ],
)
def test_wrong_files_of_series_are_named(tmp_path, text, message):
    write(tmp_path, a=text)
    with pytest.raises(ValueError, match=message):
        datasets.from_ts(tmp_path / "a.ts")


def test_the_package_aeon_is_read_installed_or_as_a_wheel(tmp_path, monkeypatch):
    folder = write(
        tmp_path / "aeon" / "datasets" / "data" / "Small", Small_TRAIN=TRAIN, Small_TEST=TEST, Other_TRAIN=TEST
    )
    wheel = tmp_path / "aeon.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.relative_to(tmp_path))
    (tmp_path / "aeon" / "__init__.py").write_text("raise RuntimeError('it need not be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for source in (None, wheel, folder.parent):
        assert datasets.aeon_names(source) == ["Small"], "Other has no test file"
        trials = datasets.aeon("Small", source=source)
        assert trials["test_targets"].tolist() == [0, 0] and trials["inputs"].shape == (3, 2, 2)
    with pytest.raises(ValueError, match="there is no problem 'JapaneseVowels' in .*; there are Small"):
        datasets.aeon(source=wheel)
    with pytest.raises(FileNotFoundError, match="neither a folder nor a wheel"):
        datasets.aeon(source=tmp_path / "none")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip download --no-deps aeon"):
        datasets.aeon()


# ---- SHD and SSC


def heidelberg_file(path, trials=12, seed=1, **changed):
    """Made-up spikes in the layout of SHD's files; of each trial the word is 3 * (trial % 4), the speaker trial % 3."""
    h5py = pytest.importorskip("h5py")
    random = np.random.default_rng(seed)
    counts = random.integers(1, 30, trials)
    content = {
        "spikes/times": [np.sort(random.uniform(0, 0.9, n)).astype("f2") for n in counts],
        "spikes/units": [random.integers(0, 700, n).astype("u2") for n in counts],
        "labels": 3 * (np.arange(trials) % 4),
        "extra/speaker": np.arange(trials) % 3,
        "extra/keys": np.array([f"word {label}" for label in range(12)], "S"),
    } | changed
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if isinstance(values, list):
                lists = file.create_dataset(name, (len(values),), dtype=h5py.vlen_dtype(values[0].dtype))
                for trial, one in enumerate(values):
                    lists[trial] = one
            elif values is not None:
                file[name] = values
    return content


def test_recordings_of_spikes(tmp_path):
    content = heidelberg_file(tmp_path / "train.h5")
    heidelberg_file(tmp_path / "test.h5", trials=5, seed=2)
    trials = datasets.heidelberg(tmp_path / "train.h5", tmp_path / "test.h5")
    assert trials.classes == ("word 0", "word 3", "word 6", "word 9")
    assert trials["targets"].tolist() == [0, 1, 2, 3] * 3 and trials["test_targets"].tolist() == [0, 1, 2, 3, 0]
    for trial in range(12):
        mine = trials["inputs"].trials == trial
        ticks = np.floor(content["spikes/times"][trial].astype(float) / 0.001 + 1e-6)
        expected = sorted(zip(ticks.tolist(), content["spikes/units"][trial].tolist(), strict=True))
        assert [*zip(trials["inputs"].times[mine], trials["inputs"].units[mine], strict=True)] == expected
    ticks, count, inputs = trials["inputs"].shape
    assert (count, inputs) == (12, 700) and ticks == trials["test_inputs"].shape[0] <= 900 and "mask" not in trials


def test_recordings_pooled_binned_and_chosen(tmp_path):
    content = heidelberg_file(tmp_path / "a.h5")
    options = {"units": 70, "bins": 10, "duration": 0.5, "classes": [9, 0], "count": "last"}
    trials = datasets.heidelberg(tmp_path / "a.h5", **options)
    assert trials.classes == ("word 9", "word 0") and trials["targets"].tolist() == [1, 0] * 3
    assert trials["inputs"].shape == (10, 6, 70) and trials["mask"].sum(0).tolist() == [1] * 6
    kept = [trial for trial in range(12) if trial % 4 in (0, 3)]
    counts = np.zeros((10, 6, 70))
    for number, trial in enumerate(kept):
        for time, unit in zip(
            content["spikes/times"][trial].astype(float), content["spikes/units"][trial], strict=True
        ):
            if time < 0.5:
                counts[int(time / 0.05), number, unit // 10] += 1
    assert np.array_equal(trials["inputs"].counts(), counts)
    whole = datasets.heidelberg(tmp_path / "a.h5", bins=7)["inputs"]
    assert whole.shape[0] == 7 and len(whole) == sum(map(len, content["spikes/times"])) and whole.times.max() == 6


def test_recordings_divided_into_training_and_test(tmp_path):
    heidelberg_file(tmp_path / "a.h5")
    packed = tmp_path / "a.h5.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.h5").read_bytes()))
    by_speaker = datasets.heidelberg(packed, test_speakers=[2])
    assert by_speaker["test_targets"].tolist() == [trial % 4 for trial in range(2, 12, 3)]
    assert by_speaker["inputs"].shape[1] == 8
    share = [datasets.heidelberg(packed, test_share=0.25, seed=seed) for seed in (0, 0, 1)]
    assert [one["test_inputs"].shape[1] for one in share] == [3, 3, 3]
    lists = [one["test_inputs"].units.tolist() for one in share]
    assert lists[0] == lists[1] != lists[2]


def alike(times, units):
    """The same spikes in every trial."""
    return {"spikes/times": [np.array(times, float)] * 12, "spikes/units": [np.array(units, "u2")] * 12}


@pytest.mark.parametrize(
    "changed, options, message",
    [
        ({"labels": None}, {}, "a.h5 must have spikes/times, spikes/units and labels; there is no labels"),
        ({"labels": np.arange(11)}, {}, "a label and a speaker a trial; got 12, 12, 11 and 12"),
        ({"labels": np.linspace(0, 1, 12)}, {}, "labels must be integers from 0"),
        (alike([0], [700]), {}, "trial 0 must be integers from 0 to 699"),
        (alike([0], [0, 0]), {}, "trial 0 must have a time and a unit a spike"),
        (alike([np.nan], [0]), {}, "times of trial 0 must be seconds from 0"),
        (alike([-1], [0]), {}, "times of trial 0 must be seconds from 0"),
        ({"extra/speaker": None}, {"test_speakers": [1]}, "does not say who speaks"),
        ({}, {"units": 701}, "units must be from 1 to 700; got 701"),
        ({}, {"bins": 0}, "bins must be at least 1"),
        ({}, {"dt": 0}, "dt must be positive"),
        ({}, {"duration": -1}, "duration must be positive"),
        ({}, {"classes": [1]}, "no training trial is left"),
        ({}, {"test_speakers": [7]}, "no test trial is left"),
        ({}, {"test_share": 1.0}, "test_share must be below 1"),
        ({}, {"test_share": 0.5, "test_speakers": [1]}, "one of them"),
        ({}, {"count": "first"}, 'count must be "every" or "last"'),
    ],
)  # fmt: skip
def test_wrong_recordings_are_named(tmp_path, changed, options, message):
    heidelberg_file(tmp_path / "a.h5", **changed)
    with pytest.raises(ValueError, match=message):
        datasets.heidelberg(tmp_path / "a.h5", **options)


def test_what_is_no_recording_and_a_missing_h5py(tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    (tmp_path / "a.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match="a.h5 cannot be read as an HDF5 file"):
        datasets.heidelberg(tmp_path / "a.h5")
    with pytest.raises(FileNotFoundError):
        datasets.heidelberg(tmp_path / "b.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"needs h5py: pip install 'modprop\[spikes\]'"):
        datasets.heidelberg(tmp_path / "a.h5")


# ---- the command line, and training


def shell(*words, status=0):
    done = subprocess.run([sys.executable, "-m", "modprop.datasets", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_command_line(client: Client, tmp_path):
    folder = write(tmp_path, train=TRAIN, test=TEST)
    server = ("--server", client.server)
    said = shell(
        "ts", folder / "train.ts", folder / "test.ts", "--hold", 2, "--standardize", "--name", "small", *server
    )
    assert "inputs (6, 2, 2)" in said and "stored as small, version" in said
    assert [dataset.name for dataset in client.datasets()] == ["small"]
    heidelberg_file(tmp_path / "a.h5")
    output = pathlib.Path(tmp_path / "a.safetensors")
    words = ("--units", 70, "--bins", 20, "--classes", "0,3-9", "--test-speakers", 1, "-o", output)
    assert "inputs (20, 8, 70)" in shell("heidelberg", tmp_path / "a.h5", *words)
    assert dataset_file(output)["test_inputs"].shape == (20, 4, 70)
    assert "modprop.datasets: units must be from 1" in shell("heidelberg", tmp_path / "a.h5", "--units", 0, status=1)
    assert "neither a folder nor a wheel" in shell("aeon", "Small", "--source", tmp_path / "none", status=1)


def test_spikes_are_learned(client: Client, tmp_path):
    """End to end, from a file to an accuracy: the word is the band of units that are active."""
    random = np.random.default_rng(5)
    words = np.arange(60) % 3
    units = [np.clip(random.normal(100 + 250 * word, 60, 40), 0, 699).astype("u2") for word in words]
    times = [np.sort(random.uniform(0, 0.2, 40)) for _ in words]
    content = {"spikes/times": times, "spikes/units": units, "labels": words, "extra/speaker": np.arange(60) // 40}
    heidelberg_file(tmp_path / "a.h5", **content, **{"extra/keys": None})
    trials = datasets.heidelberg(tmp_path / "a.h5", units=35, dt=0.002, test_speakers=[1])
    dataset = client.dataset(**trials, name="words")
    task = {"type": "dataset", "name": "words", "bin": 2}
    for rule in ("eprop", "bptt"):
        job = client.train(task, rule, network={"model": "lif", "units": 40}, optimizer={"learning_rate": 0.01},
                           training={"iterations": 60, "batch_size": 10}, seed=1)  # fmt: skip
        assert job.wait().metrics().accuracy[-1] > 0.8, rule
    assert dataset.document["steps"] == 100 and trials.classes == (0, 1, 2)
