"""What every command of the pipeline is told about its lanes."""

import argparse
import re
import shlex
from collections.abc import Sequence


def add_lane_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose experiments, seeds and parameters."""
    parser.add_argument(
        "--experiments", nargs="*", default=[], help="names from params.yaml; by default those under `run`"
    )
    parser.add_argument(
        "--seeds", nargs="*", type=int, default=[], help="each algorithm is trained once per seed"
    )
    parser.add_argument(
        "--check", default="", choices=("", "strict"), help="strict: what is only a warning stops it, too"
    )
    add_overrides(parser, "train.iterations=2000 or sinusoid-5shot.train.rate=0.01")


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, and as `names` the experiments that are meant; before imports that take long.

    Raises InputError for an experiment or a key that is unknown.
    """
    options = parser.parse_args()
    require_lanes(options)
    return options


def require_lanes(options: argparse.Namespace) -> None:
    """Set `names` to the experiments that are meant. Raises InputError for one or a key that is unknown."""
    from components.config.resolution import require_known

    options.names = require_known(options.experiments, options.overrides)


def add_cache_option(parser: argparse.ArgumentParser) -> None:
    """For commands that run steps."""
    parser.add_argument(
        "--cache", default="on", choices=("on", "off"), help="off: no step is taken from an earlier run"
    )


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    parser.add_argument(
        "--set",
        dest="overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help=f"override parameters, as in {example}",
    )


def command_line(names: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]) -> str:
    """What runs these lanes again, as it is typed."""
    chosen = {"experiments": list(names), "seeds": [str(seed) for seed in seeds], "set": list(overrides)}
    given = {name: words for name, words in chosen.items() if words}
    if any(re.search(r"\s", word) for word in overrides):  # make would part it
        options = [part for name, words in given.items() for part in (f"--{name}", *words)]
        return shlex.join([".venv/bin/python", "-m", "pipelines", *options])
    variables = (f"{name.upper()}={shlex.quote(' '.join(words))}" for name, words in given.items())
    return " ".join(["make pipeline-run", *variables])
