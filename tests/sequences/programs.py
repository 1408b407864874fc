"""Programs: lists of [round, client, step]. In a round the clients play at once, each its steps in order.

    python3 tests/sequences/programs.py fuzz [--seconds 60] [--seed N] [--clients 4]
    python3 tests/sequences/programs.py replay FILE [--times 10]      a program that failed

The daemon is $MODPROPD. A program that fails is shrunk by leaving out steps and written to build/sequences. A step
names a job by the label of its submission, so that what is left of a program still means something; a step whose job
does not exist does nothing.
"""

import argparse
import itertools
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import materials  # noqa: E402
from world import Violation, World  # noqa: E402

NAMES = ("a", "b", "c")
SMALL = [name for name in materials.SHAPES if name != "large"]

# ---- making ----


class Maker:
    """Steps that mean something: about jobs that were submitted, names that were put."""

    def __init__(self, rng):
        self.rng, self.labels, self.numbers = rng, [], itertools.count(1)
        self.experiments = []
        self.focus = None  # the name that those who play at once quarrel about

    def name(self):
        return self.focus if self.focus and self.rng.random() < 0.7 else self.rng.choice(NAMES)

    def pick(self, weighted):
        names = list(weighted)
        return self.rng.choices(names, [weighted[name] for name in names])[0]

    def cut(self, share):
        """Hangs up: in the midst of the request, after it, or in the midst of the answer."""
        if self.rng.random() >= share:
            return {}
        sent = self.rng.choice([1, 1, 1, 0.5, 0.97])
        return {"cut": {"sent": sent, "read": self.rng.choice([0, 1, 200]) if sent == 1 else 0}}

    def configuration(self):
        rng = self.rng
        on = None if rng.random() < 0.15 else self.name()
        made = {"on": on, "rule": self.pick({"bptt": 4, "cell": 2, "type": 1, "eprop": 2, "mdgl": 1})}
        made |= {"units": rng.choice([8, 12]), "seed": rng.choice([1, 2])}
        made |= {"length": self.pick({"short": 6, "medium": 3, "endless": 1})}
        if on and rng.random() < 0.1:
            made["version"] = rng.choice(list(materials.SHAPES))
        if rng.random() < 0.2:
            made["initial"] = {"like": rng.choice(["narrow", "narrow", "classes"]), "seed": rng.choice([1, 2])}
        elif self.labels and rng.random() < 0.15:
            made["initial"] = {"job": self.label()}
        return made

    def label(self):
        """Rather a job of late."""
        return self.rng.choice(self.labels[-4:] if self.rng.random() < 0.7 else self.labels)

    def put(self):
        data = self.pick(dict.fromkeys(materials.SHAPES, 2) | {"wide": 5, "narrow": 4, "large": 1})
        return {"do": "put", "name": self.name(), "data": data} | self.cut(0.1)

    def submit(self):
        step = {"do": "submit", "job": f"j{next(self.numbers)}"} | self.configuration()
        step |= {"priority": self.rng.choice([0, 0, 1])}
        step |= {"key": True} if self.rng.random() < 0.5 else {}
        self.labels.append(step["job"])
        return step | self.cut(0.06)

    def again(self, made):
        """A submission once more, by its key."""
        known = [step for step in made if step["do"] == "submit" and step.get("key")]
        if not known:
            return self.submit()
        step = {key: value for key, value in self.rng.choice(known[-4:]).items() if key != "cut"}
        return step | ({"other": True} if self.rng.random() < 0.3 else {})

    def about_a_job(self, what):
        step = {"do": what, "job": self.label()}
        if what == "job":
            step |= {"wait": self.rng.choice([0, 1, 60])}
        elif what in ("simulate", "evaluate"):
            step |= self.run()
        elif what == "events":
            step |= {"limit": self.rng.choice([3, 1000])}
        elif what == "follow" and self.rng.random() < 0.5:
            return step | {"cut": {"sent": 1, "read": self.rng.choice([1, 500, 3000])}}
        return step | self.cut(0.05)

    def run(self):
        """Which trials of a simulation or an evaluation, and at times a change to the network or the data."""
        rng = self.rng
        step = {"trials": rng.choice([1, 3, 4, 5, 8]), "seed": rng.choice([1, 2])}
        step |= {"split": rng.choice(["fresh", "fresh", "test"])}
        if rng.random() < 0.2:
            step["dataset"] = self.name()
        if rng.random() < 0.15:
            step["noise"] = rng.choice([0, 0.5])
        if rng.random() < 0.15:
            step["lesion"] = rng.choice([{"units": [1]}, {"synapses": [[0, 2]]}, {"units": [5], "synapses": [[2, 0]]}])
        if rng.random() < 0.15:
            like = {"like": rng.choice(["narrow", "narrow", "classes"]), "seed": rng.choice([1, 2])}
            step["weights"] = like if rng.random() < 0.6 else {"job": self.label()}
        return step

    def exp_submit(self):
        step = {"do": "exp_submit", "exp": f"e{next(self.numbers)}"} | self.configuration()
        step = {key: value for key, value in step.items() if key not in ("initial", "version")}
        step |= {"seeds": self.rng.choice([1, 2, 3]), "axis": self.rng.random() < 0.5}
        self.experiments.append(step["exp"])
        return step | self.cut(0.06)

    def about_an_experiment(self):
        what = self.pick({"exp_look": 3, "exp_trials": 1, "exp_points": 1, "exp_act": 8, "exp_delete": 2})
        step = {"do": what, "exp": self.rng.choice(self.experiments[-3:])}
        if what == "exp_act":
            step |= {"action": self.pick({"pause": 3, "resume": 3, "cancel": 2, "retry": 2})}
        return step | self.cut(0.05)

    def step(self, made):
        jobs = {
            "job": 8,
            "simulate": 6,
            "evaluate": 5,
            "weights": 3,
            "events": 4,
            "follow": 3,
            "metrics": 2,
            "checkpoints": 1,
        }
        jobs |= {"manifest": 2, "pause": 3, "resume": 3, "cancel": 2, "delete": 2}
        others = {"put": 10, "submit": 11, "again": 2, "validate": 3, "put_broken": 1, "look": 2, "download": 1}
        others |= {"list_datasets": 2, "delete_dataset": 3, "list_jobs": 3, "all_events": 1, "gradients": 2}
        others |= {"restart": 2, "system": 1, "rest": 1, "exp_submit": 3, "list_experiments": 1}
        others |= {"about_an_experiment": 9} if self.experiments else {}
        what = self.pick(others | (jobs if self.labels else {}))
        rng = self.rng
        if what in jobs:
            return self.about_a_job(what)
        if what in ("put", "submit", "exp_submit", "about_an_experiment"):
            return getattr(self, what)()
        if what == "again":
            return self.again(made)
        if what == "validate":
            return {"do": what, "job": "v"} | self.configuration() | self.cut(0.1)
        if what == "put_broken":
            return {"do": what, "name": self.name(), "data": rng.choice(list(materials.BROKEN))}
        if what in ("look", "download", "delete_dataset"):
            return {"do": what, "name": self.name()} | (self.cut(0.1) if what != "look" else {})
        if what == "list_jobs":
            chosen = rng.choice([{}, {}, {"status": "succeeded"}, {"task": "dataset"}, {"rule": "bptt"}])
            return {"do": what, "limit": rng.choice([1, 3, 100]), "filter": chosen}
        if what == "restart":
            return {"do": what, "kill": rng.random() < 0.5}
        if what == "system":
            return {"do": what, "path": rng.choice(["/metrics", "/readyz", "/livez", "/version", "/v1/rules", "/"])}
        if what == "rest":
            return {"do": what, "seconds": rng.choice([0.02, 0.1, 0.3])}
        return {"do": what} | (self.cut(0.1) if what == "gradients" else {})


