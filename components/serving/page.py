"""Predictions of pictures as one self-contained page: what predictions.html.j2 is filled with."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from components.plots.pages import page_environment
from components.serving.class_folders import Classes, Picture
from components.serving.models import OpenModel
from components.serving.names import legible
from components.serving.predictions import is_sure


@dataclass(frozen=True)
class Tile:
    """A picture to adapt on."""

    uri: str
    name: str


@dataclass(frozen=True)
class Card:
    """A query and its prediction. percent: of its class. second: the next best class, and its per cent."""

    uri: str
    name: str
    label: str
    percent: float
    sure: bool
    second: str
    second_percent: float


def predictions_page(
    model: OpenModel, classes: Classes, queries: Sequence[Picture], table: pd.DataFrame
) -> str:
    """table: of `components.serving.predictions.class_predictions`, a row per query."""
    cards = [
        _card(query, row, list(classes)) for query, (_, row) in zip(queries, table.iterrows(), strict=True)
    ]
    return _render(
        {
            "name": legible(model.name),
            "model": model,
            "step": _steps(model),
            "support": {name: [Tile(data_uri(p.x), p.name) for p in own] for name, own in classes.items()},
            "cards": cards,
            "unsure": sum(not card.sure for card in cards),
        }
    )


def data_uri(x: Tensor) -> str:
    """A picture [channels, height, width] from 0 to 1 as the address of a PNG."""
    pixels = (x * 255).round().byte().movedim(0, -1).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _card(query: Picture, row: pd.Series, classes: Sequence[str]) -> Card:
    probabilities = np.array([row[f"p({name})"] for name in classes])
    second = int(np.argsort(-probabilities, kind="stable")[1])
    return Card(
        uri=data_uri(query.x),
        name=query.name,
        label=row["class"],
        percent=100 * float(row["probability"]),
        sure=is_sure(row["probability"]),
        second=classes[second],
        second_percent=100 * float(probabilities[second]),
    )


def _steps(model: OpenModel) -> str:
    steps = model.served.learner.settings.test_steps
    return "one step" if steps == 1 else f"{steps} steps"


def _render(context: dict[str, Any]) -> str:
    environment = page_environment(__file__)
    return environment.get_template("predictions.html.j2").render(context)
