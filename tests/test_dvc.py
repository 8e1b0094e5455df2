"""dvc.yaml: every stage depends on all code that decides its outputs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.train.identity import CODE
from tests.imports import ROOT, closure, file_of

FILES = ("dvc.yaml", "experiments/omniglot/dvc.yaml")
# How steps talk to people and servers decides no output; __init__ of components sets MLflow's environment.
TALK = ("components/console/", "components/storage/", "components/tracking/", "components/__init__.py")
# What is imported inside functions of a kind is drawn or read by these steps alone.
LAZY = ("preprocess", "evaluate", "rollout", "report")


def stages() -> list[tuple[str, str, list[str]]]:
    """(file, step, dependencies) of every stage that runs a step."""
    found = []
    for file in FILES:
        for stage in yaml.safe_load((ROOT / file).read_text())["stages"].values():
            body: dict[str, Any] = stage.get("do", stage)
            if step := re.search(r"components\.(\w+)", body["cmd"]):
                found.append((file, step[1], body["deps"]))
    return found


def needed(step: str) -> set[str]:
    """The files that decide what a step writes, relative to the checkout."""
    names = closure(f"components.{step}.__main__", lazy=step in LAZY) | closure(
        f"components.{step}.step", lazy=step in LAZY
    )
    files = {str(file.relative_to(ROOT)) for name in names if (file := file_of(name))}
    return {file for file in files if not file.startswith(TALK)}


def uncovered(files: set[str], places: list[str]) -> list[str]:
    return sorted(file for file in files if not any(Path(file).is_relative_to(place) for place in places))


@pytest.mark.parametrize(("file", "step", "deps"), stages())
def test_a_stage_depends_on_all_that_its_step_imports(file: str, step: str, deps: list[str]) -> None:
    """So no changed line is missed; and every dependency in the tree is there."""
    assert uncovered(needed(step), deps) == []
    assert [
        dep for dep in deps if dep.startswith(("components", "metasgd")) and not (ROOT / dep).exists()
    ] == []


def test_a_missing_dependency_is_found() -> None:
    """The test above can fail."""
    assert "metasgd/seeds.py" in uncovered(needed("preprocess"), ["components", "metasgd/tasks"])


def test_a_resume_state_belongs_to_all_that_a_training_imports() -> None:
    """A training is continued only by the code that began it."""
    assert uncovered(needed("train"), list(CODE)) == []


def test_promote_asks_the_registry_each_time() -> None:
    """Its champion is no dependency that DVC could see."""
    assert yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["promote"]["do"]["always_changed"]


def test_metrics_are_in_git_and_plots_are_of_files_that_stages_write() -> None:
    """So `dvc metrics diff` knows those of a commit, and no curve is missing."""
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    body = pipeline["stages"]["metrics"]["do"]
    assert [list(entry.values()) for entry in body["metrics"]] == [[{"cache": False}]] * 2
    trainings = pipeline["stages"]["train"]["foreach"].values()
    folders = {f"artifacts/{one['experiment']}/{one['algorithm']}" for one in trainings}
    files = [Path(file) for plot in pipeline["plots"] for body in plot.values() for file in body["y"]]
    assert {str(file.parent) for file in files} == folders
    assert len(files) == 2 * len(folders), "of training and of validation"
