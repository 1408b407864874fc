"""Analyses in Python: arrays by name, tables, xarray, both clients."""

import asyncio

import numpy as np
import pytest
from modprop import AsyncClient, InvalidRequest

TASK = {"type": "delayed_xor", "delay": 20, "cue": 20}


@pytest.fixture
def job(client):
    return client.train(TASK, network={"units": 24, "tau": 20}, training={"iterations": 20, "batch_size": 8}).wait(60)


def test_results_are_arrays_with_named_axes(client, job):
    listed = {one["type"]: one for one in client.analyses()}
    found = job.analyse("dimensionality", trials=6, components=2, every=4)
    assert set(found) <= set(listed["dimensionality"]["results"]) and len(found) == len(found.axes)
    assert found["trajectories"].shape[1:] == (6, 2) and found.axes["trajectories"] == ("step", "trial", "component")
    assert found["trajectories"].dtype == np.float64
    assert 1 <= float(found["participation_ratio"]) <= 24
    assert "participation_ratio" in repr(found) and found.parameters["trials"] == 6
    with pytest.raises(KeyError, match="there are participation_ratio"):
        found["nothing"]
    data = found.to_xarray()
    assert data.trajectories.dims == ("step", "trial", "component") and data.step.attrs["units"] == "ms"
    assert np.array_equal(data.step, found["step"]) and data.attrs["type"] == "dimensionality"
    with pytest.raises(InvalidRequest, match="components"):
        job.analyse("selectivity", components=2)


def test_a_table_has_a_row_for_each_unit(job):
    tuned = job.analyse("selectivity", trials=8)
    table = tuned.to_pandas("unit")
    assert table.shape[0] == 24 and {"selectivity", "preferred", "unit_type"} <= set(table.columns)
    assert table.index.name == "unit"
    with pytest.raises(KeyError, match="results along"):
        tuned.to_pandas("nothing")


def test_the_asynchronous_client_gives_the_same(daemon, job):
    async def ask():
        async with AsyncClient(daemon.url) as client:
            assert [one["type"] for one in await client.analyses()]
            return await (await client.job(job.id)).analyse("selectivity", trials=3)

    assert asyncio.run(ask()).document == job.analyse("selectivity", trials=3).document


def test_pictures_of_one_network(client, job):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    drawn = job.plot_weights()
    assert drawn.images[0].get_array().shape == (24, 24) and drawn.get_xlabel() == "to unit"
    plane = job.plot_spectrum(iteration=job.checkpoints()[0].iteration)
    assert len(plane.lines[-1].get_xdata()) == 24
    lines = job.plot_activity(units=[0, 5, 9])
    assert [line.get_label() for line in lines.lines] == ["unit 0", "unit 5", "unit 9"] and lines.patches
    assert job.plot_activity(units=range(12)).images
    own = pyplot.subplots()[1]
    assert job.simulate(trials=2).plot(own, trial=1) is own
    with pytest.raises(ValueError, match="diagnostics"):
        job.plot_alignment()
    training = {"iterations": 20, "batch_size": 8, "diagnostics": ["cosine"]}
    measured = client.train(TASK, "eprop", network={"units": 24}, training=training).wait(60)
    cosines = measured.plot_alignment()
    assert [line.get_label() for line in cosines.lines[1:]] == ["all", "W", "Win", "Wout"]
    spiking = client.train(TASK, "eprop", network={"units": 24, "model": "lif"}, training={"iterations": 5}).wait(60)
    assert spiking.plot_activity(units=range(24)).collections
    pyplot.close("all")


def test_notebooks_show_cards(client, job):
    job.update(name="<b>bold</b>", tags=["x"])
    card = job._repr_html_()
    assert "&lt;b&gt;bold" in card and "<b>bold" not in card and "delayed_xor" in card and "<progress" in card
    assert "24" in job.weights._repr_html_() and job.weights.sha256 in job.weights._repr_html_()
    shown = job.analyse("dimensionality", trials=4)._repr_html_()
    assert "participation_ratio" in shown and "trial 4" in shown
