"""python -m pipelines.tune --experiments sinusoid-5shot --rates 0.003 0.01 0.03

A sweep over a learner's inner rate: the best rate belongs into params.yaml, as algorithms.<name>.start.
"""

import argparse

from components.console.command import run_command
from metasgd.errors import InputError
from pipelines.options import add_lane_options, parse
from pipelines.sweeps.command import add_places, sweep


def main() -> None:
    options = parse(_parser())
    if not options.rates:
        raise InputError('RATES is missing; expected rates, as in RATES="0.01 0.03"')

    from pipelines.sweeps.space import parse_space, require_size

    starts = ",".join(f"[{rate},{rate}]" for rate in options.rates)
    over = [f"algorithms.{options.algorithm}.start={starts}"]
    spaces = []
    for name in options.names:
        spaces.append(parse_space(name, over, options.overrides))
        require_size(spaces[-1], trials=None)
    sweep(spaces, None, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.tune",
        description="Find a learner's inner rate on the validation tasks.",
    )
    add_lane_options(parser)
    parser.add_argument(
        "--algorithm", default="maml", help="the learner whose rate is sought; by default maml"
    )
    parser.add_argument("--rates", nargs="*", default=[], help="alpha's start, each in turn")
    add_places(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
