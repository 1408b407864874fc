"""The parameters of a job as types, so that a type checker finds a misspelt one.

Written by generate_parameters.py from the daemon's tables; do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

Integer = int | np.integer[Any]
Real = float | np.integer[Any] | np.floating[Any]


class _DelayedXorTask(TypedDict):
    """What a `DelayedXorTask` must have."""

    type: Literal["delayed_xor"]


class DelayedXorTask(_DelayedXorTask, total=False):
    """The parameters of the task `delayed_xor`."""

    delay: Integer
    cue: Integer
    amplitude: Real
    noise: Real


class _PatternTask(TypedDict):
    """What a `PatternTask` must have."""

    type: Literal["pattern"]


class PatternTask(_PatternTask, total=False):
    """The parameters of the task `pattern`."""

    inputs: Integer
    outputs: Integer
    duration: Integer


class _RowMnistTask(TypedDict):
    """What a `RowMnistTask` must have."""

    type: Literal["row_mnist"]


class RowMnistTask(_RowMnistTask, total=False):
    """The parameters of the task `row_mnist`."""

    steps_per_row: Integer
    sha256: str | None


class _PixelMnistTask(TypedDict):
    """What a `PixelMnistTask` must have."""

    type: Literal["pixel_mnist"]


class PixelMnistTask(_PixelMnistTask, total=False):
    """The parameters of the task `pixel_mnist`."""

    steps_per_pixel: Integer
    permutation_seed: Integer | None
    sha256: str | None


class _EvidenceTask(TypedDict):
    """What a `EvidenceTask` must have."""

    type: Literal["evidence"]


class EvidenceTask(_EvidenceTask, total=False):
    """The parameters of the task `evidence`."""

    cues: Integer
    cue_duration: Integer
    cue_active: Integer
    delay: Integer
    recall: Integer
    cue_probability: Real
    active_rate: Real
    background_rate: Real


class _DatasetTask(TypedDict):
    """What a `DatasetTask` must have."""

    name: str
    type: Literal["dataset"]


class DatasetTask(_DatasetTask, total=False):
    """The parameters of the task `dataset`."""

    sha256: str | None
    draw: Integer
    bin: Integer


class _PerceptualDecisionTask(TypedDict):
    """What a `PerceptualDecisionTask` must have."""

    type: Literal["perceptual_decision"]


class PerceptualDecisionTask(_PerceptualDecisionTask, total=False):
    """The parameters of the task `perceptual_decision`."""

    fixation: Integer
    stimulus: Integer
    delay: Integer
    decision: Integer
    coherence_scale: Real
    noise: Real


class _DelayedMatchToSampleTask(TypedDict):
    """What a `DelayedMatchToSampleTask` must have."""

    type: Literal["delayed_match_to_sample"]


class DelayedMatchToSampleTask(_DelayedMatchToSampleTask, total=False):
    """The parameters of the task `delayed_match_to_sample`."""

    fixation: Integer
    sample: Integer
    delay: Integer
    test: Integer
    decision: Integer
    noise: Real


class _ContextDecisionTask(TypedDict):
    """What a `ContextDecisionTask` must have."""

    type: Literal["context_decision"]


class ContextDecisionTask(_ContextDecisionTask, total=False):
    """The parameters of the task `context_decision`."""

    fixation: Integer
    stimulus: Integer
    delay: Integer
    decision: Integer
    coherence_scale: Real
    noise: Real


class _GoNogoTask(TypedDict):
    """What a `GoNogoTask` must have."""

    type: Literal["go_nogo"]


class GoNogoTask(_GoNogoTask, total=False):
    """The parameters of the task `go_nogo`."""

    fixation: Integer
    stimulus: Integer
    delay: Integer
    decision: Integer
    noise: Real


class _StoreRecallTask(TypedDict):
    """What a `StoreRecallTask` must have."""

    type: Literal["store_recall"]


class StoreRecallTask(_StoreRecallTask, total=False):
    """The parameters of the task `store_recall`."""

    characters: Integer
    duration: Integer
    command_probability: Real
    active_rate: Real


class _CopyTask(TypedDict):
    """What a `CopyTask` must have."""

    type: Literal["copy"]


class CopyTask(_CopyTask, total=False):
    """The parameters of the task `copy`."""

    symbols: Integer
    length: Integer
    item: Integer
    delay: Integer


class _AddingTask(TypedDict):
    """What a `AddingTask` must have."""

    type: Literal["adding"]


class AddingTask(_AddingTask, total=False):
    """The parameters of the task `adding`."""

    length: Integer
    item: Integer


class _FlipFlopTask(TypedDict):
    """What a `FlipFlopTask` must have."""

    type: Literal["flip_flop"]


class FlipFlopTask(_FlipFlopTask, total=False):
    """The parameters of the task `flip_flop`."""

    channels: Integer
    duration: Integer
    slot: Integer
    pulse: Integer
    pulse_probability: Real


class _IntervalReproductionTask(TypedDict):
    """What a `IntervalReproductionTask` must have."""

    type: Literal["interval_reproduction"]


class IntervalReproductionTask(_IntervalReproductionTask, total=False):
    """The parameters of the task `interval_reproduction`."""

    fixation: Integer
    pulse: Integer
    shortest: Integer
    longest: Integer
    gain: Real


class _MackeyGlassTask(TypedDict):
    """What a `MackeyGlassTask` must have."""

    type: Literal["mackey_glass"]


class MackeyGlassTask(_MackeyGlassTask, total=False):
    """The parameters of the task `mackey_glass`."""

    lag: Integer
    horizon: Integer
    duration: Integer
    washout: Integer


Task = (
    DelayedXorTask
    | PatternTask
    | RowMnistTask
    | PixelMnistTask
    | EvidenceTask
    | DatasetTask
    | PerceptualDecisionTask
    | DelayedMatchToSampleTask
    | ContextDecisionTask
    | GoNogoTask
    | StoreRecallTask
    | CopyTask
    | AddingTask
    | FlipFlopTask
    | IntervalReproductionTask
    | MackeyGlassTask
)


class _BpttRule(TypedDict):
    """What a `BpttRule` must have."""

    type: Literal["bptt"]


class BpttRule(_BpttRule, total=False):
    """The parameters of the rule `bptt`."""

    feedback: Literal["symmetric", "random", "adaptive"]
    feedback_decay: Real
    window: Integer | None


class _EpropRule(TypedDict):
    """What a `EpropRule` must have."""

    type: Literal["eprop"]


class EpropRule(_EpropRule, total=False):
    """The parameters of the rule `eprop`."""

    feedback: Literal["symmetric", "random", "adaptive"]
    feedback_decay: Real


class _MdglRule(TypedDict):
    """What a `MdglRule` must have."""

    type: Literal["mdgl"]


class MdglRule(_MdglRule, total=False):
    """The parameters of the rule `mdgl`."""

    weights: Literal["cell", "type", "given", "random", "shuffled"]
    modulation: Sequence[Sequence[Real] | NDArray[Any]] | None
    averaging: Literal["all", "existing"]
    tracking: Literal["current", "initial"]
    feedback: Literal["symmetric", "random", "adaptive"]
    feedback_decay: Real


class _ModpropRule(TypedDict):
    """What a `ModpropRule` must have."""

    type: Literal["modprop"]


class _ModpropRuleMu(TypedDict):
    """What a `ModpropRuleMu` must have."""

    gain_at_most: Real


class ModpropRuleMu(_ModpropRuleMu, total=False):
    """The value of `mu`."""

    every: Integer
    mu: Real


class ModpropRule(_ModpropRule, total=False):
    """The parameters of the rule `modprop`."""

    mu: Real | Literal["auto"] | Sequence[Real] | NDArray[Any] | ModpropRuleMu
    weights: Literal["cell", "type", "given", "random", "shuffled"]
    modulation: Sequence[Sequence[Real] | NDArray[Any]] | None
    averaging: Literal["all", "existing"]
    tracking: Literal["current", "initial"]
    first_hop: Literal["mu", "exact"]
    taps: Integer | None
    feedback: Literal["symmetric", "random", "adaptive"]
    feedback_decay: Real


class _RtrlRule(TypedDict):
    """What a `RtrlRule` must have."""

    type: Literal["rtrl"]


class RtrlRule(_RtrlRule, total=False):
    """The parameters of the rule `rtrl`."""

    feedback: Literal["symmetric", "random", "adaptive"]
    feedback_decay: Real


class _FilterRule(TypedDict):
    """What a `FilterRule` must have."""

    type: Literal["filter"]


class _FilterRuleTapsFit(TypedDict):
    """What a `FilterRuleTapsFit` must have."""

    steps: Integer


class FilterRuleTapsFit(_FilterRuleTapsFit, total=False):
    """The value of `fit`."""

    basis: Literal["exponential", "free"]
    terms: Integer
    every: Integer
    trials: Integer
    ridge: Real


class FilterRuleTaps(TypedDict):
    """The value of `taps`."""

    fit: FilterRuleTapsFit


class FilterRule(_FilterRule, total=False):
    """The parameters of the rule `filter`."""

    feedback: Literal["symmetric", "random", "adaptive"]
    feedback_decay: Real
    taps: Sequence[Sequence[Sequence[Real] | NDArray[Any]]] | None | FilterRuleTaps


class _SnapRule(TypedDict):
    """What a `SnapRule` must have."""

    type: Literal["snap"]


class SnapRule(_SnapRule, total=False):
    """The parameters of the rule `snap`."""

    feedback: Literal["symmetric", "random", "adaptive"]
    feedback_decay: Real
    order: Integer


class _UoroRule(TypedDict):
    """What a `UoroRule` must have."""

    type: Literal["uoro"]


class UoroRule(_UoroRule, total=False):
    """The parameters of the rule `uoro`."""

    feedback: Literal["symmetric", "random", "adaptive"]
    feedback_decay: Real


class _DiffusionRule(TypedDict):
    """What a `DiffusionRule` must have."""

    type: Literal["diffusion"]


class DiffusionRule(_DiffusionRule, total=False):
    """The parameters of the rule `diffusion`."""

    feedback: Literal["symmetric", "random", "adaptive"]
    feedback_decay: Real
    width: Integer | None
    kernel: Sequence[Sequence[Real] | NDArray[Any]] | None
    decay: Real | None


Rule = BpttRule | EpropRule | MdglRule | ModpropRule | RtrlRule | FilterRule | SnapRule | UoroRule | DiffusionRule


class AdamOptimizerDecay(TypedDict):
    """The value of `decay`."""

    factor: Real
    every: Integer


class AdamOptimizer(TypedDict, total=False):
    """The parameters of the optimizer `adam`."""

    learning_rate: Real
    decay: AdamOptimizerDecay | None
    beta1: Real
    beta2: Real
    epsilon: Real
    l2: Real
    l1: Real
    clip_norm: Real | None
    type: Literal["adam"]


class SgdOptimizerDecay(TypedDict):
    """The value of `decay`."""

    factor: Real
    every: Integer


class SgdOptimizer(TypedDict, total=False):
    """The parameters of the optimizer `sgd`."""

    learning_rate: Real
    decay: SgdOptimizerDecay | None
    momentum: Real
    l2: Real
    l1: Real
    clip_norm: Real | None
    type: Literal["sgd"]


Optimizer = AdamOptimizer | SgdOptimizer


class NetworkTau(TypedDict):
    """The value of `tau`."""

    low: Real
    high: Real


class NetworkTauAdaptation(TypedDict):
    """The value of `tau_adaptation`."""

    low: Real
    high: Real


class Network(TypedDict, total=False):
    """The parameters of a job's network."""

    model: Literal["membrane", "rate", "lif", "alif"]
    units: Integer
    tau: Real | Sequence[Real] | NDArray[Any] | NetworkTau
    activation: Literal["relu", "tanh"]
    threshold: Real
    dampening: Real
    refractory: Integer
    beta: Real
    tau_adaptation: Real | NetworkTauAdaptation
    adaptive_fraction: Real
    readout_tau: Real | None
    noise: Real
    dale: bool
    excitatory_fraction: Real
    types_per_sign: Integer
    types: None | Literal["shuffled"] | Sequence[Integer]
    connectivity: Real
    rewiring: Literal["none", "deep_r"]
    discretization: Literal["exponential", "euler"]
    bias: bool
    initial: Any


