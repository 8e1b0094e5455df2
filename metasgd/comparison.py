"""Learners that compare: a query picture's features with what is kept of the support pictures' features.

They adapt by looking at the support pictures once. Before that, all classes are as likely.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from metasgd.configuration import ConvNetSettings, NetworkSettings
from metasgd.convnet import ConvBody
from metasgd.initialisation import he_normal
from metasgd.learner import Adapted, Learner, Meta, Problem
from metasgd.learner_settings import LearnerSettings, MatchingSettings, PrototypeSettings
from metasgd.objectives import OBJECTIVES
from metasgd.tasks import Batch, Examples
from metasgd.trees import Parameters


@dataclass(frozen=True)
class ComparingLearner(Learner):
    """network: gives the features. What is kept of a task stands in `Adapted.context`."""

    network: ConvBody

    @classmethod
    def of(cls, problem: Problem, architecture: NetworkSettings, settings: LearnerSettings) -> Self:
        assert isinstance(architecture, ConvNetSettings)  # noqa: S101  # by `problem_with`
        body = ConvBody.of(architecture, problem.input_shape)
        return cls(problem, architecture, settings, body, OBJECTIVES[problem.objective])

    @classmethod
    def problem_with(cls, network: NetworkSettings, settings: LearnerSettings) -> str | None:
        if isinstance(network, ConvNetSettings):
            return None
        return f"network.kind is {network.kind!r}; expected 'convnet', whose features are compared"

    @property
    def any_ways(self) -> bool:
        return True

    def initial(self, generator: torch.Generator) -> Meta:
        return Meta({**self.network.initial(generator), **self.comparison(generator)}, {})

    def comparison(self, generator: torch.Generator) -> Parameters:
        """What is learned besides the body."""
        return {}

    @abstractmethod
    def kept(self, features: Tensor, labels: Tensor) -> Parameters:
        """What comparisons need. features: [support, features]; labels: one-hot [support, ways]."""

    @abstractmethod
    def compare(self, theta: Parameters, kept: Parameters, features: Tensor) -> Tensor:
        """Logits [query, ways] by the query pictures' features [query, features]."""

    def adaptations(self, meta: Meta, support: Examples, steps: int) -> Iterator[Adapted]:
        theta = meta.theta
        features, context = self.network(theta, support.x), self.network.context(theta, support.x)
        labels = one_hot(support.y, self.problem.outputs).to(features.dtype)
        yield Adapted(theta, self.kept(torch.zeros_like(features), labels))
        if "x" in context:  # the support pictures' features depend on the query pictures
            adapted = Adapted(theta, {**context, "labels": labels})
        else:
            adapted = Adapted(theta, {**context, **self.kept(features, labels)})
        yield from repeat(adapted, steps)

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        return self.compare(adapted.theta, *self.features(adapted, x))

    def features(self, adapted: Adapted, x: Tensor) -> tuple[Parameters, Tensor]:
        """What was kept of the support pictures, and the query pictures' features."""
        theta, context = adapted
        support_x = context.get("x")
        if support_x is None:
            return context, self.network(theta, x, context)
        both = self.network(theta, torch.cat([support_x, x]))
        kept = self.kept(both[: len(support_x)], context["labels"])
        return kept, both[len(support_x) :]


@dataclass(frozen=True)
class PrototypeLearner(ComparingLearner):
    """Prototypical networks: minus the squared distance to a class's mean features (equations 1 and 2)."""

    settings: PrototypeSettings

    def kept(self, features: Tensor, labels: Tensor) -> Parameters:
        return {"prototypes": labels.mT @ features / labels.sum(0).unsqueeze(-1)}

    def compare(self, theta: Parameters, kept: Parameters, features: Tensor) -> Tensor:
        return -self.settings.scale * squared_distances(features, kept["prototypes"])


@dataclass(frozen=True)
class MatchingLearner(ComparingLearner):
    """Matching networks: attention over the support pictures votes for their classes (equation 1)."""

    settings: MatchingSettings

    def kept(self, features: Tensor, labels: Tensor) -> Parameters:
        return {"features": features, "labels": labels}

    def compare(self, theta: Parameters, kept: Parameters, features: Tensor) -> Tensor:
        """The vote's log probabilities, so that cross-entropy is the vote's negative log likelihood."""
        if self.settings.similarity == "cosine":
            similarities = F.normalize(features, dim=-1) @ F.normalize(kept["features"], dim=-1).mT
        else:
            similarities = -squared_distances(features, kept["features"])
        attention = (self.settings.scale * similarities).log_softmax(dim=-1)
        of_class = kept["labels"].mT.bool()  # [ways, support]
        return attention.unsqueeze(1).masked_fill(~of_class, -torch.inf).logsumexp(dim=-1)


@dataclass(frozen=True)
class SiameseLearner(ComparingLearner):
    """Siamese networks: a logit of absolute differences of features says whether two pictures show one class.

    A query picture's class is the one to whose support pictures its logits are highest on average.
    """

    def comparison(self, generator: torch.Generator) -> Parameters:
        weight = he_normal(self.network.features, 1, generator, gain=1.0)
        return {"similarity.weight": weight, "similarity.bias": torch.zeros(1)}

    def kept(self, features: Tensor, labels: Tensor) -> Parameters:
        return {"features": features, "labels": labels}

    def pairs(self, theta: Parameters, kept: Parameters, features: Tensor) -> Tensor:
        """The logit of every query picture with every support picture, [query, support]."""
        differences = (features.unsqueeze(1) - kept["features"]).abs()
        return (differences @ theta["similarity.weight"]).squeeze(-1) + theta["similarity.bias"]

    def compare(self, theta: Parameters, kept: Parameters, features: Tensor) -> Tensor:
        labels = kept["labels"]
        return self.pairs(theta, kept, features) @ labels / labels.sum(0)

    def query_loss(self, adapted: Adapted, task: Batch) -> Tensor:
        """Binary cross-entropy of pairs; those of one class weigh as much as all others together."""
        kept, features = self.features(adapted, task.query_x)
        logits = self.pairs(adapted.theta, kept, features)
        same = one_hot(task.query_y, self.problem.outputs).to(logits.dtype) @ kept["labels"].mT
        losses = F.binary_cross_entropy_with_logits(logits, same, reduction="none")
        return (_mean_where(same, losses) + _mean_where(1 - same, losses)) / 2


def one_hot(labels: Tensor, ways: int) -> Tensor:
    """bool [examples, ways]."""
    return labels.unsqueeze(-1) == torch.arange(ways, device=labels.device)


def squared_distances(one: Tensor, other: Tensor) -> Tensor:
    """[a, features], [b, features] -> [a, b]."""
    return (one.unsqueeze(1) - other).square().sum(dim=-1)


def _mean_where(mask: Tensor, values: Tensor) -> Tensor:
    return (mask * values).sum() / mask.sum()
