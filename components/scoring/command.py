"""The command line of evaluate and rollout."""

import argparse
from pathlib import Path


def scoring_options(step: str, description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m components.{step}", description=description)
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
    return parser.parse_args()
