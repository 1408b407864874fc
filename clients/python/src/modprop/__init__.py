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

from ._async_client import AsyncClient, AsyncJob
from ._client import Client, Job
from ._compare import Comparison, Group, Run, rule_label
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
from ._version import __version__

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "BadAnswer",
    "Checkpoint",
    "Client",
    "Comparison",
    "Conflict",
    "Dataset",
    "Evaluation",
    "FieldProblem",
    "Gradients",
    "Group",
    "InvalidRequest",
    "Job",
    "JobFailed",
    "Metrics",
    "ModpropError",
    "NotAllowed",
    "NotFound",
    "ProblemError",
    "Progress",
    "Run",
    "RuleGradients",
    "ServerUnreachable",
    "Simulation",
    "Spectrum",
    "Unavailable",
    "View",
    "Weights",
    "WeightsCorrupt",
    "__version__",
    "rule_label",
    "weights_sha256",
]
