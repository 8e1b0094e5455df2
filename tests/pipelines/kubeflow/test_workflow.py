"""The Argo workflow behind a run, found again in the answers of a real Kubeflow (answers/README.md)."""

import pytest

from pipelines.kubeflow.workflow import Workflow, fnv1a
from tests.pipelines.kubeflow.recorded import ANSWERS, details

RECORDINGS = sorted(path.stem for path in ANSWERS.glob("*.json") if path.stem != "errors")


def test_a_hash_of_argo() -> None:
    """FNV-1a with 32 bits, by its published test vectors; a longer text continues from a shorter one."""
    assert (fnv1a(""), fnv1a("a"), fnv1a("foobar")) == (0x811C9DC5, 0xE40C292C, 0xBF9CF968)
    assert fnv1a("bar", fnv1a("foo")) == fnv1a("foobar")


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_node_of_a_real_workflow_is_found(name: str) -> None:
    workflow = Workflow(details(name))
    assert workflow._paths.keys() >= workflow._ids


def test_trainings_are_told_apart() -> None:
    """All eight have the same name in the answer; their places in the loop are found by their ids."""
    found = details("eight-trainings-while-finishing")
    workflow = Workflow(found)
    places = [workflow.place(detail) for detail in found if detail.display_name == "train"]
    assert sorted(place.iteration or 0 for place in places) == list(range(8))
    assert len({place.pod for place in places}) == 8
