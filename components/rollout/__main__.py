"""python -m components.rollout --checkpoint … --checkpoint … --episodes … --output …"""

import argparse
from pathlib import Path

from components.command import run_command


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m components.rollout",
        description="Score policies on stored tasks, before adaptation and after each inner step.",
    )
    parser.add_argument(
        "--checkpoint",
        dest="checkpoints",
        type=Path,
        action="append",
        required=True,
        help="an output of components.train; can be given several times",
    )
    parser.add_argument("--episodes", type=Path, required=True, help="the output of components.preprocess")
    parser.add_argument("--output", type=Path, required=True, help="the folder that is written")
    options = parser.parse_args()

    from components.rollout.step import rollout

    rollout(options.checkpoints, options.episodes, options.output)


if __name__ == "__main__":
    run_command(main)
