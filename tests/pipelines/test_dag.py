"""The compiled pipeline: what it wires, what it promises, and what it must not hold."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.parameters import Training, from_json, load_experiment
from pipelines.dag import compile_pipeline

EXPERIMENTS = ("sinusoid-5shot", "glyphs-5way-1shot")
SEEDS = (1, 2)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    package = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline([load_experiment(name) for name in EXPERIMENTS], SEEDS, package)
    document: dict[str, Any] = yaml.safe_load(package.read_text())
    return document


def test_every_experiment_has_a_lane(spec: dict[str, Any]) -> None:
    """Two experiments: each step twice, and the train step inside a loop of its own."""
    tasks = spec["root"]["dag"]["tasks"]
    steps = ("preprocess", "evaluate", "promote", "report")
    expected = {name for step in steps for name in (step, f"{step}-2")}
    assert expected <= tasks.keys()
    assert sum(name.startswith("for-loop") for name in tasks) == len(EXPERIMENTS)


def test_a_lane_trains_every_algorithm_with_every_seed(spec: dict[str, Any]) -> None:
    """The loop's items are whole trainings as JSON strings: kfp would turn integers into floats."""
    loops = [task for name, task in spec["root"]["dag"]["tasks"].items() if name.startswith("for-loop")]
    for loop, name in zip(loops, EXPERIMENTS, strict=True):
        items = yaml.safe_load(loop["parameterIterator"]["items"]["raw"])
        trainings = [from_json(Training, item) for item in items]
        assert trainings == load_experiment(name).trainings(SEEDS)


def test_reports_grow_lane_by_lane(spec: dict[str, Any]) -> None:
    """The second report continues the first one, so the last is the whole."""
    tasks = spec["root"]["dag"]["tasks"]
    assert "earlier" not in tasks["report"]["inputs"]["artifacts"]
    earlier = tasks["report-2"]["inputs"]["artifacts"]["earlier"]["taskOutputArtifact"]
    assert earlier == {"outputArtifactKey": "chapters", "producerTask": "report"}


def test_only_what_the_registry_cannot_change_is_cached(spec: dict[str, Any]) -> None:
    """Promote and report speak of the registry as it is now."""
    tasks = spec["root"]["dag"]["tasks"]
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert {"preprocess", "evaluate"} <= cached
    assert not cached & {"promote", "promote-2", "report", "report-2"}


def test_components_are_thin_and_install_nothing(spec: dict[str, Any]) -> None:
    """A body is an import and a call; nothing is installed when it runs."""
    for executor in spec["deploymentSpec"]["executors"].values():
        command = "\n".join(executor["container"]["command"])
        assert "pip install" not in command
        source = executor["container"]["command"][-1]
        assert len(source.split("def ", 1)[1].splitlines()) < 30


def test_two_compilations_are_equal(tmp_path: Path) -> None:
    """Nothing unique to a run stands among the inputs, or Kubeflow's cache would never hit."""
    packages = [tmp_path / name for name in ("first.yaml", "second.yaml")]
    for package in packages:
        compile_pipeline([load_experiment(EXPERIMENTS[0])], SEEDS, package)
    assert packages[0].read_bytes() == packages[1].read_bytes()
