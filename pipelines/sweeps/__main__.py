"""What `make sweep` does.

python -m pipelines.sweeps --experiment sinusoid-5shot --over train.rate=1e-4,1e-3
"""

import argparse

from components.console.command import run_command
from metasgd.errors import InputError
from pipelines.options import add_training_options
from pipelines.sweeps.command import add_places, sweep


def main() -> None:
    options = _parser().parse_args()

    from pipelines.sweeps.space import parse_space, require_size

    trials = _trials(options.trials)
    space = parse_space(options.experiment, options.over, options.overrides)
    require_size(space, trials)
    sweep([space], trials, options)


def _trials(text: str) -> int | None:
    if text and not text.isdecimal():
        raise InputError(f"TRIALS is {text!r}; expected a number of points, as TRIALS=20")
    return int(text) if text else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.sweeps",
        description="Train an experiment at many points, and choose the best by the validation tasks.",
    )
    parser.add_argument("--experiment", default="", help="a name from params.yaml")
    parser.add_argument(
        "--over",
        nargs="*",
        default=[],
        metavar="KEY=A,B",
        help="what is varied, as in train.rate=1e-4,1e-3 or algorithms.maml.start=[0.01,0.01],[0.1,0.1]",
    )
    parser.add_argument(
        "--trials", default="", help="so many points, drawn by Optuna; without it, all of them"
    )
    add_training_options(parser)
    add_places(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
