"""The compiled pipeline of a sweep: the train component of every pipeline, and a step that chooses."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import ParseDict
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from components.artifacts.choice import Trials, fingerprint
from components.config.code import ROOT
from components.config.parsing import from_json
from components.config.swept import SweptTraining
from components.kinds.experiment import load_experiment
from metasgd.errors import InputError
from pipelines.dag import compile_pipeline
from pipelines.kubeflow.cluster import load_cluster
from pipelines.pods import Pods
from pipelines.sweeps.dag import compile_sweep
from pipelines.sweeps.space import parse_space
from pipelines.sweeps.sweep import Sweep, resolve_sweep

IMAGE = "registry.example.org/team/metasgd-python:0123456789ab"
NAME = "glyphs-5way-1shot"
OVER = ("algorithms.maml.start=[0.1,0.1],[0.4,0.4]", "train.rate=0.01")
SEEDS = (1, 2)


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return resolve_sweep(parse_space(NAME, OVER, ["train.iterations=7"]), None, SEEDS)


@pytest.fixture(scope="module")
def spec(sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """As it is compiled for a cluster."""
    package = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_sweep(sweep, package, Pods(IMAGE, load_cluster(params=ROOT / "params.yaml")))
    document, _ = yaml.safe_load_all(package.read_text())
    ParseDict(document, PipelineSpec())  # strict, as the server's
    return dict(document)


def tasks_of(spec: dict[str, Any]) -> dict[str, Any]:
    return dict(spec["components"]["comp-exit-handler-1"]["dag"]["tasks"])


def test_every_point_and_seed_is_trained(spec: dict[str, Any]) -> None:
    """Each as the experiment with the point as overrides would be, and told which point it is."""
    (loop,) = [task for name, task in tasks_of(spec).items() if name.startswith("for-loop")]
    found = [
        from_json(SweptTraining, text) for text in yaml.safe_load(loop["parameterIterator"]["items"]["raw"])
    ]
    expected = []
    for start in ("[0.1,0.1]", "[0.4,0.4]"):
        point = [f"algorithms.maml.start={start}", "train.rate=0.01"]
        experiment = load_experiment(NAME, ["train.iterations=7", *point], ROOT / "params.yaml")
        expected += [(experiment.training("maml", seed), " ".join(point)) for seed in SEEDS]
    assert [(one.training, one.point) for one in found] == expected


def test_the_train_component_is_that_of_every_pipeline(spec: dict[str, Any], tmp_path: Path) -> None:
    package = tmp_path / "pipeline.yaml"
    experiment = load_experiment(NAME, path=ROOT / "params.yaml")
    pods = Pods(IMAGE, load_cluster(params=ROOT / "params.yaml"))
    compile_pipeline([experiment], [1], package, pods)
    document, _ = yaml.safe_load_all(package.read_text())
    for part in ("comp-train", "comp-preprocess"):
        assert spec["components"][part] == document["components"][part]
    executors = [one["deploymentSpec"]["executors"]["exec-train"] for one in (spec, document)]
    assert executors[0] == executors[1]


def test_one_step_chooses_and_none_judges(spec: dict[str, Any], sweep: Sweep) -> None:
    """It gets every checkpoint and never comes from a cache; nothing is evaluated; finish is last."""
    tasks = tasks_of(spec)
    names = {name for name in tasks if not name.startswith("for-loop")}
    assert names == {"preprocess", "choose"}
    choose = tasks["choose"]
    assert "enableCache" not in choose.get("cachingOptions", {})
    assert choose["inputs"]["artifacts"].keys() == {"checkpoints", "episodes"}
    trials = from_json(Trials, choose["inputs"]["parameters"]["trials"]["runtimeValue"]["constant"])
    assert [set(trial.trainings) for trial in trials.trials] == [
        {fingerprint(one.training) for one in sweep.trainings[place : place + 2]} for place in (0, 2)
    ]
    assert set(spec["root"]["dag"]["tasks"]) == {"exit-handler-1", "finish"}


def resolved(name: str, over: list[str], *settings: str) -> Sweep:
    return resolve_sweep(parse_space(name, over, settings), None, [1])


@pytest.mark.parametrize(
    ("over", "settings", "expected"),
    [
        (
            ["train.rate=0.1,fast"],
            [],
            "OVER: params.yaml: glyphs-5way-1shot: train.rate: Input should be a valid n",
        ),
        (
            ["train.meta_batch=4,0.5"],
            [],
            "OVER: params.yaml: glyphs-5way-1shot: train.meta_batch: Input should be",
        ),
        (
            ["train.rate=0.1,0.2"],
            ["tasks.source.final=true", "train.select=last"],
            "tasks.source.final is true, so validation classes are trained on; expected false",
        ),
    ],
)
def test_values_that_are_wrong_are_one_line(
    over: list[str], settings: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError) as caught:
        resolved(NAME, over, *settings)
    assert expected in str(caught.value)


def test_points_that_train_the_same_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section with a key that another one sets."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="give the same training; expected points that differ"):
        resolved(NAME, ["train={rate: 0.1},{rate: 0.2}", "train.rate=0.3"])
