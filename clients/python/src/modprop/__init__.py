"""modprop: train recurrent networks with biologically plausible learning rules, on a modpropd.

    from modprop import Client

    with Client() as client:
        job = client.train(task="delayed_xor", rule="modprop", seed=1)
        for progress in job:
            print(progress.iteration, progress.loss, progress.accuracy)
        job.weights.W      # (N,N) float32
        job.plot()

The package knows the HTTP contract only; it computes nothing that the server computes.
"""

from ._analyses import Analysis
from ._async_client import AsyncClient, AsyncJob
from ._async_experiment import AsyncExperiment
from ._client import Client, Job
from ._compare import Comparison, PairedList
from ._errors import (
    BadAnswer,
    Conflict,
    FieldProblem,
    InvalidRequest,
    JobFailed,
    ModpropError,
    NotAllowed,
    NotFound,
    ProblemError,
    ServerUnreachable,
    Unavailable,
    WeightsCorrupt,
)
from ._experiment import Experiment
from ._points import Interval, Paired, Point, PointCurve, Points, SeedCurve, Summary, Trial
from ._results import (
    Checkpoint,
    Dataset,
    Evaluation,
    Gradients,
    Metrics,
    Progress,
    RuleGradients,
    Simulation,
    Spectrum,
    View,
    Weights,
    weights_sha256,
)
from ._spikes import Spikes
from ._studies import TrialEnd
from ._style import STYLE
from ._version import __version__

__all__ = [
    "Analysis",
    "AsyncClient",
    "AsyncExperiment",
    "AsyncJob",
    "BadAnswer",
    "Checkpoint",
    "Client",
    "Comparison",
    "Conflict",
    "Dataset",
    "Evaluation",
    "Experiment",
    "FieldProblem",
    "Gradients",
    "Interval",
    "InvalidRequest",
    "Job",
    "JobFailed",
    "Metrics",
    "ModpropError",
    "NotAllowed",
    "NotFound",
    "Paired",
    "PairedList",
    "Point",
    "PointCurve",
    "Points",
    "ProblemError",
    "Progress",
    "RuleGradients",
    "STYLE",
    "SeedCurve",
    "ServerUnreachable",
    "Simulation",
    "Spectrum",
    "Spikes",
    "Summary",
    "Trial",
    "TrialEnd",
    "Unavailable",
    "View",
    "Weights",
    "WeightsCorrupt",
    "__version__",
    "weights_sha256",
]