class TrainingEvaluation(TypedDict, total=False):
    """The value of `evaluation`."""

    trials: Integer | None


class _TrainingStopWhen(TypedDict):
    """What a `TrainingStopWhen` must have."""

    metric: Literal["accuracy", "loss"]


class TrainingStopWhen(_TrainingStopWhen, total=False):
    """The value of `stop_when`."""

    above: Real | None
    below: Real | None
    evaluations: Integer


class TrainingDiagnostics(TypedDict, total=False):
    """The value of `diagnostics`."""

    cosine: bool
    spectral_radius: bool
    psi: bool
    norms: bool
    phases: bool
    credit_gain: bool
    alignment: Sequence[str | Mapping[str, Any]]


class Training(TypedDict, total=False):
    """The parameters of a job's training."""

    iterations: Integer
    batch_size: Integer
    evaluate_every: Integer | None
    evaluation: TrainingEvaluation | None
    checkpoint_every: Integer
    keep_checkpoints: Integer
    checkpoint_spacing: Literal["newest", "log"]
    stop_when: TrainingStopWhen | None
    update_every: Integer | None
    rate_cost: Real
    rate_target: Real
    memory: Integer | None
    diagnostics: (
        bool
        | Sequence[Literal["cosine", "spectral_radius", "psi", "norms", "phases", "credit_gain"]]
        | TrainingDiagnostics
    )
    events: Integer
