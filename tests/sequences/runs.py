"""The part of the model about runs of a trained network: simulate and evaluate, changed and unchanged.

- They run on the data that the job was trained on, or on a content that the named dataset may hold.
- Equal jobs and equal requests give equal answers, and both kinds of request the same loss and accuracy; all trials of
  a test split, with nothing changed, give the loss of the job's own evaluation.
- A run is refused only where there are no weights yet, or because of something that the request has asked for.
"""

import hashlib

import materials
import numpy as np
from rules import drawn_from, require

CHANGES = ("noise", "lesion", "weights", "dataset")


class Runs:
    """Mixed into World."""

    def simulate(self, step):
        self.run(step, "simulate", {"units": [0, 5], "every": 1})

    def evaluate(self, step):
        self.run(step, "evaluate", {})

    def given_weights(self, job, step):
        """(what the request says, what the answer follows from), or None: they cannot be named now."""
        asked = step.get("weights")
        if not asked:
            return None, ""
        if "job" in asked:
            source = self.jobs.get(asked["job"])
            if source is None or source.id is None:
                return None
            return {"job": source.id}, source.reported.get("weights_sha256") if source.ended == "succeeded" else "?"
        like = materials.dataset(asked["like"])
        weights = materials.initial_weights(job.step["units"], like.inputs, like.outputs, asked["seed"])
        return weights, f"{asked['like']} {asked['seed']}"

    def run(self, step, kind, more):
        job = self.with_job(step)
        given = job and self.given_weights(job, step)
        if not given:
            return
        weights, follows = given
        ended, name = job.ended, step.get("dataset")
        before = self.name(name).possible() if name else None
        body = {"trials": step["trials"], "seed": step["seed"], "split": step["split"]} | more
        body |= {what: step[what] for what in ("noise", "lesion") if what in step}
        body |= {"weights": weights} if weights else {}
        body |= {"dataset": {"name": name}} if name else {}
        job, known, answer = self.get(step, f"/{kind}", None, (409, 422), "POST", body)
        if answer is None or answer.status != 200:
            self.check_refused(job, ended, step, answer)
            return
        said = answer.json()
        data = self.check_data(job, step, said, before and before | self.name(name).possible())
        if kind == "simulate" and job.step["on"]:
            inputs = np.array(said["inputs"], "f4")
            possible = {data} if name else job.data
            fitting = {data for data in possible if data and drawn_from(inputs, materials.dataset(data), step["split"])}
            require(fitting, "simulated on other data than asked for", job.label, possible, inputs.shape)
            job.data = job.data if name else fitting
        self.check_equal(job, step, kind, said, (data, follows))

    def check_data(self, job, step, said, possible):
        """The content that was run on: the job's own, or one that the dataset may hold."""
        digest = said["dataset_sha256"]
        if possible is None:
            self.narrow(job, digest)
            require(bool(digest) == bool(job.step["on"]), "a run does not say on which data", said["dataset_sha256"])
            return ""
        data = materials.with_sha256(digest)
        require(data in possible - {None}, "a run on what the dataset never held", step["dataset"], data, possible)
        return data

    def check_equal(self, job, step, kind, said, source):
        if "?" in source:
            return
        changed = tuple(repr(step[what]) for what in ("noise", "lesion") if what in step)
        what = (said["iteration"], step["trials"], step["seed"], step["split"], *changed, *source)
        if kind == "simulate":
            made = repr([said[part] for part in ("inputs", "rates", "outputs", "labels")]).encode()
            self.same(job, ("simulation", *what), hashlib.sha256(made).hexdigest())
        self.same(job, ("run", *what), [said["loss"], said["accuracy"]])
        whole = job.step["on"] and len(job.data) == 1 and step["split"] == "test" and not set(step) & set(CHANGES)
        if whole and step["trials"] == materials.dataset(next(iter(job.data))).test:
            self.same(job, ("loss", said["iteration"]), said["loss"])

    def check_refused(self, job, ended, step, answer):
        if answer is None:
            return
        if answer.status == 422:
            pointers = {error["pointer"].split("/")[1] for error in answer.json()["errors"]}
            asked = {"trials", "split", "first", "every", "units"} | set(step) & set(CHANGES)
            require(pointers and pointers <= asked, "a run is refused for what nobody asked", pointers, answer.body)
        if not job.step["on"] or None in job.data or set(step) & set(CHANGES):
            return
        has_trials = all(
            step["split"] == "fresh" or materials.dataset(data).test >= step["trials"] for data in job.data
        )
        if ended == "succeeded" and has_trials and self.strict:
            require(False, f"a run is refused: {answer.status}", job.label, answer.body)
