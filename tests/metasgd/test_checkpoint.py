"""Checkpoints: what was saved comes back bit for bit, whole or not at all, and without pickle."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from metasgd import checkpoint
from metasgd.checkpoint import ABOUT, WEIGHTS, load_checkpoint, pack, save_checkpoint
from metasgd.errors import CheckpointError, InputError
from metasgd.evaluation import score
from metasgd.learner import Learner, Meta, Problem
from metasgd.learners import build_learner
from metasgd.policy_adaptation import Environments, Plan, mean_returns
from metasgd.seeds import generator
from tests.metasgd.small import (
    ALPHAS,
    convnet_settings,
    curves,
    learner_settings,
    navigation,
    policy_learner,
    same,
    sine_learner,
    start,
)


def differing(learner: Learner) -> Meta:
    """A (theta, alpha) all of whose numbers differ, some negative, as training leaves them."""
    noise = generator(5, "noise")
    return Meta(*({k: v + torch.randn(v.shape, generator=noise) for k, v in part.items()}
                  for part in start(learner)))  # fmt: skip


def saved(folder: Path, learner: Learner | None = None) -> Path:
    learner = learner or sine_learner()
    save_checkpoint(folder, learner, differing(learner), about={"seed": 1})
    return folder


def refused(folder: Path) -> str:
    """The one line with which the checkpoint is refused."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert isinstance(caught.value, InputError)
    assert "\n" not in message
    assert str(folder) in message
    return message


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((folder / ABOUT).read_text())
    change(document)
    (folder / ABOUT).write_text(json.dumps(document))


@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_round_trip(tmp_path: Path, alpha: str, order: str) -> None:
    """theta and alpha come back bit for bit, with the learner's settings and what was to be remembered."""
    learner = sine_learner(alpha, order=order, steps=2, test_steps=3, trained=False)
    meta = differing(learner)
    about = {"seed": 3, "notes": ["a", "b"]}
    save_checkpoint(tmp_path / "new" / "checkpoint", learner, meta, about)
    loaded, loaded_meta, loaded_about = load_checkpoint(tmp_path / "new" / "checkpoint")
    assert same(loaded_meta, meta)
    assert loaded_about == about
    assert (loaded.problem, loaded.architecture) == (learner.problem, learner.architecture)
    assert loaded.settings == learner.settings
    assert sorted(path.name for path in (tmp_path / "new" / "checkpoint").iterdir()) == [ABOUT, WEIGHTS]


def test_round_trip_of_a_convolutional_network(tmp_path: Path) -> None:
    """Tuples that JSON turns into lists are tuples again: the architecture compares equal."""
    problem = Problem("classification", (3, 8, 8), 5)
    learner = build_learner(problem, convnet_settings(extra=4, normalisation="inductive"), learner_settings())
    meta = differing(learner)
    save_checkpoint(tmp_path, learner, meta, {})
    loaded, loaded_meta, _ = load_checkpoint(tmp_path)
    assert (loaded.problem, loaded.architecture) == (problem, learner.architecture)
    assert same(loaded_meta, meta)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_round_trip_of_a_policy(tmp_path: Path, alpha: str) -> None:
    """The discount of its problem comes back too, and with it the bits of its returns after a step."""
    learner, dynamics = policy_learner(alpha, discount=0.7), navigation(horizon=4)
    meta = differing(learner)
    save_checkpoint(tmp_path, learner, meta, {})
    loaded, loaded_meta, _ = load_checkpoint(tmp_path)
    assert (loaded.problem, loaded.architecture) == (learner.problem, learner.architecture)
    assert loaded.problem.discount == 0.7
    assert same(loaded_meta, meta)
    tasks = dynamics.sample(3, generator(1, "tasks"))
    mine, theirs = (
        mean_returns(own, at, Environments(dynamics, tasks), Plan(3, 2, 1), lambda _: generator(1, "noise"))
        for own, at in ((learner, meta), (loaded, loaded_meta))
    )
    assert torch.equal(mine, theirs)


def test_a_checkpoint_from_before_there_were_discounts(tmp_path: Path) -> None:
    """A description without one is that of a problem that has none."""
    learner = sine_learner()
    saved(tmp_path, learner)
    edit(tmp_path, lambda document: document["problem"].pop("discount"))
    assert load_checkpoint(tmp_path)[0].problem == learner.problem


def test_a_checkpoint_from_before_layers_had_starts_of_their_own(tmp_path: Path) -> None:
    """A description without them is that of a learner that has none."""
    learner = sine_learner()
    saved(tmp_path, learner)
    edit(tmp_path, lambda document: document["learner"].pop("layers"))
    assert load_checkpoint(tmp_path)[0].settings == learner.settings


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_reloaded_model_scores_the_same_bits(tmp_path: Path, alpha: str) -> None:
    """Scores before and after adaptation of a reloaded checkpoint are those of the one in memory."""
    learner = sine_learner(alpha)
    meta, batch = differing(learner), curves(30)
    save_checkpoint(tmp_path, learner, meta, {})
    loaded, loaded_meta, _ = load_checkpoint(tmp_path)
    assert torch.equal(score(loaded, loaded_meta, batch, 2), score(learner, meta, batch, 2))


