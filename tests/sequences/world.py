"""The model: what has been asked of a daemon, what it answered, and therefore what every later answer may be.

Facts only grow, and a check uses those that were known before its request was sent, so that several clients may play at
once: an answer may then reflect what the others do at that time, but never contradict what had been answered before.
Where one client plays alone (`strict`) the model is exact.

- A dataset's name has a set of contents that it may have now (None: no such dataset); one where nothing is in doubt.
- A job has the set of contents on which it may rest: those that its name had when it was submitted. It rests on them
  whatever happens to the name afterwards.
- Equal configuration, data and initial weights give equal weights at equal iterations, equal curves and equal
  simulations. `results` is shared by all worlds of a run.
"""

import hashlib
import re
import sqlite3
import subprocess
import threading
import time

import daemons
import materials
import numpy as np
from exchange import PATIENCE, Cut, ask, hang_up
from experiments import Experiments
from rules import Job, Violation, require
from runs import Runs

FINAL = {"succeeded", "failed", "cancelled"}
OPEN = {"queued", "running", "pausing", "paused", "cancelling"}
REPORTS = ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer")


class Name:
    """A dataset's name: what it may hold, and what may still come to hold by uploads whose clients have gone."""

    def __init__(self):
        self.now, self.pending = {None}, set()

    def possible(self):
        return self.now | self.pending


