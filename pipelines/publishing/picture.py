"""python -m pipelines.publishing.picture: draws README's picture anew, of the published models."""

import argparse

from components.config.code import ROOT
from components.console.command import run_command

PICTURE = ROOT / "docs" / "one-step.svg"


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m pipelines.publishing.picture",
        description="Draw docs/one-step.svg anew: one step of three published models.",
    ).parse_args()

    from pipelines.publishing.one_step import draw

    draw(PICTURE)


if __name__ == "__main__":
    run_command(main)
