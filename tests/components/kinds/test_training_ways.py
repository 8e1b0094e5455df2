"""Learners that are trained on tasks of more classes than they are for."""

from pathlib import Path

import pytest
import torch

from components.kinds.kind import Hooks
from components.kinds.supervised import Supervised
from components.kinds.table import load_tasks
from components.preprocess.step import preprocess
from components.train.step import Job
from metasgd.errors import InputError
from metasgd.seeds import generator
from tests.components.kinds.loading import load
from tests.components.kinds.test_image_classes import PLAIN, birds


def job(folder: Path, algorithm: str, ways: int) -> Job:
    """Two ways, of four classes in each split."""
    experiment = load(
        f"tasks.source.path={birds(folder / 'birds', PLAIN)}", "tasks.source.size=8",
        "tasks.distribution.ways=2", "tasks.stored.validation=4", "tasks.stored.gate=4",
        "tasks.stored.test=4", "tasks.stored.test_queries=2",
        "network.blocks=2", "network.filters=4", "train.iterations=3", "train.meta_batch=2",
        f"compare=[{algorithm}]", f"algorithms.{algorithm}.ways={ways}",
        name="pictures-5way-1shot",
    )  # fmt: skip
    preprocess(experiment.tasks, folder / "episodes")
    return Job.of(experiment.training(algorithm, seed=1), load_tasks(folder / "episodes"))


@pytest.mark.parametrize("algorithm", ["meta-sgd", "prototypes", "matching", "siamese"])
@pytest.mark.parametrize(("ways", "trained"), [(0, 2), (4, 4)])
def test_tasks_of_training_have_that_many_classes(
    tmp_path: Path, algorithm: str, ways: int, trained: int
) -> None:
    own = job(tmp_path, algorithm, ways)
    assert isinstance(own.tasks, Supervised)
    learner, tasks = own.tasks.in_training(own.learner, torch.device("cpu"))
    batch = tasks.sample(1, generator(1, "tasks"))
    assert learner.problem.outputs == len(batch.support_y.unique()) == trained
    outcome = own.tasks.fit(own.learner, own.training, Hooks(lambda point: None))
    # Validation and every later use have the experiment's number of classes.
    assert own.learner.problem.outputs == 2
    assert [point.validation is not None for point in outcome.curve][-1]


def test_more_classes_than_there_are_are_refused(tmp_path: Path) -> None:
    own = job(tmp_path, "meta-sgd", ways=5)
    with pytest.raises(
        InputError, match="birds: ways of kind gradient is 5; expected at most 4, the training"
    ):
        own.tasks.fit(own.learner, own.training, Hooks(lambda point: None))
