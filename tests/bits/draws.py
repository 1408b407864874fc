"""The jobs of jobs-0.2.json: what came with version 0.2, 30 a group, which is a rule, a neuron model, or parameters.

Each job is the one of many drawn that brings the most pairs of values that no job of its group has had.
"""

import itertools
import json
import random

JOBS_A_GROUP = 30
TASKS = {
    "xor": {"type": "delayed_xor", "delay": 13, "cue": 6},
    "xor, loud": {"type": "delayed_xor", "delay": 0, "cue": 9, "amplitude": 1.5, "noise": 0.3},
    "pattern": {"type": "pattern", "duration": 41},
    "patterns": {"type": "pattern", "inputs": 5, "outputs": 3, "duration": 30},
    "evidence": {"type": "evidence", "cues": 3, "cue_duration": 8, "cue_active": 5, "delay": 7, "recall": 6},
    "classes": {"type": "dataset", "name": "classes"},
    "values": {"type": "dataset", "name": "values"},
    "perception": {"type": "perceptual_decision", "fixation": 3, "stimulus": 15, "decision": 4},
    "perception, late": {
        "type": "perceptual_decision",
        "fixation": 0,
        "stimulus": 9,
        "delay": 6,
        "decision": 2,
        "coherence_scale": 0.5,
        "noise": 0.4,
    },
    "match": {"type": "delayed_match_to_sample", "fixation": 2, "sample": 7, "delay": 9, "test": 6, "decision": 3},
    "match, silent": {
        "type": "delayed_match_to_sample",
        "fixation": 0,
        "sample": 5,
        "delay": 0,
        "test": 5,
        "decision": 1,
        "noise": 0,
    },
    "context": {"type": "context_decision", "fixation": 3, "stimulus": 14, "delay": 3, "decision": 4},
    "context, clear": {
        "type": "context_decision",
        "fixation": 0,
        "stimulus": 8,
        "delay": 0,
        "decision": 3,
        "coherence_scale": 2,
        "noise": 0.1,
    },
    "go": {"type": "go_nogo", "stimulus": 9, "delay": 8, "decision": 5},
    "go, noisy": {"type": "go_nogo", "fixation": 4, "stimulus": 6, "delay": 0, "decision": 1, "noise": 0.5},
    "recall": {"type": "store_recall", "characters": 5, "duration": 7},
    "recall, busy": {
        "type": "store_recall",
        "characters": 4,
        "duration": 9,
        "command_probability": 0.6,
        "active_rate": 300,
    },
    "copy": {"type": "copy", "item": 5, "delay": 6},
    "copy, long": {"type": "copy", "symbols": 3, "length": 5, "item": 3, "delay": 0},
    "adding": {"type": "adding", "length": 8, "item": 4},
    "flips": {"type": "flip_flop", "duration": 40, "slot": 8, "pulse": 3},
    "flips, one": {"type": "flip_flop", "channels": 1, "duration": 30, "slot": 5, "pulse": 5, "pulse_probability": 0.7},
    "interval": {"type": "interval_reproduction", "fixation": 3, "pulse": 2, "shortest": 8, "longest": 16},
    "interval, slow": {
        "type": "interval_reproduction",
        "fixation": 0,
        "pulse": 4,
        "shortest": 6,
        "longest": 9,
        "gain": 1.5,
    },
    "chaos": {"type": "mackey_glass", "duration": 45, "washout": 12},
    "chaos, near": {"type": "mackey_glass", "lag": 9, "horizon": 3, "duration": 30, "washout": 0},
}
# Each value is what it adds to a section; "" stands for the default.
NETWORK = {  # of every neuron model
    "units": [6, 12, 20, 36],
    "tau": ["", 7, "list", {"low": 3, "high": 40}],
    "dale": [True, False],
    "excitatory_fraction": ["", 0.5],
    "types_per_sign": [1, 2, 3],
    "connectivity": ["", 0.4],
    "rewiring": ["none", "deep_r"],
    "discretization": ["exponential", "euler"],
    "bias": [True, False],
    "types": ["", "shuffled"],
    "noise": ["", 0.2],
}
RATES = NETWORK | {"activation": ["relu", "tanh"], "readout_tau": ["", 8]}
NO_LEAK = {key: values for key, values in RATES.items() if key != "readout_tau"}
SPIKES = NETWORK | {
    "tau": ["", 7, {"low": 3, "high": 40}],
    "threshold": ["", 0.3],
    "dampening": ["", 0.5],
    "refractory": [0, 3],
    "readout_tau": ["", None, 8],
}
ADAPTING = SPIKES | {
    "beta": ["", 0.5],
    "tau_adaptation": ["", 30, {"low": 10, "high": 90}],
    "adaptive_fraction": ["", 0, 1],
}
MODELS = {"membrane": RATES, "rate": RATES, "lif": SPIKES, "alif": ADAPTING}
RULE = {
    "mu": ["", 0.6, "auto"],
    "averaging": ["all", "existing"],
    "tracking": ["current", "initial"],
    "first_hop": ["mu", "exact"],
    "taps": ["", 1, 5],
    "feedback": ["symmetric", "random", "adaptive"],
    "feedback_decay": ["", 0.001],
}
FEEDBACK = ("feedback", "feedback_decay")
OPTIMIZER = {
    "type": ["adam", "sgd"],
    "learning_rate": ["", 0.01],
    "decay": [None, {"factor": 0.5, "every": 3}],
    "momentum": ["", 0.5],
    "beta1": ["", 0.8],
    "beta2": ["", 0.99],
    "epsilon": ["", 1e-4],
    "l2": [0, 0.01],
    "l1": [0, 0.005],
    "clip_norm": [None, 0.05],
}
TRAINING = {
    "iterations": [4, 7, 11],
    "batch_size": [1, 3, 8, 11],
    "evaluate_every": [4],
    "checkpoint_every": [3],
    "memory": ["", 1048576],
    "stop_when": [None, {"metric": "loss", "above": 0, "evaluations": 2}],
    "diagnostics": [False, True, {"cosine": True, "alignment": ["eprop", "bptt"]}],
}
STEPS_OF_UPDATES = [1, 4, 7, 1000]


