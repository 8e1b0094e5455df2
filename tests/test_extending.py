"""docs/extending.md is run as written: what it tells people to do works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("components", "metasgd", "pipelines", "params.yaml", "pyproject.toml", ".dvc/config", ".dvcignore")
BLOCK = re.compile(r"<!-- (run|patch|append: (\S+)) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def copy_checkout(place: Path) -> None:
    """A checkout of its own, in git and DVC, that the page may change."""
    for name in COPIED:
        source, target = ROOT / name, place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    subprocess.run(["git", "init", "--quiet"], cwd=place, check=True)


def run_shell(text: str, place: Path) -> None:
    path = f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(place)}
    command = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def git_apply(text: str, place: Path, *options: str) -> None:
    command = ["git", "apply", *options, "-"]
    done = subprocess.run(command, cwd=place, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\n{done.stderr}"


def blocks() -> list[tuple[str, str, str]]:
    """Every marked block of the page: what is done with it, the file that it is appended to, its text."""
    return BLOCK.findall((ROOT / "docs" / "extending.md").read_text())


def test_every_diff_applies_by_itself() -> None:
    """Also for readers who take one section alone."""
    diffs = [text for action, _, text in blocks() if action == "patch"]
    assert len(diffs) == 11
    for text in diffs:
        git_apply(text, ROOT, "--check")


def test_the_page_works_as_written(tmp_path: Path) -> None:
    """Every block in its order: an experiment, data, an algorithm, a network, a kind and dynamics work."""
    copy_checkout(tmp_path)
    assert len(blocks()) == 28
    for action, file, text in blocks():
        if action == "run":
            run_shell(text, tmp_path)
        elif action == "patch":
            git_apply(text, tmp_path)
        else:
            with (tmp_path / file).open("a") as target:
                target.write(f"\n{text}")
    assert len(list(tmp_path.glob(".local/runs/*/report.html"))) == 3
    assert (tmp_path / "artifacts" / "birds" / "episodes" / "contact-sheet.png").exists()
    assert (tmp_path / "artifacts" / "fourier" / "checkpoint" / "weights.safetensors").exists()
    assert (tmp_path / "datasets" / "birds.dvc").exists()
    results = tmp_path / "artifacts" / "wind" / "results"
    assert (results / "meta-sgd-seed1.json").exists()
    assert not list(results.rglob("trajectories.svg"))
