"""All learners, by the kind of their settings."""

from metasgd.adaptation import GradientLearner
from metasgd.comparison import MatchingLearner, PrototypeLearner, SiameseLearner
from metasgd.configuration import NetworkSettings
from metasgd.errors import InputError
from metasgd.learner import Learner, Problem
from metasgd.learner_settings import LearnerSettings
from metasgd.memory import MemoryLearner
from metasgd.meta_lstm import MetaLstmLearner

LEARNERS: dict[str, type[Learner]] = {
    "gradient": GradientLearner,
    "prototypes": PrototypeLearner,
    "matching": MatchingLearner,
    "siamese": SiameseLearner,
    "meta-lstm": MetaLstmLearner,
    "memory": MemoryLearner,
}


def build_learner(problem: Problem, network: NetworkSettings, settings: LearnerSettings) -> Learner:
    """Raises InputError for a problem or a network that such a learner cannot take."""
    learner = LEARNERS[settings.kind]
    if found := learner.problem_with(network, settings):
        raise InputError(found)
    return learner.of(problem, network, settings)
