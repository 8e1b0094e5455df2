"""Tiny models, pictures of their tasks, and the command that predicts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from components.config.parsing import to_document
from components.kinds.experiment import load_experiment
from components.serving.predict import main
from metasgd.checkpoint import save_checkpoint
from metasgd.learner import Learner, Meta, Problem
from metasgd.learners import build_learner
from metasgd.seeds import generator
from metasgd.serving import ServedModel
from tests.components.lane import PARAMS
from tests.metasgd.small import convnet_settings, learner_settings, policy_learner, sine_learner

SIDE = 8

CLASSES = ["<b>x", "a", "a b", "z\N{GRINNING FACE}"]  # sorted, though "a b/1.png" comes before "a/1.png"

NAVIGATION = (
    "tasks.distribution.horizon=6",
    "tasks.distribution.start=[-0.3, 0.3]",
    "tasks.distribution.clip=0.5",
    "tasks.distribution.discount=0.9",
    "tasks.stored.test_shots=[5]",
    "tasks.stored.test_queries=3",
)


def save(folder: Path, learner: Learner, experiment: str, *overrides: str) -> tuple[Learner, Meta]:
    """A checkpoint as the train step writes it, of a learner that was never trained."""
    tasks = load_experiment(experiment, overrides, PARAMS).tasks
    meta = learner.initial(generator(1, "theta"))
    about = {
        "training": {"experiment": experiment, "algorithm": "meta-sgd", "seed": 7, "train": {}},
        "tasks": to_document(tasks),
    }
    save_checkpoint(folder, learner, meta, about)
    return learner, meta


def classifier(folder: Path, head: str = "shared", ways: int = 4) -> ServedModel:
    """Of small pictures, dark on light as glyphs are."""
    problem = Problem("classification", (1, SIDE, SIDE), ways)
    learner = build_learner(problem, convnet_settings(head=head), learner_settings(start=(2.0, 2.0)))
    return ServedModel(*save(folder, learner, "glyphs-5way-1shot", f"tasks.source.size={SIDE}"))


def curves(folder: Path, **changes: Any) -> ServedModel:
    return ServedModel(*save(folder, sine_learner(**changes), "sinusoid-5shot"))


def policy(folder: Path, steps: int = 1) -> ServedModel:
    learner = policy_learner(test_steps=steps)
    return ServedModel(*save(folder, learner, "navigation-short", *NAVIGATION))


def draw(path: Path, seed: int) -> np.ndarray:
    """A picture of noise in a file, and its pixels, uint8 [height, width]."""
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG")
    return pixels


def seen(pixels: Sequence[np.ndarray]) -> torch.Tensor:
    """As a network of glyphs sees them: light on dark, [pictures, 1, height, width]."""
    return (255 - torch.tensor(np.stack(pixels)).unsqueeze(1).float()) / 255


def draw_task(folder: Path, classes: Sequence[str] = CLASSES) -> tuple[torch.Tensor, torch.Tensor]:
    """support/ with two pictures of each class, and queries/ with five: (support x, query x), in order."""
    support = [
        draw(folder / "support" / name / f"{shot}.png", 10 * number + shot)
        for number, name in enumerate(classes)
        for shot in (1, 2)
    ]
    queries = [draw(folder / "queries" / f"{number} <i>.png", 100 + number) for number in range(5)]
    return seen(support), seen(queries)


def predict(folder: Path, *options: str | Path, model: str = "model") -> Path:
    """What the command writes for support/ and queries/, or other options."""
    given = options or ("--support", folder / "support", "--queries", folder / "queries")
    main([str(folder / model), *map(str, given), "--output", str(folder / "out")])
    return folder / "out"


def table(output: Path) -> pd.DataFrame:
    return pd.read_csv(output / "predictions.csv", keep_default_na=False)


def probabilities(output: Path) -> np.ndarray:
    return table(output).filter(like="p(").to_numpy(np.float32)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
