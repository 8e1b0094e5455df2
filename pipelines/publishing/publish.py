"""python -m pipelines.publishing.publish --experiments … --seeds … --set …: what `make publish` does.

Writes results/<experiment>/<algorithm>.json and models/<experiment>/<algorithm>-seed<n>/.
"""

import argparse
import shlex

from components.console.command import run_command
from pipelines.options import add_lane_options, parse


def main() -> None:
    options = parse(_parser())

    from rich.console import Console

    from pipelines.lanes import resolve
    from pipelines.publishing.publication import clean_commit, publish

    experiments, seeds = resolve(options.experiments, options.seeds, options.overrides)
    commit, command, strict = clean_commit(), _command(options), options.check == "strict"
    for experiment in experiments:
        for path in publish(experiment, seeds, command, commit, options.first, strict):
            Console().print(f"wrote {path}", soft_wrap=True)


def _command(options: argparse.Namespace) -> str:
    """As it is given to make."""
    given = {
        "EXPERIMENTS": options.experiments,
        "SEEDS": [str(seed) for seed in options.seeds],
        "SET": options.overrides,
        "FIRST": [str(options.first)] if options.first else [],
        "CHECK": [options.check] if options.check else [],
    }
    words = [f"{name}={shlex.quote(' '.join(values))}" for name, values in given.items() if values]
    return " ".join(["make publish", *words])


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}; expected a number of tasks, 1 or more")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.publishing.publish",
        description="Measure experiments, and write their numbers to results/ and their models to models/.",
    )
    add_lane_options(parser)
    parser.add_argument(
        "--first", type=_count, metavar="TASKS", help="score the first so many test tasks alone, too"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
