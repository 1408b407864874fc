"""The part of the model about experiments.

- An experiment that was answered is there until somebody deletes it; it has its number of trials, each point and seed
  once, whatever is asked and however often the daemon ends.
- It is paused, cancelled or deleted by somebody who asked for it, and what was answered lasts.
- A complete one has no trial that waits or runs. Its jobs belong to it; equal configurations have equal weights.
"""

import time

import materials
from exchange import PATIENCE
from rules import require

ENDED = {"complete", "complete_with_failures", "cancelled"}
RATES = {"path": "/optimizer/learning_rate", "values": [0.001, 0.002]}


class Experiment:
    def __init__(self, step):
        self.step, self.label, self.id = step, step["exp"], None
        self.status = None  # the last that was seen, of those that last
        self.deleted = False
        self.deletions = self.cancellations = self.pauses = self.again = 0  # that may have been taken or may be yet
        self.paused = False
        self.trials = step["seeds"] * (2 if step["axis"] else 1)

    def known(self):
        return {"deleted": self.deleted, "status": self.status, "paused": self.paused, "again": self.again}


class Experiments:
    """Mixed into World; `experiments` is by label."""

    def exp_submit(self, step):
        if step["exp"] in self.experiments:
            return
        exp = self.experiments[step["exp"]] = Experiment(step)
        base = materials.job(step | {"job": "", "seed": 0})
        body = {
            "name": exp.label,
            "base": {key: value for key, value in base.items() if key not in ("seed", "name")},
            "axes": [RATES] if step["axis"] else [],
            "seeds": {"from": 1, "count": step["seeds"]},
        }
        allowed = self.statuses_of_submission(step, False) - {200, 409}
        answer = self.call(step, "POST", "/v1/experiments", body, None, allowed)
        if answer is not None and answer.status == 201:
            self.see_experiment(exp, exp.known(), answer.json())
        elif answer is not None:
            del self.experiments[step["exp"]]

    def see_experiment(self, exp, known, said):
        exp.id = exp.id or said["id"]
        require(said["id"] == exp.id and said["name"] == exp.label, "an experiment is another one", said)
        require(said["trials"] == exp.trials, "an experiment has another number of trials", exp.label, said)
        counts, status = said["counts"], said["status"]
        require(sum(counts.values()) == exp.trials, "an experiment's counts are wrong", exp.label, said)
        require(counts["failed"] == 0, "a trial failed", exp.label, said)
        require(counts["cancelled"] == 0 or exp.cancellations, "a trial was cancelled by nobody", exp.label, said)
        require(status not in ("cancelled", "cancelling") or exp.cancellations, "cancelled by nobody", exp.label)
        require(status != "paused" or exp.pauses, "paused by nobody", exp.label, said)
        require(status != "complete_with_failures" or exp.cancellations, "failures that nobody caused", exp.label, said)
        if status == "complete":
            require(counts["succeeded"] == exp.trials, "a complete experiment lacks trials", exp.label, said)
        if known["status"] and not exp.again:
            require(status == known["status"], "an ended experiment goes on", exp.label, known, status)
        if known["paused"] and exp.paused:
            require(status in ("paused", "cancelling", *ENDED), "an experiment's pause is lost", exp.label, status)
        exp.status = status if status in ENDED else None

    def of_experiment(self, step, method="GET", path="", allowed=()):
        """(experiment, what was known, the answer or None)."""
        exp = self.experiments.get(step["exp"])
        if exp is None or exp.id is None:
            return None, None, None
        known = exp.known()
        answer = self.call(step, method, f"/v1/experiments/{exp.id}{path}", None, None, {200, 404} | set(allowed))
        if answer is not None and answer.status == 404:
            require(exp.deletions, "an experiment is lost", exp.label)
            exp.deleted = exp.deleted or self.strict
            answer = None
        elif answer is not None:
            require(not known["deleted"], "a deleted experiment is answered", exp.label, step["do"])
        return exp, known, answer

    def exp_look(self, step):
        exp, known, answer = self.of_experiment(step)
        if answer is not None:
            self.see_experiment(exp, known, answer.json())

    def exp_trials(self, step):
        exp, _, answer = self.of_experiment(step, path="/trials")
        if answer is None:
            return
        found = [(trial["point"], trial["seed"]) for trial in answer.json()["trials"]]
        require(len(found) == len(set(found)) <= exp.trials, "a trial came twice", exp.label, found)

    def exp_points(self, step):
        exp, _, answer = self.of_experiment(step, path="/points?bootstrap=20")
        if answer is not None:
            points = answer.json()["points"]
            require(
                len(points) == (2 if exp.step["axis"] else 1), "an experiment's points are wrong", exp.label, points
            )

    def exp_act(self, step):
        exp, action = self.experiments.get(step["exp"]), step["action"]
        if exp is None or exp.id is None:
            return
        with self.lock:
            exp.cancellations += action == "cancel"
            exp.pauses += action == "pause"
            exp.again += action == "retry"
            exp.paused = exp.paused and action not in ("resume", "retry")
        exp, known, answer = self.of_experiment(step, "POST", f"/{action}", (409,))
        if answer is None or answer.status != 200:
            return
        self.see_experiment(exp, known | {"status": None}, answer.json())
        exp.paused = exp.paused or (action == "pause" and self.strict)

    def exp_delete(self, step):
        exp = self.experiments.get(step["exp"])
        if exp is None or exp.id is None:
            return
        known = exp.known()
        exp.deletions += 1
        answer = self.call(step, "DELETE", f"/v1/experiments/{exp.id}", allowed=(204, 404, 409))
        if answer is None:
            return
        if answer.status == 204:
            require(not known["deleted"], "an experiment is deleted twice", exp.label)
            exp.deleted = True
        elif answer.status == 404:
            require(exp.deletions > 1 or known["deleted"], "an experiment is lost", exp.label)
        else:
            require(
                not known["status"] or exp.again or not self.strict, "an ended experiment is not deleted", exp.label
            )
            exp.deletions -= 1

    def list_experiments(self, step):
        before = {exp.id: exp.known() for exp in self.experiments.values() if exp.id is not None}
        after, listed = "", {}
        while after is not None:
            answer = self.call(step, "GET", f"/v1/experiments?limit=2{after}", None, None, (200,))
            if answer is None:
                return
            page = answer.json()
            for said in page["experiments"]:
                require(said["id"] not in listed, "an experiment is listed twice", said["id"])
                listed[said["id"]] = said
            after = None if page["next"] is None else f"&after={page['next']}"
        for said in listed.values():
            exp = self.experiments.get(said["name"])
            require(exp is not None, "an experiment is listed that nobody submitted", said)
            require(not before.get(said["id"], {}).get("deleted"), "a deleted experiment is listed", exp.label)
            self.see_experiment(exp, before.get(said["id"]) or exp.known(), said)
        for id in before:
            exp = next(exp for exp in self.experiments.values() if exp.id == id)
            require(id in listed or exp.deletions, "an experiment is not listed", exp.label)

    def job_of_experiment(self, said):
        """A job in a list that an experiment has made."""
        owner = said["experiment"]["id"]
        exp = next((exp for exp in self.experiments.values() if exp.id == owner), None)
        unheard = any(exp.id is None for exp in self.experiments.values())
        require(exp is not None or unheard, "a job of an experiment that nobody submitted", said)
        require(said["status"] != "failed", "a trial failed", said)
        if said["status"] == "succeeded":
            self.alike(said)

    def alike(self, said):
        """Equal configurations, equal weights: whether a client or an experiment has submitted them."""
        known = self.results.setdefault(("config", said["config_sha256"]), said["weights_sha256"])
        require(known == said["weights_sha256"], "equal configurations differ", known, said)

    def may_hold(self):
        """Whether some experiment may hold a job that a client has submitted."""
        return any(not (exp.deleted and self.settled) for exp in self.experiments.values())

    def experiments_go_on(self):
        return any(exp.status is None and not exp.deleted for exp in self.experiments.values())

    def end_experiments(self):
        """All are cancelled and deleted; their rows have gone when this returns."""
        self.list_experiments({"do": "list_experiments"})
        there = [exp for exp in self.experiments.values() if exp.id is not None and not exp.deleted]
        for exp in there:
            self.exp_act({"do": "exp_act", "exp": exp.label, "action": "cancel"})
        for exp in there:
            end = time.monotonic() + PATIENCE
            while exp.status is None and not exp.deleted:
                require(time.monotonic() < end, "an experiment does not end", exp.label, exp.known())
                time.sleep(0.05)
                self.exp_look({"do": "exp_look", "exp": exp.label})
            self.exp_trials({"do": "exp_trials", "exp": exp.label})
            self.exp_points({"do": "exp_points", "exp": exp.label})
            self.exp_delete({"do": "exp_delete", "exp": exp.label})
            self.exp_look({"do": "exp_look", "exp": exp.label})
        end = time.monotonic() + PATIENCE
        while self.rows().get("experiments"):
            require(time.monotonic() < end, "a deleted experiment does not go", self.rows())
            time.sleep(0.05)
        self.settled = True
