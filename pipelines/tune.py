"""python -m pipelines.tune --experiments sinusoid-5shot --rates 0.003 0.01 0.03

Trains a learner with each inner rate and scores it on the validation tasks; the best rate belongs
into params.yaml, as algorithms.<name>.start. Test tasks play no part.
"""

import argparse
import json
from pathlib import Path

from components.console.command import run_command
from metasgd.errors import InputError
from pipelines.options import add_lane_options, parse


def main() -> None:
    options = parse(_parser())

    from rich.console import Console

    from components.preprocess.step import preprocess
    from components.train.tuning import best_rate, tune, tuning_table
    from metasgd.files import write_atomically
    from pipelines.lanes import resolve

    experiments, seeds = resolve(options.experiments, options.seeds or [1], options.overrides)
    for experiment in experiments:
        folder = options.output / experiment.name
        preprocess(experiment.tasks, folder / "episodes", strict=options.check == "strict")
        for seed in seeds:
            training = experiment.training(options.algorithm, seed)
            scores, higher_is_better = tune(training, options.rates, folder / "episodes")
            best = best_rate(scores, higher_is_better)
            record = {"experiment": experiment.name, "algorithm": options.algorithm, "seed": seed}
            text = json.dumps({**record, "scores": scores, "best": best}, indent=2) + "\n"
            write_atomically(folder / f"{training.name}.json", text.encode())
            Console().print(tuning_table(training.title, scores, best))
            if best is None:
                raise InputError(f"--rates {options.rates}: all diverged; expected smaller ones")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.tune",
        description="Find a learner's inner rate on the validation tasks.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_lane_options(parser)
    parser.add_argument("--algorithm", default="maml", help="the learner whose rate is sought")
    parser.add_argument("--rates", type=float, nargs="+", required=True, help="alpha's start, each in turn")
    parser.add_argument("--output", type=Path, default=Path("artifacts/tune"), help="a folder per experiment")
    return parser


if __name__ == "__main__":
    run_command(main)
