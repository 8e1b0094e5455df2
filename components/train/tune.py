"""python -m components.train.tune --experiment sinusoid-5shot --rates 0.003 0.01 0.03 --episodes … --output …

Trains a learner with each inner rate and scores it on the validation tasks; the best rate belongs
into params.yaml, as algorithms.<name>.start. Test tasks play no part.
"""

import json
from pathlib import Path

from components.command import run_command, step_parser


def main() -> None:
    parser = step_parser("components.train.tune", "Find a learner's inner rate on the validation tasks.")
    parser.add_argument("--algorithm", default="maml", help="the learner whose rate is sought")
    parser.add_argument("--rates", type=float, nargs="+", required=True, help="alpha's start, each in turn")
    parser.add_argument("--seed", type=int, default=1, help="decides theta's start and the tasks drawn")
    parser.add_argument("--episodes", type=Path, required=True, help="the output of components.preprocess")
    options = parser.parse_args()

    from rich.console import Console

    from components.parameters import load_experiment
    from components.train.tuning import best_rate, tune, tuning_table
    from metasgd.checkpoint import write_atomically

    experiment = load_experiment(options.experiment, options.overrides, options.params)
    training = experiment.training(options.algorithm, options.seed)
    scores = tune(training, options.rates, options.episodes)
    best = best_rate(scores, higher_is_better=experiment.kind != "sinusoid")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    record = {"experiment": experiment.name, "algorithm": options.algorithm, "scores": scores, "best": best}
    write_atomically(options.output, (json.dumps(record, indent=2) + "\n").encode())
    Console().print(tuning_table(scores, best))


if __name__ == "__main__":
    run_command(main)