@pytest.mark.parametrize("missing", [WEIGHTS, ABOUT])
def test_missing_files(tmp_path: Path, missing: str) -> None:
    """The line names the file that is not there."""
    (saved(tmp_path) / missing).unlink()
    assert f"{missing}: no such file" in refused(tmp_path)


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_truncated_weights(tmp_path: Path, size: int) -> None:
    """Cut anywhere, weights are refused, not read in part."""
    path = saved(tmp_path) / WEIGHTS
    path.write_bytes(path.read_bytes()[:size])
    assert f"{WEIGHTS}: not a whole safetensors file" in refused(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 1}', '{"format": 1}', "\udcff"])
def test_foreign_descriptions(tmp_path: Path, text: str) -> None:
    """Anything else where checkpoint.json should be is refused in one line."""
    (saved(tmp_path) / ABOUT).write_bytes(text.encode(errors="surrogateescape"))
    assert "not a checkpoint's description" in refused(tmp_path)


def test_another_format(tmp_path: Path) -> None:
    """A checkpoint of a later format says which one it is."""
    edit(saved(tmp_path), lambda document: document.update(format=2))
    assert "format is 2; expected 1" in refused(tmp_path)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("learner", {"steps": 0}),
        ("learner", {"colour": "red"}),
        ("network", {"kind": "transformer"}),
        ("problem", {"objective": "guessing"}),
        ("learner", {"alpha": "sometimes"}),
    ],
)
def test_impossible_settings(tmp_path: Path, section: str, change: dict[str, Any]) -> None:
    """Settings that no learner can have are refused as the description's fault."""
    edit(saved(tmp_path), lambda document: document[section].update(change))
    assert "not a checkpoint's description" in refused(tmp_path)


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    """Both shapes are named: that of the file and that of the description."""
    saved(tmp_path)
    edit(tmp_path, lambda document: document["network"].update(hidden=[9]))
    message = refused(tmp_path)
    assert "alpha/linear0.bias is (8,); expected (9,)" in message


def test_weights_with_a_layer_more_or_alpha_less(tmp_path: Path) -> None:
    """A tensor too many or too few is named, alpha's too: it must not be missing from what is loaded."""
    learner = sine_learner()
    saved(tmp_path, learner)
    meta = start(learner)
    (tmp_path / WEIGHTS).write_bytes(save(pack(Meta(meta.theta, {}))))
    assert "alpha/linear0.bias is absent; expected (8,)" in refused(tmp_path)
    more = Meta({**meta.theta, "linear2.bias": torch.zeros(1)}, meta.alpha)
    (tmp_path / WEIGHTS).write_bytes(save(pack(more)))
    assert "theta/linear2.bias is (1,); expected absent" in refused(tmp_path)


def test_a_failing_write_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk while saving over a checkpoint: the former one still loads, and no debris is left."""
    learner = sine_learner()
    saved(tmp_path, learner)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, learner, start(learner), about={"seed": 2})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_pickle(tmp_path: Path) -> None:
    """Weights are safetensors (a length, then JSON), which run no code when they are read."""
    content = (saved(tmp_path) / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert {name.partition("/")[0] for name in header} == {"theta", "alpha"}
    (tmp_path / WEIGHTS).unlink()
    torch.save(start(sine_learner()).theta, tmp_path / WEIGHTS)
    refused(tmp_path)


@pytest.mark.parametrize("reverse", [False, True])
def test_layers_come_in_the_networks_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reverse: bool
) -> None:
    """In whatever order the file gives them, which is another one in every process."""
    learner = sine_learner(hidden=(3, 2))
    save_checkpoint(tmp_path, learner, start(learner), {})
    load = checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda data: dict(sorted(load(data).items(), reverse=reverse)))
    _, meta, _ = load_checkpoint(tmp_path)
    assert same(meta, start(learner))
    names = [f"linear{layer}.{part}" for layer in range(3) for part in ("weight", "bias")]
    assert list(meta.theta) == list(meta.alpha) == names


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("network", "halving", "pool"), ("learner", "order", "third"), ("network", "kind", "mlp2")],
)
def test_a_description_with_an_unknown_word_is_refused(
    tmp_path: Path, section: str, key: str, value: str
) -> None:
    """A checkpoint's JSON is read without pydantic, and still no word is taken for another."""
    learner = build_learner(Problem("classification", (1, 8, 8), 2), convnet_settings(), learner_settings())
    save_checkpoint(tmp_path, learner, start(learner), {})
    edit(tmp_path, lambda document: document[section].update({key: value}))
    assert value in refused(tmp_path)


@pytest.mark.parametrize("name", [ABOUT, WEIGHTS])
def test_a_folder_where_a_file_should_be(tmp_path: Path, name: str) -> None:
    saved(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert f"{name}: cannot be read (Is a directory); expected a checkpoint" in refused(tmp_path)


def test_a_description_of_a_huge_network_allocates_nothing(tmp_path: Path) -> None:
    """Layers a million wide would take four terabytes: shapes are compared, not made."""
    edit(saved(tmp_path), lambda document: document["network"].update(hidden=[10**6, 10**6]))
    assert "linear0.bias is (8,); expected (1000000,)" in refused(tmp_path)
