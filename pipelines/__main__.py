"""python -m pipelines [--experiments …] [--seeds …] [--set KEY=VALUE …]: what `make pipeline-run` does."""

import argparse

from components.command import run_command


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines",
        description="Run experiments through the compiled pipeline, in kfp's local runner.",
    )
    parser.add_argument(
        "--experiments", nargs="*", default=[], help="names from params.yaml; by default those under `run`"
    )
    parser.add_argument(
        "--seeds", nargs="*", type=int, default=[], help="each algorithm is trained once per seed"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="override parameters, as in train.iterations=2000 or sinusoid-5shot.train.rate=0.01",
    )
    options = parser.parse_args()

    from rich.console import Console

    from pipelines.run import resolve, run_pipeline

    run_pipeline(*resolve(options.experiments, options.seeds, options.overrides), Console())


if __name__ == "__main__":
    run_command(main)
