"""The compiled pipeline: what it wires, what it promises, and what it must not hold."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.parsing import from_json
from components.config.settings import Training
from components.kinds.experiment import load_experiment
from pipelines.dag import compile_pipeline, task_names

EXPERIMENTS = ("sinusoid-5shot", "glyphs-5way-1shot", "navigation-short")
SEEDS = (1, 2)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    package = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline([load_experiment(name) for name in EXPERIMENTS], SEEDS, package)
    document: dict[str, Any] = yaml.safe_load(package.read_text())
    return document


def tasks_of(spec: dict[str, Any]) -> dict[str, Any]:
    """The tasks of all lanes, which the exit handler watches over."""
    tasks: dict[str, Any] = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    return tasks


def test_the_last_step_runs_whatever_became_of_the_others(spec: dict[str, Any]) -> None:
    """It is the exit handler of all lanes, and told their final state."""
    tasks = spec["root"]["dag"]["tasks"]
    assert set(tasks) == {"exit-handler-1", "finish"}
    assert tasks["finish"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert tasks["finish"]["inputs"]["parameters"]["status"]["taskFinalStatus"] == {
        "producerTask": "exit-handler-1"
    }


def test_reports_are_told_the_command(tmp_path: Path) -> None:
    """Every lane's, because the last one's page is the whole."""
    command = "make pipeline-run SET='train.iterations=2000'"
    experiments = [load_experiment(name) for name in EXPERIMENTS[:2]]
    compile_pipeline(experiments, SEEDS, tmp_path / "pipeline.yaml", command=command)
    tasks = tasks_of(yaml.safe_load((tmp_path / "pipeline.yaml").read_text()))
    told = [tasks[name]["inputs"]["parameters"]["command"] for name in ("report", "report-2")]
    assert told == [{"runtimeValue": {"constant": command}}] * 2


def test_every_experiment_has_a_lane(spec: dict[str, Any]) -> None:
    """Each step once per lane, and the train step inside a loop of its own; control has rollout."""
    tasks = tasks_of(spec)
    expected = {
        f"{step}{number}" for step in ("preprocess", "promote", "report") for number in ("", "-2", "-3")
    }
    expected |= {"evaluate", "evaluate-2", "rollout"}
    assert expected == {name for name in tasks if not name.startswith("for-loop")}
    assert sum(name.startswith("for-loop") for name in tasks) == len(EXPERIMENTS)


def test_the_pipeline_and_its_inputs_say_what_they_are(spec: dict[str, Any]) -> None:
    """Where the Kubeflow UI shows them."""
    described = spec["pipelineInfo"]["description"]
    assert all(name in described for name in EXPERIMENTS)
    assert described.endswith("seeds 1, 2.")
    for name, component in spec["components"].items():
        if "executorLabel" in component and name != "comp-finish":
            inputs = component["inputDefinitions"]
            found = [*inputs.get("artifacts", {}).values(), *inputs.get("parameters", {}).values()]
            assert all(one["description"] for one in found), name


def test_tasks_are_numbered_as_kfp_numbers_them() -> None:
    """By component, not by lane: the second evaluate is evaluate-2, wherever it stands."""
    lanes = task_names(["sinusoid", "control", "images"])
    assert [lane["train"] for lane in lanes] == ["train", "train-2", "train-3"]
    assert [lane["promote"] for lane in lanes] == ["promote", "promote-2", "promote-3"]
    assert lanes[0]["evaluate"] == "evaluate"
    assert lanes[1]["rollout"] == "rollout"
    assert lanes[2]["evaluate"] == "evaluate-2"
    assert "evaluate" not in lanes[1]


def test_a_lane_trains_every_algorithm_with_every_seed(spec: dict[str, Any]) -> None:
    """The loop's items are whole trainings as JSON strings: kfp would turn integers into floats."""
    loops = [task for name, task in tasks_of(spec).items() if name.startswith("for-loop")]
    for loop, name in zip(loops, EXPERIMENTS, strict=True):
        items = yaml.safe_load(loop["parameterIterator"]["items"]["raw"])
        trainings = [from_json(Training, item) for item in items]
        assert trainings == load_experiment(name).trainings(SEEDS)


def test_reports_grow_lane_by_lane(spec: dict[str, Any]) -> None:
    """The second report continues the first one, so the last is the whole."""
    tasks = tasks_of(spec)
    assert "earlier" not in tasks["report"]["inputs"]["artifacts"]
    earlier = tasks["report-2"]["inputs"]["artifacts"]["earlier"]["taskOutputArtifact"]
    assert earlier == {"outputArtifactKey": "chapters", "producerTask": "report"}


def test_only_what_the_registry_cannot_change_is_cached(spec: dict[str, Any]) -> None:
    """Promote and report speak of the registry as it is now, and preprocess here of files at hand."""
    tasks = tasks_of(spec)
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert {"evaluate", "rollout"} <= cached
    assert not cached & {"preprocess", "preprocess-2", "promote", "promote-2", "report", "report-2"}


def test_components_are_thin_and_install_nothing(spec: dict[str, Any]) -> None:
    """A body is an import and a call; nothing is installed when it runs."""
    for executor in spec["deploymentSpec"]["executors"].values():
        command = "\n".join(executor["container"]["command"])
        assert "pip install" not in command
        source = executor["container"]["command"][-1]
        assert len(source.rpartition('"""')[2].splitlines()) < 20


def test_two_compilations_are_equal(tmp_path: Path) -> None:
    """Nothing unique to a run stands among the inputs, or Kubeflow's cache would never hit."""
    packages = [tmp_path / name for name in ("first.yaml", "second.yaml")]
    for package in packages:
        compile_pipeline([load_experiment(EXPERIMENTS[0])], SEEDS, package)
    assert packages[0].read_bytes() == packages[1].read_bytes()
