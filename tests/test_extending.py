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


def apply_patch(text: str, place: Path) -> None:
    """Replace each hunk's old lines, which must stand exactly once in the file, by its new ones."""
    header, *hunks = re.split(r"^@@\n", text, flags=re.MULTILINE)
    found = re.search(r"^\+\+\+ b/(\S+)$", header, re.MULTILINE)
    assert found
    file = place / found[1]
    content = file.read_text()
    for hunk in hunks:
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert content.count(old) == 1, f"{file}: {old}"
        content = content.replace(old, new)
    file.write_text(content)


def test_the_page_works_as_written(tmp_path: Path) -> None:
    """Every block in its order: an experiment, data, a network, a kind of task and dynamics work."""
    copy_checkout(tmp_path)
    blocks = BLOCK.findall((ROOT / "docs" / "extending.md").read_text())
    assert len(blocks) == 22
    for action, file, text in blocks:
        if action == "run":
            run_shell(text, tmp_path)
        elif action == "patch":
            apply_patch(text, tmp_path)
        else:
            with (tmp_path / file).open("a") as target:
                target.write(f"\n{text}")
    assert len(list(tmp_path.glob(".local/runs/*/report.html"))) == 2
    assert (tmp_path / "artifacts" / "birds" / "episodes" / "contact-sheet.png").exists()
    assert (tmp_path / "artifacts" / "fourier" / "checkpoint" / "weights.safetensors").exists()
    assert (tmp_path / "datasets" / "birds.dvc").exists()
    results = tmp_path / "artifacts" / "wind" / "results"
    assert (results / "meta-sgd-seed1.json").exists()
    assert not list(results.rglob("trajectories.svg"))
