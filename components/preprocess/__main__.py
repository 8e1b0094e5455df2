"""python -m components.preprocess --experiment sinusoid-5shot --output artifacts/sinusoid-5shot/episodes"""

from components.console.command import run_command, step_parser


def main() -> None:
    parser = step_parser("components.preprocess", "Write the episodes of an experiment.")
    parser.add_argument(
        "--check", default="", choices=("", "strict"), help="strict: what is odd about the data is an error"
    )
    options = parser.parse_args()

    from components.kinds.experiment import load_experiment
    from components.preprocess.step import preprocess

    experiment = load_experiment(options.experiment, options.overrides, options.params)
    preprocess(experiment.tasks, options.output, strict=options.check == "strict")


if __name__ == "__main__":
    run_command(main)
