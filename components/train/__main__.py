"""python -m components.train --experiment sinusoid-5shot --algorithm meta-sgd --episodes … --output …"""

from pathlib import Path

from components.console.command import run_command, step_parser


def main() -> None:
    parser = step_parser("components.train", "Meta-train one algorithm of an experiment with one seed.")
    parser.add_argument("--algorithm", required=True, help="one of the experiment's algorithms, as meta-sgd")
    parser.add_argument("--seed", type=int, default=1, help="decides theta's start and the tasks drawn")
    parser.add_argument("--episodes", type=Path, required=True, help="the output of components.preprocess")
    parser.add_argument(
        "--state",
        type=Path,
        help="file that keeps the state of an interrupted training until it is over; by default files named "
        "by parameters, data and code, in METASGD_STATES (a folder, or s3://bucket/prefix) or .local/states",
    )
    options = parser.parse_args()

    from components.kinds.experiment import load_experiment
    from components.train.step import train

    experiment = load_experiment(options.experiment, options.overrides, options.params)
    training = experiment.training(options.algorithm, options.seed)
    train(training, options.episodes, options.output, options.state)


if __name__ == "__main__":
    run_command(main)
