"""What holds for every learner: one table, settings as JSON, checkpoints, and trainings that continue."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from metasgd.checkpoint import load_checkpoint, save_checkpoint
from metasgd.learner import Learner, Problem
from metasgd.learner_settings import (
    LEARNER_SETTINGS,
    LearnerSettings,
    MatchingSettings,
    MemorySettings,
    MetaLstmSettings,
    PrototypeSettings,
    SiameseSettings,
)
from metasgd.learners import LEARNERS, build_learner
from metasgd.loop import Point
from metasgd.resume import ResumeFile
from metasgd.serving import ServedModel
from metasgd.training import meta_train
from tests.metasgd.pictures import episodes, one, tasks
from tests.metasgd.small import convnet_settings, learner_settings, same, start, training_settings

SETTINGS: dict[str, LearnerSettings] = {
    "gradient": learner_settings(),
    "anil": learner_settings(adapts="head"),
    "boil": learner_settings(alpha="fixed", adapts="body"),
    "curvature": learner_settings(alpha="curvature"),
    "prototypes": PrototypeSettings("prototypes", scale=1.0, ways=0),
    "matching": MatchingSettings("matching", "cosine", scale=10.0, ways=0),
    "siamese": SiameseSettings("siamese", ways=0),
    "meta-lstm": MetaLstmSettings("meta-lstm", hidden=3, steps=2, test_steps=3),
    "memory": MemorySettings("memory", side=3, controller=8, slots=6, width=2, heads=2, decay=0.9),
}


def learner(name: str) -> Learner:
    problem = Problem("classification", (1, 6, 6), 3)
    return build_learner(problem, convnet_settings(normalisation="joint"), SETTINGS[name])


def test_every_kind_has_settings_and_a_learner() -> None:
    assert LEARNERS.keys() == LEARNER_SETTINGS.keys()
    assert set(LEARNER_SETTINGS.values()) == set(get_args(LearnerSettings))
    assert {settings.kind for settings in SETTINGS.values()} == LEARNERS.keys()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_checkpoint_rebuilds_it(tmp_path: Path, name: str) -> None:
    own = learner(name)
    meta = start(own)
    save_checkpoint(tmp_path, own, meta, about={})
    loaded, found, _ = load_checkpoint(tmp_path)
    assert loaded == own
    assert same(found, meta)


class InterruptedHereError(Exception):
    pass


def interrupt(point: Point) -> None:
    if point.iteration == 4:
        raise InterruptedHereError


@pytest.mark.parametrize("name", SETTINGS)
def test_resumed_equals_uninterrupted(tmp_path: Path, name: str) -> None:
    own, settings, state = learner(name), training_settings(), ResumeFile(tmp_path / "state", "this run")
    whole = meta_train(own, episodes(), lambda meta: 0.0, settings, seed=1)
    with pytest.raises(InterruptedHereError):
        meta_train(own, episodes(), lambda meta: 0.0, settings, seed=1, watch=interrupt, resume=state)
    resumed = meta_train(own, episodes(), lambda meta: 0.0, settings, seed=1, resume=state)
    assert same(resumed.meta, whole.meta)
    assert resumed.curve == whole.curve


@pytest.mark.parametrize("name", SETTINGS)
def test_served_alone_as_among_others(name: str) -> None:
    """A picture's outputs have the same bits, whatever else is asked."""
    own, task = learner(name), one(tasks(1))
    adapted = ServedModel(own, start(own)).adapt(task.support)
    assert torch.equal(adapted.predict(task.query_x)[1:2], adapted.predict(task.query_x[1:2]))
