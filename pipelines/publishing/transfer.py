"""python -m pipelines.publishing.transfer --experiments A B: what `make transfer` does.

Scores the published models of every experiment on the stored tasks of every other one, and writes
results/<experiment>/<algorithm>-on-<other>.json. The tasks must have one shape.
"""

import argparse

from components.console.command import run_command


def main() -> None:
    options = _parser().parse_args()

    from rich.console import Console

    from pipelines.publishing.crossing import pairs, transfer
    from pipelines.publishing.publication import clean_commit

    commit, command = clean_commit(), f"make transfer EXPERIMENTS='{' '.join(options.experiments)}'"
    for record, other in pairs(options.experiments):
        path = transfer(record, other, command, commit)
        Console().print(f"wrote {path}", soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.publishing.transfer",
        description="Score published models on the tasks of each other's experiments.",
    )
    parser.add_argument(
        "--experiments",
        nargs="+",
        required=True,
        help="two or more; models of those that are published are scored",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
