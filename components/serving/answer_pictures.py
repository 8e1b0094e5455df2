"""Pictures of a user's own classes: adapt on a few of each, and predict others."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from components.serving.class_folders import read_classes, read_queries
from components.serving.listing import print_line, print_rows
from components.serving.models import OpenModel
from components.serving.output_folder import PAGE, TABLE, write_output
from components.serving.page import predictions_page
from components.serving.predictions import adapt_to_classes, class_predictions, is_sure


def answer_pictures(model: OpenModel, support: Path, queries: Sequence[Path], output: Path) -> None:
    """Write the predictions as a table and a page, and print the first ones. Raises InputError."""
    classes = read_classes(support, model.preparation)
    task = adapt_to_classes(model.served, classes)
    pictures = read_queries(queries, model.preparation)
    table = class_predictions(task, list(classes), pictures)
    page = predictions_page(model, classes, pictures, table)

    def write(folder: Path) -> None:
        table.to_csv(folder / TABLE, index=False)
        (folder / PAGE).write_text(page, encoding="utf-8")

    shots = {name: len(shown) for name, shown in classes.items()}
    write_output(output, model, {"classes": shots, "queries": len(pictures)}, write)
    print_rows(["file", "class", "probability", ""], _cells(table), ["probability"])
    print_line(f"{len(table)} predictions in {output / TABLE}, with the pictures in {output / PAGE}")


def _cells(table: pd.DataFrame) -> list[list[str]]:
    rows = zip(table["file"], table["class"], table["probability"], strict=True)
    return [[file, name, f"{p:.3f}", "" if is_sure(p) else "low confidence"] for file, name, p in rows]