def section(dice, choices, names=None):
    chosen = {name: dice.choice(values) for name, values in choices.items() if names is None or name in names}
    return {name: value for name, value in chosen.items() if value != "" or value is False}


def numbers(dice, high, *lengths):
    """Nested lists of these lengths."""
    if not lengths:
        return round(dice.uniform(-high, high), 3)
    return [numbers(dice, high, *lengths[1:]) for _ in range(lengths[0])]


def types(network):
    """C: the types that the network's units are of."""
    units, groups = network["units"], network["types_per_sign"]
    if not network["dale"]:
        return min(groups, units)
    excitatory = int(network.get("excitatory_fraction", 0.8) * units) + 1
    return min(groups, excitatory) + min(groups, units - excitatory)


def network_draw(dice, choices, model="membrane", units_most=36):
    network = section(dice, choices)
    network["units"] = min(network["units"], units_most)
    if network.get("tau") == "list":
        network["tau"] = [3 + 2 * unit for unit in range(network["units"])]
    if not network["dale"]:
        network["rewiring"] = "none"
    return network if model == "membrane" else {"model": model} | network


def rule_draw(dice, type, own=None):
    rule = section(dice, RULE, FEEDBACK) | (own or {})
    if rule["feedback"] != "adaptive":
        rule.pop("feedback_decay", None)
    return {"type": type} | rule


# ---- a rule each ----


def filter_draw(dice, group):
    network = network_draw(dice, RATES)
    count = types(network)
    steps = dice.choice([1, 3, 9] + ([60] if count <= 2 else []))
    return network, rule_draw(dice, "filter", {"taps": numbers(dice, 0.2, count, count, steps)})


def snap_draw(dice, group):
    return network_draw(dice, RATES), rule_draw(dice, "snap", {"order": dice.choice([1, 2, 3, 64])})


def uoro_draw(dice, group):
    return network_draw(dice, NO_LEAK), rule_draw(dice, "uoro")


def diffusion_draw(dice, group):
    network = network_draw(dice, NO_LEAK)
    own = {"width": dice.choice([None, 2, network["units"]])}
    side = dice.choice([None, 1, 3, 5])
    if side is None:
        own["decay"] = dice.choice([None, 0.5])
    else:
        own["kernel"] = numbers(dice, 0.9 / side**2, side, side)
    return network, rule_draw(dice, "diffusion", own)


def window_draw(dice, group):
    return network_draw(dice, RATES), rule_draw(dice, "bptt", {"window": dice.choice([1, 5, 7, 1000])})


def carried_draw(dice, network, weights):
    """The part of a rule that says which weights carry credit."""
    units, count = network["units"], types(network)
    if weights == "given":
        size = dice.choice([units, count] if units <= 12 else [count])
        return {"weights": weights, "modulation": numbers(dice, 0.3, size, size)}
    if weights in ("type", "random"):
        return {"weights": weights} | section(dice, RULE, ("averaging", "tracking"))
    return {"weights": weights}


def modulation_draw(dice, group):
    network = network_draw(dice, RATES)
    own = carried_draw(dice, network, dice.choice(["given", "random", "shuffled"]))
    type = dice.choice(["mdgl", "modprop"])
    if type == "modprop":
        own |= section(dice, RULE, ("first_hop", "taps"))
        length = dice.choice([None, types(network), network["units"]])
        own["mu"] = dice.choice([0.25, "auto"]) if length is None else [abs(x) for x in numbers(dice, 0.5, length)]
    return network, rule_draw(dice, type, own)


