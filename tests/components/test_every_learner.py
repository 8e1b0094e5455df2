"""Every learner goes the whole way: trained, evaluated, decided on, registered, loaded and asked."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from components.artifacts.checkpoint import load_trained
from components.artifacts.decision import Decision
from components.artifacts.results import Result, read_json, read_scores
from components.config.settings import Promotion
from components.evaluate.step import evaluate
from components.kinds.images import judged
from components.kinds.supervised import Supervised
from components.kinds.table import load_tasks
from components.preprocess.step import preprocess
from components.promote.step import promote
from components.train.step import train
from metasgd.checkpoint import load_checkpoint
from metasgd.evaluation import score
from metasgd.tasks import Batch
from tests.components.kinds.loading import load
from tests.components.kinds.test_image_classes import PLAIN, birds
from tests.components.lane import store

ALGORITHMS = (
    "meta-sgd",
    "anil",
    "boil",
    "curvature",
    "prototypes",
    "matching",
    "siamese",
    "meta-lstm",
    "mann",
)
NAME = "pictures-5way-1shot"
TINY = (
    "tasks.source.size=8", "tasks.distribution.ways=2", "tasks.stored.validation=4", "tasks.stored.gate=10",
    "tasks.stored.test=6", "tasks.stored.test_shots=[1]", "tasks.stored.test_queries=2", "network.blocks=2",
    "network.filters=4", "network.head=per-class", "train.iterations=4", "train.validate_every=2",
    "train.meta_batch=2",
    "algorithms.mann={kind: memory, side: 4, controller: 8, slots: 6, width: 4, heads: 2, decay: 0.9}",
    f"compare=[{', '.join(ALGORITHMS)}]",
)  # fmt: skip


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a lane in which all of them were trained, evaluated and decided on."""
    folder = tmp_path_factory.mktemp("learners")
    experiment = load(*TINY, f"tasks.source.path={birds(folder / 'birds', PLAIN)}", name=NAME)
    with store(folder):
        preprocess(experiment.tasks, folder / "episodes")
        checkpoints = [folder / f"{algorithm}-seed1" for algorithm in ALGORITHMS]
        for training, checkpoint in zip(experiment.trainings([1]), checkpoints, strict=True):
            train(training, folder / "episodes", checkpoint)
        evaluate(checkpoints, folder / "episodes", folder / "results")
        decision = folder / "decision.json"
        promote(NAME, Promotion(False), checkpoints, folder / "results", folder / "episodes", decision)
        yield folder


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_is_scored_and_registered(lane: Path, algorithm: str) -> None:
    result = read_json(Result, lane / "results" / f"{algorithm}-seed1.json")
    assert [score.step for score in result.steps] == list(range(result.adapted + 1))
    assert (result.served is None) == (algorithm == "mann")  # whose scores are as served
    assert (lane / "results" / "figures" / f"{algorithm}-seed1" / "predictions.png").exists()
    versions = read_json(Decision, lane / "decision.json").versions
    assert [model.algorithm for model in versions] == list(ALGORITHMS)


def test_what_alpha_is_worth_is_asked_where_there_is_an_alpha(lane: Path) -> None:
    for algorithm in ALGORITHMS:
        result = read_json(Result, lane / "results" / f"{algorithm}-seed1.json")
        assert bool(result.ablations) == (algorithm == "meta-sgd")


@pytest.mark.parametrize("version", range(1, len(ALGORITHMS) + 1))
def test_the_registered_model_answers_as_it_was_scored(lane: Path, version: int) -> None:
    """Task by task, over the gate tasks."""
    tasks = load_tasks(lane / "episodes")
    assert isinstance(tasks, Supervised)
    algorithm = ALGORITHMS[version - 1]
    learner, meta, _ = load_checkpoint(lane / f"{algorithm}-seed1")
    batch, step = tasks.batch("gate", 1), learner.settings.test_steps
    with store(lane):
        model = mlflow.pyfunc.load_model(f"models:/{NAME}/{version}")
        names = ("support_examples", "support_labels", "query_examples")
        answered = [
            np.mean(model.predict(dict(zip(names, task, strict=True))) == labels)
            for *task, labels in zip(*(part.numpy() for part in batch), strict=True)
        ]
    scored = score(learner.served, meta, batch, step)[:, step]
    assert torch.tensor(answered).tolist() == pytest.approx(scored.tolist())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_its_sheet_shows_the_predictions_that_were_scored(lane: Path, algorithm: str) -> None:
    """Of the first test task, before and after; a query between two classes is neither right nor wrong."""
    tasks = load_tasks(lane / "episodes")
    assert isinstance(tasks, Supervised)
    trained = load_trained(lane / f"{algorithm}-seed1", tasks.episodes.manifest.problem)
    verdicts, accuracies = judged(trained, Batch(*(part[:1] for part in tasks.batch("test", 1))))
    scores = read_scores(lane / "results" / f"{algorithm}-seed1.parquet")
    first = scores[(scores["set"] == "test") & (scores["task"] == 0)].set_index("step")["score"]
    assert accuracies == pytest.approx((first.iloc[0], first.iloc[-1]))
    for told, accuracy in zip(verdicts, accuracies, strict=True):
        right, wrong = ((told == sign).double().mean().item() for sign in (1, -1))
        assert right <= accuracy <= 1 - wrong
