"""What can be chosen about tasks, networks and meta-training, as frozen dataclasses.

Plain Python without torch: command lines and pipelines check parameters with these, checkpoints
store them as JSON and rebuild a learner from them. Values have no defaults here: params.yaml is
the only place with defaults.
"""

import math
from dataclasses import dataclass
from typing import Literal

from metasgd.settings import Settings, require, require_counts, require_positive, require_range

Estimator = Literal["plain", "dice"]


@dataclass(frozen=True)
class SinusoidSettings(Settings):
    """Sine regression, section 5.1: y = A sin(w x + b), every task a new (A, w, b)."""

    shots: int
    queries: int
    amplitude: tuple[float, float]
    frequency: tuple[float, float]
    phase: tuple[float, float]
    interval: tuple[float, float]

    def check(self) -> None:
        require_counts(self, "shots", "queries")
        for key in ("amplitude", "frequency", "phase", "interval"):
            require_range(key, getattr(self, key))


@dataclass(frozen=True)
class EpisodeSettings(Settings):
    """N-way K-shot classification, section 5.2: `ways` classes, `shots` + `queries` pictures each."""

    ways: int
    shots: int
    queries: int

    def check(self) -> None:
        require(self.ways >= 2, "ways", self.ways, "at least 2")
        require_counts(self, "shots", "queries")


@dataclass(frozen=True)
class NavigationSettings(Settings):
    """2-D navigation, section 5.3: a point moves to a goal that only its rewards give away.

    The conventions are those of MAML's code, where the paper says nothing.

    shots: trajectories to adapt on.
    queries: trajectories that score the adapted policy.
    goal: both coordinates of a task's goal are uniform in this range,
    start: and those of its start in this one; [0, 0] fixes it.
    horizon: time steps after which a trajectory ends.
    speed: an action of 1 moves the point by this much, along each axis on its own,
    clip: and actions are clipped to [-clip, clip] first. Densities are those of the unclipped ones.
    tolerance: a trajectory ends early where both coordinates are this close to the goal's.
    reward: minus the "distance" to the goal after the move, or minus the "squared" distance.
    discount: of rewards, in the advantages of the inner step; scores are undiscounted returns.
    """

    kind: Literal["navigation"]
    shots: int
    queries: int
    goal: tuple[float, float]
    start: tuple[float, float]
    horizon: int
    speed: float
    clip: float
    tolerance: float
    reward: Literal["distance", "squared"]
    discount: float

    def check(self) -> None:
        require_counts(self, "shots", "queries", "horizon")
        for key in ("goal", "start"):
            require_range(key, getattr(self, key))
        for key in ("speed", "clip"):
            require_positive(self, key)
        require(self.tolerance >= 0, "tolerance", self.tolerance, "at least 0")
        require(0 <= self.discount <= 1, "discount", self.discount, "a number from 0 to 1")


DynamicsSettings = NavigationSettings
DYNAMICS: dict[str, type[DynamicsSettings]] = {"navigation": NavigationSettings}


@dataclass(frozen=True)
class MlpSettings(Settings):
    """Fully connected network with ReLU between its layers (section 5.1: hidden 40, 40)."""

    kind: Literal["mlp"]
    hidden: tuple[int, ...]

    def check(self) -> None:
        require(all(width >= 1 for width in self.hidden), "hidden", self.hidden, "widths of at least 1")


@dataclass(frozen=True)
class ConvNetSettings(Settings):
    """Blocks of 3x3 convolution, batch norm, ReLU and halving, then a linear classifier (section 5.2).

    halving: "pooling" (2x2 max-pool) or "strides" (stride-2 convolutions).
    extra: width of an additional linear layer with ReLU before the classifier; 0 for none.
    normalisation: whose statistics normalise query pictures: "transductive", those of the query batch (as in
        almost all published numbers), "inductive", those of the support set, or "joint", those of both.
    head: "per-class", a row of the classifier for every class, or "shared", one row of which every class gets
        a copy at the start of a task: the order of classes means nothing then, and their number is free.
    """

    kind: Literal["convnet"]
    blocks: int
    filters: int
    halving: Literal["pooling", "strides"]
    extra: int
    normalisation: Literal["transductive", "inductive", "joint"]
    head: Literal["per-class", "shared"]

    def check(self) -> None:
        require_counts(self, "blocks", "filters")
        require(self.extra >= 0, "extra", self.extra, "a width, or 0 for none")


@dataclass(frozen=True)
class PolicySettings(Settings):
    """Gaussian policy (section 5.3): a fully connected network gives the mean of the action, and a
    learned standard deviation per action is the same everywhere.

    hidden: widths of the hidden layers, with ReLU (the paper: 100, 100).
    std: standard deviation before any training.
    least_std: it never falls below this.
    """

    kind: Literal["policy"]
    hidden: tuple[int, ...]
    std: float
    least_std: float

    def check(self) -> None:
        require(all(width >= 1 for width in self.hidden), "hidden", self.hidden, "widths of at least 1")
        for key in ("std", "least_std"):
            require_positive(self, key)


