"""What can be chosen about learners: one class for each way to adapt, by the name in the key `kind`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from metasgd.settings import Settings, require, require_counts, require_positive, require_range


def _require_ways(ways: int) -> None:
    require(ways == 0 or ways >= 2, "ways", ways, "at least 2, or 0")


@dataclass(frozen=True)
class GradientSettings(Settings):
    """Steps along the gradient: how alpha is shaped, where it starts, how the meta-gradient treats the step.

    alpha: "per-parameter" is Meta-SGD, "scalar" one learned rate for all parameters, "fixed" one
        constant rate (MAML), "curvature" learned matrices (`metasgd.curvature`), "none" no inner step at all.
    start: alpha starts at one value drawn uniformly from [low, high],
    layers: or, in the layers named here ("conv0", "classifier"), at one from a range of their own.
    adapts: the layers that inner steps move: "all", "head" (the last one alone; ANIL, Raghu et al. 2020) or
        "body" (all but the last; BOIL, Oh et al. 2021). The others keep theta's values.
    order: "second" differentiates through the inner gradient; "first" takes it as a constant.
    steps: inner steps in meta-training; at test any number can be asked for.
    ways: classes of a task in meta-training, of pictures with a shared head; 0 for those of the experiment.
    trained: False leaves theta at its random start: training each task from scratch.
    """

    kind: Literal["gradient"]
    alpha: Literal["per-parameter", "scalar", "fixed", "curvature", "none"]
    start: tuple[float, float]
    layers: Mapping[str, tuple[float, float]]
    adapts: Literal["all", "head", "body"]
    order: Literal["second", "first"]
    steps: int
    test_steps: int
    ways: int
    trained: bool

    def check(self) -> None:
        _require_ways(self.ways)
        require_range("start", self.start)
        for layer, bounds in self.layers.items():
            require_range(f"layers.{layer}", bounds)
        own = not self.layers or self.alpha == "per-parameter"
        require(own, "layers", dict(self.layers), "{}, as only an alpha per parameter has layers")
        require_counts(self, "steps", "test_steps")

    @property
    def is_reference(self) -> bool:
        """References are shown beside the learners, and are never promoted."""
        return self.alpha == "none" or not self.trained


@dataclass(frozen=True)
class OneLook(Settings):
    """Base of learners that adapt by looking at the support examples once, without a gradient."""

    steps: ClassVar[int] = 1
    test_steps: ClassVar[int] = 1
    trained: ClassVar[bool] = True
    is_reference: ClassVar[bool] = False


@dataclass(frozen=True)
class PrototypeSettings(OneLook):
    """Prototypical networks (Snell et al. 2017): the class whose mean feature vector is nearest.

    scale: minus the squared distance is multiplied by this before the softmax; 1 in the paper.
    ways: as in GradientSettings.
    """

    kind: Literal["prototypes"]
    scale: float
    ways: int

    def check(self) -> None:
        _require_ways(self.ways)
        require_positive(self, "scale")


@dataclass(frozen=True)
class MatchingSettings(OneLook):
    """Matching networks (Vinyals et al. 2016), without full-context embeddings: support examples vote.

    similarity: "cosine", or "euclidean" for minus the squared distance.
    scale: it is multiplied by this before the softmax.
    ways: as in GradientSettings.
    """

    kind: Literal["matching"]
    similarity: Literal["cosine", "euclidean"]
    scale: float
    ways: int

    def check(self) -> None:
        _require_ways(self.ways)
        require_positive(self, "scale")


@dataclass(frozen=True)
class SiameseSettings(OneLook):
    """Siamese networks (Koch et al. 2015), trained on tasks: whether two pictures show one class.

    ways: as in GradientSettings.
    """

    kind: Literal["siamese"]
    ways: int

    def check(self) -> None:
        _require_ways(self.ways)


@dataclass(frozen=True)
class MetaLstmSettings(Settings):
    """Meta-LSTM (Ravi and Larochelle 2017): an LSTM makes the inner steps, the same for every parameter.

    hidden: its width. steps, test_steps: inner steps in meta-training, and at test.
    """

    kind: Literal["meta-lstm"]
    hidden: int
    steps: int
    test_steps: int
    trained: ClassVar[bool] = True
    is_reference: ClassVar[bool] = False

    def check(self) -> None:
        require_counts(self, "hidden", "steps", "test_steps")


@dataclass(frozen=True)
class MemorySettings(OneLook):
    """Memory-augmented network (Santoro et al. 2016): an LSTM that writes to and reads from a memory.

    side: pictures are shrunk to side x side. controller: width of the LSTM.
    slots, width: of the memory. heads: that read it, and that write to it.
    decay: of a slot's usage per step.
    """

    kind: Literal["memory"]
    side: int
    controller: int
    slots: int
    width: int
    heads: int
    decay: float

    def check(self) -> None:
        require_counts(self, "side", "controller", "slots", "width", "heads")
        require(self.heads <= self.slots, "heads", self.heads, f"at most slots ({self.slots})")
        require(0 <= self.decay < 1, "decay", self.decay, "a number from 0 to below 1")


ComparingSettings = PrototypeSettings | MatchingSettings | SiameseSettings
LearnerSettings = GradientSettings | ComparingSettings | MetaLstmSettings | MemorySettings
LEARNER_SETTINGS: dict[str, type[LearnerSettings]] = {
    "gradient": GradientSettings,
    "prototypes": PrototypeSettings,
    "matching": MatchingSettings,
    "siamese": SiameseSettings,
    "meta-lstm": MetaLstmSettings,
    "memory": MemorySettings,
}
