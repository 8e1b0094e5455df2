"""The report step as a command: `python -m components.report --help`."""

import argparse
from pathlib import Path

from components.console.command import run_command


def main() -> None:
    arguments = _parser().parse_args()
    # After parsing: a wrong option is answered at once, and --help loads no pandas.
    from components.report.origin import origin_of_run
    from components.report.step import report

    places = (arguments.results, arguments.decisions, arguments.output)
    report(*places, command=arguments.command, origin=origin_of_run() if arguments.runs else None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.report", description="Write a run's report.")
    add = parser.add_argument
    add(
        "--results",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="a lane's results; repeatable",
    )
    add("--decisions", type=Path, action="append", required=True, metavar="FILE",
        help="its decision.json; as often as --results, in the same order")  # fmt: skip
    add("--runs", action="store_true",
        help="name what differs from run to run: date, MLflow runs, seconds, machines")  # fmt: skip
    add("--command", default="", help="what runs the same lanes again, for the page to name")
    add("--output", type=Path, required=True, metavar="DIR", help="folder for report.html and summary.json")
    return parser


if __name__ == "__main__":
    run_command(main)