def make(seed, clients, length):
    """A program: of one client, at times two or three with a step each; or of several with a few steps each a round."""
    rng = random.Random(seed)
    maker, program, steps = Maker(rng), [], []
    for number in itertools.takewhile(lambda _: len(program) < length, itertools.count()):
        players = clients if clients > 1 else rng.choice([1] * 6 + [2, 3])
        maker.focus = rng.choice(NAMES) if players > 1 and rng.random() < 0.6 else None
        for player in range(players):
            for _ in range(rng.randrange(1, 7) if clients > 1 else 1):
                step = maker.step(steps)
                if step["do"] == "restart" and players > 1 and (player > 0 or rng.random() < 0.7):
                    continue  # one client ends the daemon, seldom beside others
                steps.append(step)
                program.append([number, player, step])
    return program


# ---- playing ----


def play_chain(world, chain, barrier, failures):
    try:
        if barrier is not None:
            barrier.wait(60)
        for step in chain:
            if failures:
                return
            world.play(step)
    except Exception as failure:  # whatever it is, the program has failed
        failures.append(failure)


def play_round(world, steps):
    chains = {}
    for _, client, step in steps:
        chains.setdefault(client, []).append(step)
    world.begin([step for _, _, step in steps], len(chains))
    failures = []
    if len(chains) == 1:
        play_chain(world, *chains.values(), None, failures)
    else:
        barrier = threading.Barrier(len(chains))
        players = [
            threading.Thread(target=play_chain, args=(world, chain, barrier, failures)) for chain in chains.values()
        ]
        for player in players:
            player.start()
        for player in players:
            player.join()
    violations = [failure for failure in failures if isinstance(failure, Violation)]
    if violations:  # a sanitizer's report says more than what came of it
        raise next((v for v in violations if v.kind.startswith("sanitizer")), violations[0])
    if failures:
        raise failures[0]
    world.settle()


