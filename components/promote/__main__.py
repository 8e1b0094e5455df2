"""python -m components.promote --experiment … --checkpoint … --results … --episodes … --output …"""

from dataclasses import replace
from pathlib import Path

from components.console.command import run_command, step_parser


def main() -> None:
    parser = step_parser("components.promote", "Decide which model of an experiment is the champion.")
    parser.add_argument(
        "--checkpoint",
        dest="checkpoints",
        type=Path,
        action="append",
        required=True,
        help="an output of components.train; challengers meet the champion in this order",
    )
    parser.add_argument("--results", type=Path, required=True, help="the output of components.evaluate")
    parser.add_argument("--episodes", type=Path, required=True, help="the output of components.preprocess")
    parser.add_argument(
        "--register",
        action="store_true",
        help="register the models and move the champion; without it, the decision is only written",
    )
    options = parser.parse_args()

    from components.kinds.experiment import load_experiment
    from components.promote.step import promote

    experiment = load_experiment(options.experiment, options.overrides, options.params)
    promotion = experiment.promote
    if not options.register:
        promotion = replace(promotion, dry_run=True)
    promote(
        experiment.name, promotion, options.checkpoints, options.results, options.episodes, options.output
    )


if __name__ == "__main__":
    run_command(main)
