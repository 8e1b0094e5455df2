"""What a user gives to make reaches the command as it is, and nothing else runs."""

import subprocess
from pathlib import Path

import pytest

from components.config.code import ROOT

# Targets, with the variables that each hands on.
TARGETS = {
    "pipeline-run": ["EXPERIMENTS", "SEEDS", "SET", "RUNNER", "IMAGE_BASE", "IMAGE"],
    "pipeline-schedule": ["KFP_HOST", "KFP_NAMESPACE", "REGISTRY", "CHECK", "CACHE", "CRON", "SET"],
    "pipeline-upload": ["KFP_HOST", "EXPERIMENTS", "SEEDS"],
    "pipeline-runs": ["KFP_HOST", "SET"],
    "pipeline-compile": ["IMAGE", "EXPERIMENTS"],
    "image": ["IMAGE_BASE", "REGISTRY"],
    "data": ["DATASET", "DATA_SOURCE"],
    "sweep": ["EXPERIMENT", "OVER", "TRIALS", "SEEDS", "SET", "RUNNER", "IMAGE"],
    "tune": ["EXPERIMENTS", "RATES"],
    "publish": ["EXPERIMENTS", "SEEDS", "SET", "FIRST"],
    "evaluate-published": ["EXPERIMENTS"],
    "transfer": ["EXPERIMENTS"],
    "site": ["OUTPUT"],
    "ui": ["PORT"],
    "predict": ["MODEL", "VERSION", "ALIAS", "SUPPORT", "QUERIES", "OUTPUT", "GOAL", "SEED"],
    "serve": ["MODEL", "VERSION", "ALIAS", "PORT"],
    "deploy": ["MODEL", "VERSION", "ALIAS", "KFP_NAMESPACE", "IMAGE", "REGISTRY", "OUTPUT", "SET"],
    "rollback": ["MODEL", "VERSION"],
}  # fmt: skip
LISTS = {"EXPERIMENTS", "SEEDS", "SET", "RATES", "OVER", "GOAL"}  # several arguments, apart by spaces

HOSTILE = [
    "x; touch {mark}",
    "x' && touch {mark} '",
    '"$(touch {mark})"',
    "`touch {mark}`",
    "$(shell touch {mark})",
]


def made(target: str, *variables: str) -> list[str]:
    """The arguments that the target's command gets, from a command that prints them."""
    only = ["-o", "setup", "-o", "setup-dev", "RUN=printf '%s\\n'"]
    done = subprocess.run(
        ["make", "--no-print-directory", *only, target, *variables],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_a_user_gives_is_executed(target: str, hostile: str, tmp_path: Path) -> None:
    """Neither by the shell nor by make, and the command sees every character."""
    mark = tmp_path / "mark"
    text = hostile.format(mark=mark)
    arguments = made(target, *(f"{name}={text}" for name in TARGETS[target]))
    assert not mark.exists()
    for name in TARGETS[target]:
        given = text.split() if name in LISTS else [text]
        assert set(given) <= set(arguments), name


def test_lists_are_several_arguments_and_paths_are_one() -> None:
    asked = made("predict", "MODEL=glyphs", "SUPPORT=my classes", "GOAL=0.1 -0.2")
    assert asked[2:] == [
        "glyphs",
        "--support",
        "my classes",
        "--goal",
        "0.1",
        "-0.2",
        "--output",
        "predictions",
    ]
    run = made("pipeline-run", "SET=a=[1,2] b='x'", "SEEDS=1 2")
    assert run[-6:] == ["--seeds", "1", "2", "--set", "a=[1,2]", "b='x'"]


def test_what_is_not_given_leaves_the_default() -> None:
    assert made("serve", "MODEL=m")[2:] == ["m", "--port", "8080"]
    assert made("ui")[2:] == ["--port", "5000"]
    assert made("deploy", "MODEL=m")[-2:] == ["--output", "deploy"]
    assert "--image" not in made("pipeline-run")


def test_a_line_break_ends_no_command(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    assert made("data", f"DATASET=x\ntouch {mark}")[-1] == f"x touch {mark}"
    assert not mark.exists()