def play(program, results, flags=("--workers", "2", "--cores", "2")):
    """Plays a program on a daemon of its own. Violation where something is that must not be."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="modprop-sequence-"))
    world = None
    try:
        world = World(folder / "data", results, flags)
        for _, steps in itertools.groupby(program, key=lambda entry: entry[0]):
            play_round(world, list(steps))
        world.finale()
    finally:
        if world is not None and world.daemon is not None and world.daemon.process.poll() is None:
            world.daemon.process.kill()
            world.daemon.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


# ---- shrinking ----


def fails_as(program, kind, tries):
    for _ in range(tries):
        try:
            play(program, {})
        except Violation as violation:
            if violation.kind == kind:
                return True
        except Exception:  # another failure is not this one
            pass
    return False


def shrink(program, kind, seconds):
    """Leaves out halves, quarters, ... single steps, until it fails without none of them or time is up."""
    tries = 4 if len({client for _, client, _ in program}) > 1 else 2
    end, size = time.monotonic() + seconds, max(1, len(program) // 2)
    while time.monotonic() < end:
        at, less = 0, False
        while at < len(program) and time.monotonic() < end:
            shorter = program[:at] + program[at + size :]
            if shorter and fails_as(shorter, kind, tries):
                program, less = shorter, True
            else:
                at += size
        if size == 1 and not less:
            break
        size = max(1, size // 2) if not less or size > 1 else 1
    return program


def written(program, violation, seed, daemon):
    """The file of a program that failed, and what to do with it."""
    folder = pathlib.Path(os.environ.get("MODPROP_SEQUENCES_FOLDER", HERE.parents[1] / "build" / "sequences"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{seed}.json"
    text = "[" + ",\n ".join(json.dumps(entry) for entry in program) + "]\n"
    path.write_text(text)
    again = f"MODPROPD={daemon} /usr/bin/python3 tests/sequences/programs.py replay {path}"
    return f"{violation}\n\nseed {seed}; these {len(program)} steps fail:\n{text}\n{again}"


def read(path):
    return json.loads(path.read_text())


# ---- fuzzing ----


def fuzz(seconds, seed, clients, length=60, shrinking=120, tell=print):
    """Plays programs until time is up. Returns how many and their steps; AssertionError with a reproduction."""
    import daemons

    end, results, programs, steps = time.monotonic() + seconds, {}, 0, 0
    while programs == 0 or time.monotonic() < end:
        number = seed + programs
        program = make(number, clients, length)
        began = time.monotonic()
        try:
            play(program, results)
        except Violation as violation:
            tell(f"seed {number}, after {time.monotonic() - end + seconds:.1f} s: {violation.kind}; shrinking")
            shorter = shrink(program, violation.kind, shrinking)
            raise AssertionError(written(shorter, violation, number, daemons.MODPROPD)) from None
        programs, steps = programs + 1, steps + len(program)
        if os.environ.get("MODPROP_SEQUENCES_VERBOSE"):
            tell(f"seed {number}: {len(program)} steps in {time.monotonic() - began:.1f} s")
    return programs, steps


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fuzzing, replaying = commands.add_parser("fuzz"), commands.add_parser("replay")
    fuzzing.add_argument("--seconds", type=float, default=60)
    fuzzing.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    fuzzing.add_argument("--clients", type=int, default=1)
    fuzzing.add_argument("--length", type=int, default=60)
    fuzzing.add_argument("--shrink", type=float, default=120, help="seconds for shrinking")
    replaying.add_argument("file", type=pathlib.Path)
    replaying.add_argument("--times", type=int, default=10)
    chosen = parser.parse_args(arguments)
    if chosen.command == "replay":
        program = read(chosen.file)
        for number in range(chosen.times):
            play(program, {})
            print(f"{number + 1}: nothing wrong")
        return
    print(f"seed {chosen.seed}", flush=True)
    programs, steps = fuzz(chosen.seconds, chosen.seed, chosen.clients, chosen.length, chosen.shrink)
    print(f"{programs} programs, {steps} steps: nothing wrong")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (AssertionError, Violation) as failure:
        sys.exit(str(failure))
