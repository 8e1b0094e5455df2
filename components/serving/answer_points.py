"""A curve of a user's own: adapt on a few of its points, and predict others."""

from collections.abc import Sequence
from pathlib import Path

import torch

from components.plots.style import save
from components.serving.curve_figure import curve_figure
from components.serving.listing import print_line, print_rows
from components.serving.models import OpenModel
from components.serving.output_folder import FIGURE, TABLE, write_output
from components.serving.points import columns, read_points
from components.serving.predictions import point_predictions
from metasgd.errors import InputError
from metasgd.tasks import Examples

CURVE = 400  # points that the curves are drawn through


def answer_points(model: OpenModel, support: Path, queries: Sequence[Path], output: Path) -> None:
    """Write the predictions as a table and, where they make a curve, as a figure. Raises InputError."""
    if len(queries) > 1:
        raise InputError(f"QUERIES are {len(queries)} files; expected one CSV file")
    points, x = _read_support(model, support), _read_queries(model, queries[0])
    table = point_predictions(model.served, points, x)
    is_curve = points.x.shape[1:] == points.y.shape[1:] == (1,)
    curve = point_predictions(model.served, points, _evenly(points.x, x)) if is_curve else None

    def write(folder: Path) -> None:
        table.to_csv(folder / TABLE, index=False)
        if curve is not None:
            steps = model.served.learner.settings.test_steps
            save(curve_figure(points, table, curve, steps), folder / FIGURE)

    write_output(output, model, {"support": len(points.x), "queries": len(table)}, write)
    names = list(table.columns)
    print_rows(names, [[f"{value:.4g}" for value in row] for row in table.to_numpy()], names)
    drawn = f", and a figure of them in {output / FIGURE}" if is_curve else ""
    print_line(f"{len(table)} predictions in {output / TABLE}{drawn}")


def _read_support(model: OpenModel, path: Path) -> Examples:
    problem = model.served.learner.problem
    inputs, outputs = columns("x", _size(problem.input_shape)), columns("y", problem.outputs)
    rows = read_points(path, [*inputs, *outputs])
    return Examples(rows[:, : len(inputs)].reshape(-1, *problem.input_shape), rows[:, len(inputs) :])


def _read_queries(model: OpenModel, path: Path) -> torch.Tensor:
    shape = model.served.learner.problem.input_shape
    return read_points(path, columns("x", _size(shape))).reshape(-1, *shape)


def _size(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


def _evenly(*xs: torch.Tensor) -> torch.Tensor:
    """Points [points, 1] all along the axis from the first to the last of these."""
    every = torch.cat(xs)
    return torch.linspace(float(every.min()), float(every.max()), CURVE).unsqueeze(1)
