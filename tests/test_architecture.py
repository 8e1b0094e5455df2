"""Arrows point one way, and steps are leaves: by what the modules import."""

import ast

import pytest

from tests.imports import ROOT, closure, imports, modules

STEPS = ("preprocess", "train", "evaluate", "rollout", "promote", "report", "choose", "finish")
# Every room, and those that it may import from; a room may always import from itself and from metasgd.
ROOMS = {
    "console": set(),
    "config": {"console"},
    "artifacts": {"config", "console"},
    "storage": {"config", "console"},
    "plots": {"artifacts"},
    "datasets": {"config", "console", "storage"},
    "serving": {"artifacts", "config", "console", "datasets", "kinds", "plots", "tracking"},
    "tracking": {"config", "console"},
    "kinds": {"artifacts", "config", "console", "datasets", "plots"},
    "scoring": {"artifacts", "config", "kinds", "tracking"},
}


def room(module: str) -> str:
    return [*module.split("."), ""][1]


@pytest.mark.parametrize("module", modules("components"))
def test_rooms_import_only_what_lies_below_them(module: str) -> None:
    """No step imports another, no room a step, and no room one above it; nobody imports pipelines."""
    own = room(module)
    found = imports(module, lazy=True)
    assert not {name for name in found if name.startswith("pipelines")}
    others = {room(name) for name in found if name.startswith("components.")} - {own, "component"}
    if own in STEPS:
        assert not others & set(STEPS)
    elif own in ROOMS:
        assert others <= ROOMS[own]
    else:
        assert not others, "a module outside of the rooms"


def test_every_room_has_its_arrows() -> None:
    """A new folder is a step or a room that the table above names."""
    found = {room(name) for name in modules("components")} - {"", "component"}
    assert found == {*STEPS, *ROOMS}


def test_only_components_know_kubeflow() -> None:
    """KFP stands in component.py, and in what makes components of functions."""
    for file in (ROOT / "components").rglob("*.py"):
        names = [
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        knows = any(name.split(".")[0] == "kfp" for name in names)
        assert not knows or file.name == "component.py", file


def test_metasgd_imports_nothing_of_this_project() -> None:
    """It can be lifted out; `tests/metasgd/test_independence.py` says the same of libraries."""
    for module in modules("metasgd"):
        assert all(name.startswith("metasgd") for name in closure(module, lazy=True))


def test_the_closure_finds_what_is_imported() -> None:
    """The tests above can fail: these are known to be imported, directly, in between and in functions."""
    assert "metasgd.errors" in closure("components.train.step", lazy=False)
    assert "components.plots.style" not in closure("components.kinds.sinusoid", lazy=False)
    assert "components.plots.style" in closure("components.kinds.sinusoid", lazy=True)
