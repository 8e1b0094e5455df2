"""What every command of the pipeline is told about its lanes."""

import argparse


def lane_parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that choose experiments, seeds and parameters."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
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
    return parser
