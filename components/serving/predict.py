"""python -m components.serving.predict MODEL --support birds/ --queries new/ --output out: adapt, predict."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.console.command import require_model, run_command
from components.serving.names import legible
from components.serving.output_folder import require_free
from metasgd.errors import InputError

if TYPE_CHECKING:
    from components.serving.models import OpenModel


def main(arguments: Sequence[str] | None = None) -> None:
    """Raises InputError, in one line whatever stands in the names of files."""
    options = _parser().parse_args(arguments)
    require_model(options.model)
    try:
        _predict(options)
    except InputError as error:
        raise InputError(legible(str(error))) from None


def _predict(options: argparse.Namespace) -> None:
    require_free(options.output)
    _require_there("SUPPORT", options.support)
    for path in options.queries or []:
        _require_there("QUERIES", path)

    from components.serving.models import open_model

    model = open_model(options.model, options.version, options.alias)
    if model.served.learner.problem.objective == "control":
        _answer_goals(model, options)
    else:
        _answer_examples(model, options)


def _answer_goals(model: "OpenModel", options: argparse.Namespace) -> None:
    if options.support or options.queries:
        raise InputError(f"MODEL {model.name} is a policy, which adapts on trajectories of its own; expected "
                         "--goal X Y or --seed N, no --support and no --queries")  # fmt: skip

    from components.serving.answer_goals import answer_goals

    answer_goals(model, [(x, y) for x, y in options.goals], options.seed, options.output)


def _answer_examples(model: "OpenModel", options: argparse.Namespace) -> None:
    if options.goals or options.seed is not None:
        raise InputError(f"MODEL {model.name} is no policy; expected no --goal and no --seed with it")
    for name in ("support", "queries"):
        if not getattr(options, name):
            raise InputError(f"--{name} is missing; expected what MODEL {model.name} is to "
                             + ("adapt on" if name == "support" else "predict"))  # fmt: skip
    if model.served.learner.problem.objective == "classification":
        from components.serving.answer_pictures import answer_pictures

        answer_pictures(model, options.support, options.queries, options.output)
    else:
        from components.serving.answer_points import answer_points

        answer_points(model, options.support, options.queries, options.output)


def _require_there(name: str, path: Path | None) -> None:
    """Without waiting for libraries, where a path is misspelt."""
    try:
        there = path is None or path.exists()
    except OSError:  # a name that no file can have
        there = False
    if not there:
        raise InputError(f"{name} {path}: no such file or folder; expected one that is there")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m components.serving.predict",
        description="Adapt a model to a task of your own, and write its predictions down.",
        epilog="A model of pictures takes --support, a folder of class folders, and --queries, pictures or "
        "folders of them. A model of curves takes CSV files: --support with the columns x and y, --queries "
        "with x. A policy takes --goal or --seed.",
    )
    parser.add_argument("model", metavar="MODEL", help="a registered model, or a checkpoint folder")
    parser.add_argument("--version", help="of a registered model; otherwise its champion")
    parser.add_argument("--alias", help="of a registered model, in place of champion")
    parser.add_argument("--support", type=Path, metavar="PATH", help="the examples to adapt on")
    parser.add_argument("--queries", type=Path, nargs="+", metavar="PATH", help="what is to be predicted")
    parser.add_argument(
        "--goal",
        dest="goals",
        type=float,
        nargs=2,
        action="append",
        default=[],
        metavar=("X", "Y"),
        help="a goal in the plane for a policy; can be given several times",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of a policy's noise and start (0), and of its goal where none is given",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="the folder that is written"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