# ---- a neuron model each, with every rule that it suits ----


def model_draw(dice, group):
    type = dice.choice(["bptt", "eprop", "mdgl", "modprop", "modprop", "rtrl"])
    network = network_draw(dice, MODELS[group], group, 10 if type == "rtrl" else 36)
    own = {}
    if type == "bptt":
        own = section(dice, {"window": ["", 6]})
    if type in ("mdgl", "modprop"):
        own = carried_draw(dice, network, dice.choice(["cell", "type", "given", "random", "shuffled"]))
    if type == "modprop":
        own |= section(dice, RULE, ("mu", "taps")) | {"first_hop": "mu" if group == "rate" else "exact"}
    return network, rule_draw(dice, type, own)


# ---- parameters that many rules share ----


def network_group_draw(dice, group):
    """A leaky readout, noise and shuffled types, with the rules of 0.1."""
    type = dice.choice(["bptt", "eprop", "mdgl", "modprop", "rtrl"])
    network = network_draw(dice, RATES | {"readout_tau": [3, 30], "noise": [0.05, 0.5]}, "membrane", 12)
    if not network["dale"]:
        network |= {"types_per_sign": 1, "types": [unit % 3 for unit in range(network["units"])]}
    own = section(dice, RULE, ("mu", "first_hop", "taps")) if type == "modprop" else {}
    return network, rule_draw(dice, type, own)


def online_draw(dice, group):
    """Updates within a trial: of the rules that go forward in time."""
    type = dice.choice(["eprop", "mdgl", "diffusion", "uoro", "rtrl"])
    model = dice.choice(["membrane", "lif"]) if type in ("eprop", "mdgl") else "membrane"
    choices = NO_LEAK if model == "membrane" else SPIKES | {"readout_tau": [None]}
    if type in ("eprop", "mdgl"):
        choices = choices | {"tau": ["", 7]}
    network = network_draw(dice, choices, model, 10 if type == "rtrl" else 36)
    own = carried_draw(dice, network, dice.choice(["cell", "type", "random"])) if type == "mdgl" else {}
    return network, rule_draw(dice, type, own)


def task_draw(dice, group):
    """Any rule, at a small size."""
    draw = dice.choice([filter_draw, snap_draw, uoro_draw, diffusion_draw, window_draw, modulation_draw, online_draw])
    network, rule = draw(dice, group)
    return network, rule


GROUPS = {
    "filter": filter_draw,
    "snap": snap_draw,
    "uoro": uoro_draw,
    "diffusion": diffusion_draw,
    "bptt, window": window_draw,
    "modulation": modulation_draw,
    "rate": model_draw,
    "lif": model_draw,
    "alif": model_draw,
    "network": network_group_draw,
    "online": online_draw,
    "tasks": task_draw,
}


def optimizer_draw(dice):
    optimizer = section(dice, OPTIMIZER)
    for name in ("beta1", "beta2", "epsilon") if optimizer["type"] == "sgd" else ("momentum",):
        optimizer.pop(name, None)
    return optimizer


def job_draw(dice, group):
    network, rule = GROUPS[group](dice, group)
    training = section(dice, TRAINING)
    if group == "online":
        training["update_every"] = dice.choice(STEPS_OF_UPDATES)
    if network.get("model") in ("lif", "alif") and rule["type"] != "rtrl" and group != "online":
        training |= section(dice, {"rate_cost": ["", 0.5], "rate_target": ["", 0.05]})
    task = dice.choice(list(TASKS))
    return {
        "name": task,
        "seed": dice.choice([1, 7, 2**53 - 1]),
        "threads": dice.choice([None, 1, 2]),
        "task": TASKS[task],
        "network": network,
        "rule": rule,
        "optimizer": optimizer_draw(dice),
        "training": training,
    }


def summary(value):
    """The value, or of a list of numbers its shape."""
    shape = []
    while isinstance(value, list) and value and not isinstance(value[0], str):
        shape.append(len(value))
        value = value[0]
    return f"shape {shape}" if shape else json.dumps(value)


def pairs(job):
    values = [("task", job["name"])]
    for name in ("network", "rule", "optimizer", "training"):
        values += [(name, key, summary(value)) for key, value in job[name].items()]
    return set(itertools.combinations(sorted(values, key=repr), 2)) | {(value,) for value in values}


def jobs_choose(group):
    dice, seen, chosen = random.Random(f"modprop {group}"), set(), []
    while len(chosen) < JOBS_A_GROUP:
        best = max((job_draw(dice, group) for _ in range(60)), key=lambda job: len(pairs(job) - seen))
        seen |= pairs(best)
        chosen.append(best)
    return chosen
