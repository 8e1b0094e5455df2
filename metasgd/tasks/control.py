"""The dynamics that settings describe: one case for every family of control tasks."""

from metasgd.configuration import DynamicsSettings
from metasgd.rollouts import Dynamics
from metasgd.tasks.navigation import Navigation


def build(settings: DynamicsSettings) -> Dynamics:
    return Navigation(settings)
