"""Steps in forks of one process: what they import is there, and what they do stays theirs."""

import tempfile
from pathlib import Path

import pytest
from kfp import compiler, dsl

from pipelines.local.interpreter import run_here
from tests.pipelines.checkout import ROOT


@dsl.component(base_image="python:3.11", packages_to_install=None, install_kfp_package=False)
def look() -> None:
    """A step that says what it finds in its process, and leaves something there."""
    import os  # noqa: PLC0415  # it runs alone
    import sys  # noqa: PLC0415

    found = ["torch" in sys.modules, "kfp.compiler" in sys.modules, "LEFT" in os.environ]
    print(f"torch, kfp's compiler, left behind: {found}")
    print(f"parent {os.getppid()}", file=sys.stderr)
    os.environ["LEFT"] = "behind"


def looked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """What two steps, one after the other, say."""

    @dsl.pipeline(name="metasgd")
    def pipeline() -> None:
        look().after(look())

    compiler.Compiler().compile(pipeline, str(folder / "pipeline.yaml"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lines: list[str] = []
    run_here(Path("pipeline.yaml"), Path("root"), Path("run.log"), lines.append)
    return [line for line in lines if line.startswith("torch")], [
        line for line in lines if line.startswith("parent")
    ]


def test_steps_find_what_they_import_and_nothing_of_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are forks of one process, which has imported torch, and not what a step does not need."""
    with tempfile.TemporaryDirectory(prefix="t") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        found, parents = looked(tmp_path, monkeypatch)
    assert found == ["torch, kfp's compiler, left behind: [True, False, False]"] * 2
    assert len(parents) == 2
    assert len(set(parents)) == 1


def test_without_sockets_every_step_starts_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a folder for temporary ones whose path is too long for them."""
    (long := tmp_path / ("long" * 25)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    found, parents = looked(tmp_path, monkeypatch)
    assert found == ["torch, kfp's compiler, left behind: [False, False, False]"] * 2
    assert len(parents) == 2