class World(Experiments, Runs):
    def __init__(self, folder, results, flags=()):
        self.folder, self.results, self.flags = folder, results, flags
        self.names, self.jobs, self.experiments = {}, {}, {}
        self.settled = False  # what experiments held is free again
        self.strict = True
        self.restarting = False  # in this round
        self.lock = threading.RLock()
        self.up = threading.Event()
        self.logs = []
        self.daemon = None
        self.start()

    # ---- the daemon ----

    def start(self):
        try:
            self.daemon = daemons.Daemon(self.folder, *self.flags)
        except RuntimeError as reason:
            raise Violation("the daemon does not start", str(reason)[-6000:]) from None
        self.up.set()

    def end(self, kill):
        """Ends the daemon; a clean end is one within its time, without a report."""
        self.up.clear()
        if kill:
            self.daemon.kill()
        else:
            try:
                status = self.daemon.stop(PATIENCE)
            except subprocess.TimeoutExpired:
                raise Violation("the daemon does not end", self.daemon.log()[-4000:]) from None
            self.look_for_reports()
            require(status == 0, f"the daemon ended with status {status}", self.daemon.log()[-6000:])
        self.look_for_reports()
        self.daemon.process.stdout.close()

    def look_for_reports(self):
        if word := next((word for word in REPORTS if word in self.daemon.log()), None):
            for _ in range(100):  # a report is written line by line
                if self.daemon.process.poll() is not None:
                    self.daemon.reader.join(10)
                    break
                time.sleep(0.05)
            log = self.daemon.log()
            raise Violation(report_kind(log[log.index(word) :]), log[log.index(word) :][:8000])

    def alive(self):
        self.look_for_reports()
        if self.up.is_set() and self.daemon.process.poll() is not None:
            self.daemon.reader.join(10)
            self.look_for_reports()
            raise Violation(f"the daemon died: {self.daemon.process.poll()}", self.daemon.log()[-6000:])

    def call(self, step, method, path, body=None, headers=None, allowed=()):
        """The answer; None where the step hangs up or the daemon was being ended. Only some statuses are allowed."""
        if isinstance(body, (dict, list)):
            body, headers = materials.json.dumps(body).encode(), {"Content-Type": "application/json"} | (headers or {})
        while True:
            require(self.up.wait(PATIENCE), "the daemon is not back")
            try:
                if step.get("cut"):
                    hang_up(self.daemon.port, method, path, body, headers or {}, **step["cut"])
                    return None
                answer = ask(self.daemon.port, method, path, body, headers)
                break
            except TimeoutError:
                self.alive()
                raise Violation(f"no answer to {method} {step['do']}", path) from None
            except Cut as reason:
                if not self.restarting:
                    time.sleep(0.3)  # a daemon that dies closes its connections first
                    self.alive()
                    raise Violation(f"no answer to {method} {step['do']}", f"{path}: {reason}") from None
                if method != "GET":
                    return None
                time.sleep(0.02)
        if answer.status in allowed or (answer.status == 503 and self.restarting):
            return answer if answer.status in allowed else None
        if answer.status == 429 and not self.strict:
            return None
        raise Violation(f"{step['do']} is answered {answer.status}", f"{method} {path}: {answer.body[:1500]!r}")

    # ---- datasets ----

    def name(self, name):
        return self.names.setdefault(name, Name())

    def put(self, step):
        data, name = materials.dataset(step["data"]), self.name(step["name"])
        cut, before = step.get("cut"), set(name.possible())
        if cut and cut["sent"] >= 1:
            name.pending.add(data.name)
        elif not cut:
            name.now.add(data.name)
        headers = {"Content-Type": "application/octet-stream"}
        answer = self.call(step, "PUT", f"/v1/datasets/{step['name']}", data.body, headers, (200, 201))
        if answer is None:
            return
        if self.strict and len(before) == 1:
            require(answer.status == (201 if before == {None} else 200), f"put is answered {answer.status}", before)
        if self.strict:
            name.now = {data.name}
        self.check_dataset(answer.json(), step["name"], {data.name})

    def check_dataset(self, said, name, possible):
        data = materials.with_sha256(said["sha256"])
        require(data in possible, "a dataset holds what it cannot hold", name, data, possible, said)
        expected = materials.dataset(data).said | {"name": name}
        require(expected.items() <= said.items(), "a dataset's facts are wrong", expected, said)
        for version in said["versions"]:
            holders = self.holders(version["sha256"])
            held = version["jobs"] >= len(holders) or not self.strict
            require(held, "a version has too few holders", version, holders)
        return data

    def holders(self, sha256):
        """The jobs that rest on this version for sure, and will."""
        sure = [job for job in self.jobs.values() if job.answered and not job.deletions and job.step["on"]]
        return [job.label for job in sure if job.data == {materials.with_sha256(sha256)}]

    def put_broken(self, step):
        allowed = (400, 415, 422)
        headers = {"Content-Type": "application/octet-stream"}
        self.call(step, "PUT", f"/v1/datasets/{step['name']}", materials.BROKEN[step["data"]], headers, allowed)

    def look(self, step):
        name = self.name(step["name"])
        answer = self.call(step, "GET", f"/v1/datasets/{step['name']}", allowed=(200, 404))
        if answer is None:
            return
        if answer.status == 404:
            found = None
            require(None in name.possible(), "a dataset is lost", step["name"], name.possible())
        else:
            found = self.check_dataset(answer.json(), step["name"], name.possible())
        if self.strict:
            name.now, name.pending = {found}, name.pending - {found}

    def download(self, step):
        possible = self.name(step["name"]).possible()
        headers = {"Accept": "application/octet-stream"}
        answer = self.call(step, "GET", f"/v1/datasets/{step['name']}", None, headers, (200, 404))
        if answer is not None and answer.status == 200:
            digest = hashlib.sha256(answer.body).hexdigest()
            require(materials.with_sha256(digest) in possible, "a dataset's bytes are wrong", step["name"], digest)

    def list_datasets(self, step):
        possible = {name: state.possible() for name, state in self.names.items()}
        answer = self.call(step, "GET", "/v1/datasets", allowed=(200,))
        if answer is None:
            return
        listed = {}
        for said in answer.json()["datasets"]:
            listed.setdefault(said["name"], []).append(said)
        for name, contents in possible.items():
            require(name in listed or None in contents, "a dataset is not listed", name, contents)
        for name, found in listed.items():
            require(len(found) == 1, "a dataset is listed twice", name)
            self.check_dataset(found[0], name, self.name(name).possible())

    def delete_dataset(self, step):
        name, cut = self.name(step["name"]), step.get("cut")
        before = set(name.possible())
        if cut and cut["sent"] >= 1:
            name.pending.add(None)
        elif not cut:
            name.now.add(None)
        allowed = {204, 404}
        if self.strict and len(before) == 1:
            allowed = {404} if before == {None} else {204}
        answer = self.call(step, "DELETE", f"/v1/datasets/{step['name']}", allowed=allowed)
        if answer is not None and self.strict:
            require(answer.status != 404 or None in before, "a dataset is lost", step["name"], before)
            name.now = {None}

    # ---- jobs: submission ----

    def contents(self, step):
        if not step["on"]:
            return {"xor"}
        possible = set(self.name(step["on"]).possible())
        version = step.get("version")
        return {version, None} if version and possible != {version} else possible

    def initial(self, step):
        """(what the body says, the weights' digest, whether it may be refused). None: the step's job does not exist."""
        asked = step.get("initial")
        if not asked or step["rule"] == "type":
            return None, None, False
        if "job" in asked:
            job = self.jobs.get(asked["job"])
            if job is None or job.id is None:
                return None
            digest = job.reported.get("weights_sha256") if job.ended == "succeeded" else "?"
            return {"job": job.id}, digest, True
        like = materials.dataset(asked["like"])
        weights = materials.initial_weights(step["units"], like.inputs, like.outputs, asked["seed"])
        digest = hashlib.sha256(repr(weights).encode()).hexdigest()
        fits = all(
            data is not None
            and (materials.SHAPES[data][2], abs(materials.SHAPES[data][4])) == (like.inputs, like.outputs)
            for data in self.contents(step)
            if data != "xor"
        )
        return weights, digest, not fits or not step["on"]

    def statuses_of_submission(self, step, refusable):
        possible = self.contents(step)
        if not self.strict:
            return {200, 201, 409, 422}
        if possible == {None}:
            return {422}
        return {201, 422} if refusable or None in possible else {201}

    def submit(self, step):
        initial = self.initial(step)
        if initial is None:
            return
        weights, digest, refusable = initial
        job = self.jobs.get(step["job"])
        if job is not None and job.deletions:
            return
        again = job is not None
        if again and not job.answered:
            job.data |= self.contents(step)
        if not again:
            job = self.jobs[step["job"]] = Job(step, self.contents(step))
            job.initial, job.body = digest, materials.job(step, weights)
        body = job.body | ({"priority": 9} if step.get("other") else {})
        key = {"Idempotency-Key": step["job"]} if step.get("key") else {}
        allowed = self.statuses_of_submission(step, refusable)
        if again and job.step.get("key"):
            allowed |= {201} | ({422} if body != job.accepted else set())
        answer = self.call(step, "POST", "/v1/jobs", body, {"Accept": "application/json"} | key, allowed)
        if answer is not None and answer.status in (200, 201):
            require(job.accepted in (None, body) or not key, "a key is taken for another body", step)
            self.take(job, answer.json())
            job.answered, job.accepted = True, body
        elif answer is not None and not again and not self.may_exist(job):
            del self.jobs[step["job"]]

    def may_exist(self, job):
        """After a refusal: whether another client may have had the same job accepted."""
        return not self.strict or job.id is not None

    def take(self, job, said):
        """A job's document, whoever asked for it."""
        with self.lock:
            job.id = job.id or said["id"]
        require(said["id"] == job.id, "a key made two jobs", job.label, job.id, said["id"])
        require(said["name"] == job.label and said["seed"] == job.step["seed"], "a job is another one", said)
        self.tell(job, "config_sha256", said["config_sha256"])
        require(not job.step["on"] or said["task"]["sha256"], "a job does not say on which data it rests", said)
        self.narrow(job, said["task"].get("sha256"))

    def tell(self, job, what, value):
        """What never changes and follows from the configuration."""
        if value is not None:
            known = job.reported.setdefault(what, value)
            require(known == value, f"a job's {what} has changed", job.label, known, value)

    def narrow(self, job, digest):
        if digest and job.step["on"]:
            data = materials.with_sha256(digest)
            require(data in job.data, "a job rests on what its dataset never held", job.label, data, job.data)
            job.data = {data}

    def same(self, job, what, value):
        """Equal jobs, equal results."""
        if len(job.data) != 1 or job.initial == "?":
            return
        (data,) = job.data
        key = (materials.identity(job.step, data, job.initial), what)
        known = self.results.setdefault(key, value)
        require(known == value, f"equal jobs differ: {what[0]}", job.label, key, known, value)

    def validate(self, step):
        initial = self.initial(step)
        if initial is not None:
            weights, _, refusable = initial
            allowed = self.statuses_of_submission(step, refusable) - {409, 201} | {200}
            self.call(step, "POST", "/v1/jobs:validate", materials.job(step, weights), None, allowed)

    # ---- jobs: looking ----

    def with_job(self, step):
        """The job that a step names, where the program has one with an id."""
        job = self.jobs.get(step["job"])
        return job if job is not None and job.id is not None else None

    def gone(self, job, known):
        """An answer of 404."""
        require(job.deletions > 0 or job.deleted, "a job is lost", job.label, known)
        if self.strict:
            job.deleted = True

    def get(self, step, path="", headers=None, allowed=(), method="GET", body=None):
        """Of a job's resource the answer, where there is one and it is not 404 with reason."""
        job = self.with_job(step)
        if job is None:
            return None, None, None
        known = job.known()
        answer = self.call(step, method, f"/v1/jobs/{job.id}{path}", body, headers, {200, 404} | set(allowed))
        if answer is not None and answer.status == 404:
            self.gone(job, known)
            answer = None
        elif answer is not None:
            require(not known["deleted"], "a deleted job is answered", job.label, step["do"])
        return job, known, answer

    def job(self, step):
        job, wait = self.with_job(step), step.get("wait", 0)
        lasting = job is not None and (job.pauses or job.step["length"] == "endless" or self.crowded())
        ends = wait >= 60 and self.strict and not lasting
        wait = min(wait, 1) if lasting or not self.strict else min(wait, 5)
        job, known, answer = self.get(step, f"?wait={wait}" if wait else "")
        if answer is not None:
            self.see(job, known, answer.json())
            if ends:
                self.wait_for_end(job)

    def crowded(self):
        """Whether jobs that do not end by themselves may have every slot."""
        return (
            self.experiments_go_on()
            or sum(job.step["length"] == "endless" and not (job.ended or job.deleted) for job in self.jobs.values()) > 1
        )

    def see(self, job, known, said):
        self.take(job, said)
        job.seen = said
        status = said["status"]
        require(status in FINAL | OPEN, "an unknown status", said)
        if known["ended"]:
            require(status == known["ended"], "an ended job has another status", job.label, known["ended"], status)
        if known["paused"]:
            kept = status in ("pausing", "paused", "succeeded") or job.cancellations or not job.paused
            require(kept, "a pause is lost", job.label, status)
        require(status not in ("cancelled", "cancelling") or job.cancellations, "cancelled by nobody", job.label)
        require(status not in ("pausing", "paused") or job.pauses, "paused by nobody", job.label, said)
        require(status != "failed", "a job failed", job.label, said.get("error"))
        if status in FINAL:
            job.ended = status
        if status == "succeeded":
            require(said["progress"]["iteration"] == said["training"]["iterations"], "not all iterations", said)
            self.tell(job, "weights_sha256", said["weights_sha256"])
            self.same(job, ("weights", said["training"]["iterations"]), said["weights_sha256"])
            self.alike(said)

    def events(self, step):
        job = self.with_job(step)
        if job is None:
            return
        known, before, found, after = job.known(), list(job.events), [], 0
        while after is not None:
            _, _, answer = self.get(step, f"/events?after={after}&limit={step.get('limit', 1000)}")
            if answer is None:
                return
            page = answer.json()
            found += page["events"]
            after = page["next"]
        self.check_events(job, known, before, found)

    def follow(self, step):
        """The events as a stream: whole where the job has ended, else hung up on (the step has a cut)."""
        job = self.with_job(step)
        if job is None or not (job.ended or step.get("cut")):
            return
        before = list(job.events)
        job, known, answer = self.get(step, "/events", {"Accept": "application/x-ndjson"})
        if answer is not None:
            self.check_events(job, known, before, answer.lines())

    def check_events(self, job, known, before, found):
        if job.deletions and any(event["type"] == "deleted" for event in found):
            return  # it went meanwhile, and its deletion is what is left
        numbers = [event["id"] for event in found]
        require(numbers == list(range(1, len(found) + 1)), "event ids have a gap", job.label, numbers)
        require(found[: len(before)] == before, "events have changed", job.label, len(before), len(found))
        seqs = [event["seq"] for event in found]
        require(seqs == sorted(set(seqs)), "seqs do not ascend", seqs)
        ends = [n for n, event in enumerate(found) if event["type"] == "status" and event["status"] in FINAL]
        require(ends in ([], [len(found) - 1]), "something follows the end", ends, len(found))
        require(ends or not known["ended"], "an ended job has no last event", job.label, found[-3:])
        progress = [event["iteration"] for event in found if event["type"] == "progress"]
        require(progress == sorted(set(progress)), "an evaluation came twice", progress)
        for event in found:
            if event["type"] == "progress":
                self.same(job, ("loss", event["iteration"]), event["loss"])
        job.events = found if len(found) > len(job.events) else job.events

    def all_events(self, step):
        """The store's events by pages: in order, of jobs that there were."""
        after, ids = 0, {job.id for job in self.jobs.values() if job.answered}
        seqs, seen = [], set()
        while True:
            path, headers = f"/v1/events?after={after}&limit=1000", {"Accept": "application/json"}
            answer = self.call(step, "GET", path, None, headers, (200,))
            if answer is None:
                return
            found = answer.json()["events"]
            if not found:
                break
            seqs += [event["seq"] for event in found]
            seen |= {event.get("job") for event in found}  # an experiment's has none
            after = seqs[-1]
        require(seqs == sorted(set(seqs)), "seqs do not ascend", seqs)
        require(ids <= seen, "a job has no event", ids - seen)

    def weights(self, step):
        known = (self.with_job(step) or Job(step | {"on": None}, ())).known()
        job, _, answer = self.get(step, "/weights", allowed=(409,))
        if answer is None:
            return
        if answer.status == 409:
            require(known["ended"] != "succeeded", "an ended job has no weights", job.label, answer.body)
            return
        said = answer.json()
        parts = [np.array(said[name], "<f4") for name in ("W", "Win", "b", "Wout", "bout") if said[name] is not None]
        digest = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
        require(digest == said["sha256"], "weights differ from their sha256", job.label)
        require(parts[0].shape == (job.step["units"],) * 2 and parts[1].shape[0] == said["inputs"], "weights' shapes")
        if job.step["on"]:
            shapes = {(materials.dataset(data).inputs, materials.dataset(data).outputs) for data in job.data if data}
            require((said["inputs"], said["outputs"]) in shapes, "weights of other shapes than the data", shapes)
        if known["ended"] == "succeeded":
            self.tell(job, "weights_sha256", digest)
        self.same(job, ("weights", said["iteration"]), digest)

    def metrics(self, step):
        known = (self.with_job(step) or Job(step | {"on": None}, ())).known()
        job, _, answer = self.get(step, "/metrics?keys=loss")
        if answer is None:
            return
        said = answer.json()
        require(len(said["iteration"]) == len(said["loss"]), "columns of different lengths", said)
        require(said["iteration"] == sorted(set(said["iteration"])), "an evaluation came twice", said["iteration"])
        for iteration, loss in zip(said["iteration"], said["loss"], strict=True):
            self.same(job, ("loss", iteration), loss)
        require(known["ended"] != "succeeded" or said["iteration"], "an ended job has no curve", job.label)

    def checkpoints(self, step):
        job, _, answer = self.get(step, "/checkpoints")
        for one in answer.json()["checkpoints"] if answer is not None else ():
            self.same(job, ("checkpoint", one["iteration"]), one["loss"])

    def manifest(self, step):
        known = (self.with_job(step) or Job(step | {"on": None}, ())).known()
        job, _, answer = self.get(step, "/manifest", allowed=(409,))
        if answer is None:
            return
        if answer.status == 409:
            require(not known["ended"], "an ended job has no manifest", job.label)
            return
        said = answer.json()
        self.narrow(job, said["dataset_sha256"])
        self.tell(job, "config_sha256", said["config_sha256"])
        if known["ended"] == "succeeded":
            self.tell(job, "weights_sha256", said["weights_sha256"])
        require(said["events"]["count"] >= len(job.events), "a manifest counts too few events", said["events"])

    def list_jobs(self, step):
        """Every page: all that are there and none that is not."""
        before = {job.id: job.known() for job in list(self.jobs.values()) if job.id is not None}
        query, listed = "".join(f"&{key}={value}" for key, value in step.get("filter", {}).items()), {}
        after = ""
        while after is not None:
            answer = self.call(step, "GET", f"/v1/jobs?limit={step['limit']}{query}{after}", allowed=(200,))
            if answer is None:
                return
            page = answer.json()
            for said in page["jobs"]:
                require(said["id"] not in listed, "a job is listed twice", said["id"])
                listed[said["id"]] = said
            after = None if page["next"] is None else f"&after={page['next']}"
        for said in listed.values():
            if said.get("experiment"):
                self.job_of_experiment(said)
                continue
            job = self.jobs.get(said["name"])
            require(job is not None, "a job is listed that nobody submitted", said["name"])
            require(not before.get(said["id"], {}).get("deleted"), "a deleted job is listed", job.label)
            self.see(job, before.get(said["id"]) or Job(job.step, ()).known(), said)
        if not query:
            for id in before:
                job = next(job for job in self.jobs.values() if job.id == id)
                require(id in listed or job.deletions, "a job is not listed", job.label)

    # ---- jobs: acting ----

    def act(self, step):
        job, action = self.with_job(step), step["do"]
        if job is None:
            return
        with self.lock:
            job.cancellations += action == "cancel"
            job.pauses += action == "pause"
            job.resumes += action == "resume"
            job.paused = job.paused and action != "resume"
            resumes = job.resumes
        job, known, answer = self.get(step, f"/{action}", None, (409,), "POST")
        if answer is None:
            return
        if answer.status == 409:
            refusable = action != "cancel" or not self.strict or self.may_have_ended(job)
            require(refusable, f"{action} is refused", job.label)
            job.cancellations -= action == "cancel"
            job.pauses -= action == "pause"
            return
        self.see(job, known, answer.json())
        require(action == "cancel" or not known["ended"], f"{action} of an ended job", job.label)
        with self.lock:
            job.paused = job.paused or (action == "pause" and job.resumes == resumes and self.strict)

    def may_have_ended(self, job):
        return job.ended or job.cancellations > 0 or job.step["length"] != "endless"

    def delete(self, step):
        job = self.with_job(step)
        if job is None:
            return
        known = job.known()
        job.deletions += 1
        answer = self.call(step, "DELETE", f"/v1/jobs/{job.id}", allowed=(204, 404, 409))
        if answer is None:
            return
        if answer.status == 204:
            require(not known["deleted"], "a job is deleted twice", job.label)
            require(self.may_have_ended(job), "a job is deleted that has not ended", job.label)
            job.deleted = True
        elif answer.status == 404:
            require(job.deletions > 1 or known["deleted"], "a job is lost", job.label)
        else:
            held = b"an experiment holds this job" in answer.body and self.may_hold()
            require(not known["ended"] or held, "an ended job is not deleted", job.label, answer.body)
            job.deletions -= 1

    # ---- the rest ----

    def gradients(self, step):
        answer = self.call(step, "POST", "/v1/gradients", materials.GRADIENTS, None, (200,))
        if answer is not None:
            made = hashlib.sha256(answer.body).hexdigest()
            known = self.results.setdefault("gradients", made)
            require(known == made, "equal gradients differ", answer.body)

    def system(self, step):
        answer = self.call(step, "GET", step["path"], allowed=(200,) if not self.restarting else (200, 503))
        if answer is not None and step["path"] == "/metrics" and self.strict:
            require(b"modprop_jobs" in answer.body, "no metrics", answer.body[:500])

    def restart(self, step):
        with self.lock:
            self.end(step["kill"])
            self.start()
            if self.strict:
                for name in self.names.values():
                    name.now, name.pending = name.possible(), set()

    def rest(self, step):
        time.sleep(step["seconds"])

    # ---- rounds ----

    def begin(self, steps, clients):
        """What a round may do that several clients play at once."""
        self.strict = clients == 1
        self.restarting = any(step["do"] == "restart" for step in steps) and not self.strict
        for step in steps if not self.strict else ():
            if step["do"] == "put":
                self.name(step["name"]).now.add(step["data"])
            if step["do"] == "delete_dataset":
                self.name(step["name"]).now.add(None)

    def settle(self):
        """After a round of several: what there is now, of what there may be."""
        if not self.strict:
            self.strict, self.restarting = True, False
            for job in list(self.jobs.values()):
                job.data |= self.contents(job.step) if job.id is None else set()
            for name in self.names:
                self.look({"do": "look", "name": name})
            self.list_jobs({"do": "list_jobs", "limit": 100})
            self.list_experiments({"do": "list_experiments"})

    def play(self, step):
        handler = step["do"] if step["do"] not in ("pause", "resume", "cancel") else "act"
        getattr(self, handler)(step)
        self.alive()

    # ---- the end ----

    def finale(self):
        """Everything comes to its end, is looked at once more, and goes; nothing is left."""
        self.strict, self.restarting = True, False
        self.list_jobs({"do": "list_jobs", "limit": 100})
        self.end_experiments()
        jobs = [job for job in self.jobs.values() if job.id is not None]
        for job in jobs:  # all before the first is waited for: no job leaves its slot to another unless it may end
            self.let_end(job)
        for job in jobs:
            self.close(job)
        for name in self.names:
            self.look({"do": "look", "name": name})
            self.delete_dataset({"do": "delete_dataset", "name": name})
        self.list_datasets({"do": "list_datasets"})
        self.list_jobs({"do": "list_jobs", "limit": 7})
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and (any(self.rows().values()) or self.files()):
            for name in [name for name, state in self.names.items() if state.pending]:
                self.delete_dataset({"do": "delete_dataset", "name": name})  # a PUT hung up on may end as late as now
            time.sleep(0.05)  # rows go in portions, and a file when its last row has gone
        self.end(kill=False)
        self.look_at_the_folder()

    def let_end(self, job):
        if job.step["length"] == "endless":
            self.act({"do": "cancel", "job": job.label})
        elif job.pauses:
            self.act({"do": "resume", "job": job.label})
            job.pauses = 0

    def wait_for_end(self, job):
        """However long it takes, as long as a job goes on that ends: one that waits needs those before it."""
        before, since = None, time.monotonic()
        while not job.ended and not job.deleted:
            if job.seen and job.seen["status"] in ("pausing", "paused"):  # by a pause whose answer nobody heard
                self.act({"do": "resume", "job": job.label})
            self.job({"do": "job", "job": job.label, "wait": 5})
            self.list_jobs({"do": "list_jobs", "limit": 100})
            after = [
                (other.label, other.seen["status"], other.seen["progress"]["iteration"])
                for other in self.jobs.values()
                if other.seen and not other.cancellations and other.step["length"] != "endless"
            ]
            if after != before:
                before, since = after, time.monotonic()
            going = job.ended or job.deleted or time.monotonic() - since < PATIENCE
            require(going, "a job does not end", job.label, job.step, job.seen)

    def close(self, job):
        step = {"job": job.label}
        self.wait_for_end(job)
        for what in ("events", "weights", "metrics", "checkpoints", "manifest"):
            getattr(self, what)(step | {"do": what})
        if job.deleted:
            return
        self.simulate(step | {"do": "simulate", "trials": 1, "seed": 1, "split": "fresh"})
        self.delete(step | {"do": "delete"})
        for path in ("", "/events", "/weights", "/metrics", "/checkpoints", "/manifest"):
            self.call({"do": "get deleted"}, "GET", f"/v1/jobs/{job.id}{path}", allowed=(404,))

    def rows(self):
        """Of each table that holds something of jobs how many rows it has; a deletion's own event stays."""
        with sqlite3.connect(f"file:{self.folder / 'modprop.db'}?mode=ro", uri=True, timeout=60) as database:
            tables = [
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
            ]
            rows = {}
            for table in tables:
                columns = {row[1] for row in database.execute(f"PRAGMA table_info({table})").fetchall()}
                if table in ("jobs", "experiments") or "job" in columns:
                    kept = " WHERE type<>'deleted'" if "type" in columns else ""
                    rows[table] = database.execute(f"SELECT count(*) FROM {table}{kept}").fetchone()[0]
        database.close()
        return rows

    def files(self, pattern="*"):
        found = (self.folder / "datasets").rglob(pattern)
        return [str(path.relative_to(self.folder)) for path in found if path.is_file()]

    def look_at_the_folder(self):
        """No row and no file of what was deleted; a job that is left holds its data, so rows come first."""
        with sqlite3.connect(self.folder / "modprop.db") as database:
            whole = database.execute("PRAGMA integrity_check").fetchone()[0]
            left = database.execute("SELECT id, status, experiment, dataset_sha256 FROM jobs").fetchall()
        database.close()
        require(whole == "ok", "the database is damaged", whole)
        require(not any(self.rows().values()), "rows are left", self.rows(), left, self.files())
        require(not self.files(), "files are left", self.files(), self.daemon.log()[-4000:])


def report_kind(report):
    """A sanitizer's report in a line that is the same for the same fault: what, and the first function of ours."""
    what = re.search(r"(?:Sanitizer: |runtime error: )([\w-]+(?: \w+)?)", report)
    frame = re.search(r"#\d+ (?:0x[0-9a-f]+ in )?(\w+) [^\n]*?/(?:core|api|server)/", report) or re.search(
        r"#\d+ (?:0x[0-9a-f]+ in )?(\w+) (?:\.\./)*(?:core|api|server)/", report
    )
    return f"sanitizer: {what.group(1) if what else 'report'} in {frame.group(1) if frame else '?'}"
