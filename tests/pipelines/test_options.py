"""The command that a report names, read as a shell reads it."""

import shlex

from pipelines.options import command_line

NAMES = ["sinusoid-5shot", "navigation-short"]


def test_a_command_names_experiments_seeds_and_overrides() -> None:
    line = command_line(NAMES, [1, 2], ["train.iterations=60", "compare=[maml,meta-sgd]"])
    assert shlex.split(line) == [
        "make",
        "pipeline-run",
        "EXPERIMENTS=sinusoid-5shot navigation-short",
        "SEEDS=1 2",
        "SET=train.iterations=60 compare=[maml,meta-sgd]",
    ]


def test_what_is_not_given_is_not_named() -> None:
    assert command_line(NAMES[:1], [1], []) == "make pipeline-run EXPERIMENTS=sinusoid-5shot SEEDS=1"


def test_an_override_with_a_space_goes_past_make() -> None:
    """Which would part it; a quote stays in its word, too."""
    overrides = ["network.hidden=[8, 8]", "tasks.source.path=it's"]
    assert shlex.split(command_line(NAMES[:1], [3], overrides)) == [
        ".venv/bin/python", "-m", "pipelines", "--experiments", "sinusoid-5shot", "--seeds", "3",
        "--set", *overrides,
    ]  # fmt: skip
