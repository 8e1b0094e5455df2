"""Steps of an earlier run: what they are known by, and what is not taken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kfp import dsl
from mlflow import MlflowClient

from components.artifacts.runs import RUN, RunRecord, write_run
from components.config.environment import LOCAL
from components.tracking.runs import open_run
from metasgd.own_folder import own_folder
from pipelines.local import finished
from pipelines.local.finished import FinishedSteps, finished_steps
from tests.components.lane import store


@pytest.fixture
def client(tmp_path: Path) -> Iterator[MlflowClient]:
    with store(tmp_path) as found:
        yield found


@pytest.fixture
def cache(client: MlflowClient, tmp_path: Path) -> FinishedSteps:
    return FinishedSteps(str(tmp_path / finished_steps()))


def written(folder: Path, text: str, run_id: str | None = None) -> Path:
    """An output of a step."""
    with own_folder(folder, "components.train", passing=[RUN]) as place:
        (place / "weights").write_text(text)
        if run_id:
            write_run(place / RUN, RunRecord(run_id))
    return folder


def key(cache: FinishedSteps, *inputs: Path, component: str = "comp-train", parameters: str = "{}") -> str:
    models = [dsl.Model(name="checkpoint", uri=str(place)) for place in inputs]
    arguments = {"parameters": parameters, "episodes": models[0], "checkpoints": models}
    return cache.compute_key(component, "an image", ["train"], arguments)


def test_a_step_is_known_by_its_parameters_and_the_contents_of_its_inputs(
    cache: FinishedSteps, tmp_path: Path
) -> None:
    """Wherever the inputs lie, and whatever lane it is."""
    first = key(cache, written(tmp_path / "a", "one"), written(tmp_path / "b", "two"))
    assert key(cache, written(tmp_path / "c", "one"), written(tmp_path / "d", "two")) == first
    assert key(cache, tmp_path / "a", tmp_path / "b", component="comp-train-2") == first
    others = [
        key(cache, tmp_path / "a", tmp_path / "a"),
        key(cache, tmp_path / "a", written(tmp_path / "e", "three")),
        key(cache, tmp_path / "a", tmp_path / "b", component="comp-evaluate"),
        key(cache, tmp_path / "a", tmp_path / "b", parameters="{1}"),
        key(cache, tmp_path / "a", written(tmp_path / "f", "two", run_id="another training's")),
    ]
    assert len({first, *others}) == 6


@pytest.fixture
def output(cache: FinishedSteps, tmp_path: Path) -> Path:
    """A checkpoint that the cache has, and its row in MLflow."""
    with open_run("sinusoid", "training", {}) as run:
        folder = written(tmp_path / LOCAL / "runs" / "one" / "checkpoint", "weights", run.run_id)
    cache.put(key(cache, folder), {"checkpoint": dsl.Model(name="checkpoint", uri=str(folder))})
    return folder


def test_what_is_whole_is_taken(
    cache: FinishedSteps, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From where it is, even where the checkout is reached through a link."""
    found = cache.get(key(cache, output))
    assert found is not None
    assert found["checkpoint"].uri == str(output)
    assert capsys.readouterr().out == "Task 'train' was finished by an earlier run\n"
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    cache_there = FinishedSteps(str(link / finished_steps()))
    found = cache_there.get(key(cache_there, output))
    assert found is not None
    assert found["checkpoint"].uri == str(link / LOCAL / "runs" / "one" / "checkpoint")


def damage(output: Path, client: MlflowClient) -> None:
    (output / "weights").write_text("Weights")


def remove(output: Path, client: MlflowClient) -> None:
    (output / "weights").unlink()


def delete_row(output: Path, client: MlflowClient) -> None:
    (run,) = client.search_runs([client.get_experiment_by_name("sinusoid").experiment_id])
    client.delete_run(run.info.run_id)


def damage_record(output: Path, client: MlflowClient) -> None:
    (output / RUN).write_text("{")


@pytest.mark.parametrize("change", [damage, remove, delete_row, damage_record])
def test_what_has_changed_is_done_again(
    cache: FinishedSteps, output: Path, client: MlflowClient, change: Callable[[Path, MlflowClient], None]
) -> None:
    known = key(cache, output)
    change(output, client)
    assert cache.get(known) is None


def test_other_code_and_another_store_have_a_cache_of_their_own(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [finished_steps(), finished_steps("sha256:1"), finished_steps("sha256:2")]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    places.append(finished_steps())
    (tmp_path / "metasgd").mkdir()
    (tmp_path / "metasgd" / "loop.py").touch()
    monkeypatch.setattr(finished, "ROOT", tmp_path)
    places.append(finished_steps())
    assert len(set(places)) == 5