NetworkSettings = MlpSettings | ConvNetSettings | PolicySettings
NETWORKS: dict[str, type[NetworkSettings]] = {
    "mlp": MlpSettings,
    "convnet": ConvNetSettings,
    "policy": PolicySettings,
}


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """Meta-training (Algorithm 1).

    rate: Adam's step size for theta,
    alpha_rate: and for alpha, as a multiple of it.
    schedule: "constant", or "cosine" from the rate down to zero over the iterations.
    clip: the meta-gradient's norm over theta and alpha together is cut down to this; 0 leaves it.
    validate_every: iterations between scores on the validation tasks, which choose the checkpoint.
    select: "best" keeps the checkpoint with the best validation score, "last" the last one.
    threads: CPU threads of a process; fixed, because the order of additions decides the last bits. Where
        compiled, each takes a piece of the meta-batch; else all share out every operation.
    processes: that share a meta-batch (`metasgd.parallel`), or 0 for one per GPU, and one without any;
        the result is the same to rounding.
    chunk: tasks of a meta-batch whose gradients a thread computes at once: a divisor of meta_batch, or 0 for
        what is fastest (`metasgd.engine.chunk_size` where compiled, all where not). Fewer need less
        memory; the result is the same to rounding.
    compile_from: runs of at least this many iterations compile the meta-gradient with
        torch.compile; shorter ones would spend more time compiling than they save.
    device: "cpu", "cuda", or "auto" for CUDA where there is any.
    """

    optimiser: Literal["adam"]
    iterations: int
    meta_batch: int
    rate: float
    alpha_rate: float
    schedule: Literal["constant", "cosine"]
    clip: float
    validate_every: int
    select: Literal["best", "last"]
    threads: int
    processes: int
    chunk: int
    compile_from: int
    device: Literal["cpu", "cuda", "auto"]

    def check(self) -> None:
        require_counts(self, "iterations", "meta_batch", "validate_every", "threads", "compile_from")
        even = self.chunk == 0 or (self.chunk > 0 and self.meta_batch % self.chunk == 0)
        require(even, "chunk", self.chunk, f"a divisor of meta_batch ({self.meta_batch}), or 0")
        even = self.processes == 0 or (self.processes > 0 and self.meta_batch % self.processes == 0)
        require(even, "processes", self.processes, f"a divisor of meta_batch ({self.meta_batch}), or 0")
        require_positive(self, "rate")
        for key in ("alpha_rate", "clip"):
            value = getattr(self, key)
            require(0 <= value < math.inf, key, value, "a number of at least 0")


@dataclass(frozen=True)
class TrpoSettings(Settings):
    """Meta-training by trust-region steps (Algorithm 2).

    meta_batch: tasks per iteration; the tasks' distribution says how many trajectories of each.
    discount: of rewards, in the advantages of the outer step.
    estimator: "dice" carries the sampling term in the outer gradient, "plain" leaves it out;
    decay: of the influence of earlier actions, per time step, in "dice": 1 is unbiased, less has less
        variance; see `metasgd.policy_gradient.surrogate_loss`.
    max_kl: bound on the mean KL divergence between the adapted policies before and after.
    schedule: of that bound: "constant", or "cosine" down to zero over the iterations.
    conjugate_gradients: iterations that solve for the natural gradient.
    fisher_trajectories: of each task, that estimate the Fisher information: the metric of the step,
        whose gradient and constraint are always taken over all.
    damping: multiple of the identity that is added to the Fisher information.
    backtracks: steps that the line search tries,
    backtrack_ratio: each this much shorter than the one before.
    The others are those of `TrainingSettings`.
    """

    optimiser: Literal["trpo"]
    iterations: int
    meta_batch: int
    discount: float
    estimator: Estimator
    decay: float
    max_kl: float
    schedule: Literal["constant", "cosine"]
    conjugate_gradients: int
    fisher_trajectories: int
    damping: float
    backtracks: int
    backtrack_ratio: float
    validate_every: int
    select: Literal["best", "last"]
    threads: int
    device: Literal["cpu", "cuda", "auto"]

    def check(self) -> None:
        counts = ("iterations", "meta_batch", "conjugate_gradients", "backtracks", "validate_every")
        require_counts(self, *counts, "threads", "fisher_trajectories")
        require_positive(self, "max_kl")
        require(self.damping >= 0, "damping", self.damping, "at least 0")
        for key in ("discount", "decay"):
            require(0 <= getattr(self, key) <= 1, key, getattr(self, key), "a number from 0 to 1")
        ratio = self.backtrack_ratio
        require(0 < ratio < 1, "backtrack_ratio", ratio, "a number between 0 and 1")
