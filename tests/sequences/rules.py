"""What all parts of the model share: a violation, a job as it is known, and whose trials some inputs are."""

import numpy as np


class Violation(Exception):
    """Something that must not be. `kind` is the same for the same fault, as far as one can see."""

    def __init__(self, kind, words=""):
        super().__init__(f"{kind}\n{words}" if words else kind)
        self.kind = kind


def require(condition, kind, *words):
    if not condition:
        raise Violation(kind, " ".join(map(str, words)))


class Job:
    def __init__(self, step, data):
        self.label, self.step, self.data = step["job"], step, set(data)
        self.id = None  # until it is known
        self.answered = False  # 201: it must be there
        self.initial = None  # the sha256 of its initial weights; "?" where they are not known
        self.ended = None
        self.deleted = False
        self.deletions = self.cancellations = self.pauses = 0  # that may have been taken or may be yet
        self.paused = False  # a pause was answered and nothing has been asked since that would end it
        self.resumes = 0
        self.events = []
        self.reported = {}  # what never changes, once the daemon has reported it
        self.seen = None  # its newest document
        self.body = self.accepted = None  # what its submissions send; what was answered 201

    def known(self):
        """What is known now, for a check of an answer to come."""
        return {"ended": self.ended, "deleted": self.deleted, "paused": self.paused, "answered": self.answered}


def drawn_from(inputs, data, split):
    """Whether every trial of a simulation is one of this dataset's. inputs: steps, trials, inputs."""
    source = data.tested if split == "test" else data.trained
    if source is None or inputs.ndim != 3 or inputs.shape[::2] != source.shape[::2]:
        return False
    return all(
        any(np.array_equal(inputs[:, trial], source[:, known]) for known in range(source.shape[1]))
        for trial in range(inputs.shape[1])
    )
