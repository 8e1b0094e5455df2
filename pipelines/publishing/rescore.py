"""python -m pipelines.publishing.rescore [--experiments …]: what `make evaluate-published` does."""

import argparse

from components.console.command import run_command
from metasgd.errors import InputError


def main() -> None:
    options = _parser().parse_args()

    from rich.console import Console

    from components.console.tables import print_whole
    from pipelines.publishing.checks import Check, NoDataError, check_table, chosen, rescored

    console, checks, skipped = Console(), list[Check](), list[str]()
    for record in chosen(options.experiments):
        try:
            own = list(rescored(record))
        except NoDataError as error:
            console.print(f"{record.title}: not scored: {error}", soft_wrap=True)
            skipped.append(record.title)
            continue
        print_whole(console, check_table(record, own))
        checks += own
    held = sum(check.holds for check in checks)
    left_out = f"; not scored, for want of data: {', '.join(skipped)}" if skipped else ""
    console.print(f"{held} of {len(checks)} published numbers hold here{left_out}", soft_wrap=True)
    if not checks:
        raise InputError("nothing could be scored; expected the data of one published experiment at least")
    if held < len(checks):
        raise InputError(f"{len(checks) - held} numbers differ; expected those of results/")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.publishing.rescore",
        description="Score the published models anew, and compare with the published numbers.",
    )
    parser.add_argument("--experiments", nargs="*", default=[], help="by default, all that are published")
    return parser


if __name__ == "__main__":
    run_command(main)
