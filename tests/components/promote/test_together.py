"""Promotions beside each other, cut off, and without a champion to meet: alias, record and decision agree."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.config.settings import Promotion
from components.promote.step import promote
from components.tracking import lock as module
from components.tracking import processes
from components.tracking.lock import HOLDER, SUFFIX, promotion_lock
from components.tracking.patience import AwayError
from components.tracking.registry import CHAMPION, FOUND, moves, rollback
from metasgd.errors import InputError
from tests.components.promote.contest import BAD, GOOD, MIDDLING, Contest, Gate
from tests.mlflow_server import HUNG_UP, LOST, MlflowServer, Relay, mlflow_server, relay
from tests.pipelines.checkout import ROOT

PROMOTE = """
import sys
from pathlib import Path
from components.config.settings import Promotion
from components.promote.step import promote

name, results, episodes, output, *checkpoints = sys.argv[1:]
checkpoints = [Path(one) for one in checkpoints]
promote(name, Promotion(False), checkpoints, Path(results), Path(episodes), Path(output))
"""


@pytest.fixture
def server(gate: Gate, tmp_path: Path) -> Iterator[MlflowServer]:
    """A real server of the store that the contests are in."""
    with mlflow_server(tmp_path, gate.root / ".local" / "mlflow.db") as running:
        yield running


@pytest.fixture
def between(server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    with relay(server.port) as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.address)
        yield running


def started(contest: Contest, output: str, *checkpoints: Path) -> subprocess.Popen[str]:
    """Promote in a process of its own."""
    folder = contest.folder
    arguments = [contest.name, folder / "results", contest.episodes, folder / output / "decision.json"]
    command = [sys.executable, "-c", PROMOTE, *map(str, [*arguments, *checkpoints])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.parametrize("where", ["database", "server"])
def test_two_at_once_register_once_and_agree(
    contest: Contest, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A version for each training, and each decision names the champion that it left."""
    checkpoints = contest.contender(BAD, seed=1), contest.contender(GOOD, seed=2)
    contest.promote(*checkpoints, dry_run=True)
    if where == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server").address)
    running = [started(contest, output, *checkpoints) for output in ("one", "two")]
    outputs = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    assert contest.versions == 2
    decisions = [json.loads((contest.folder / one / "decision.json").read_text()) for one in ("one", "two")]
    assert sorted(str(one["champion_before"]) for one in decisions) == ["2", "None"]
    assert [one["champion_after"] for one in decisions] == ["2", "2"]
    assert contest.champion == "2"
    assert [move.after for move in moves(contest.gate.client, contest.name)][-1] == "2"
    assert contest.gate.client.search_registered_models(f"name = '{contest.name}{SUFFIX}'") == []


WRITES = (
    "registered-models/create",
    "model-versions/create",
    "registered-models/alias",
    "registered-models/set-tag",
)


@pytest.mark.parametrize("fault", [503, HUNG_UP, LOST])
@pytest.mark.parametrize("path", WRITES)
def test_a_short_outage_leaves_nothing_half_registered(
    contest: Contest, between: Relay, monkeypatch: pytest.MonkeyPatch, path: str, fault: int
) -> None:
    """At every kind of write: refused twice, or done and never answered. One version, one move, no lock.

    What was done is found, and not asked for again.
    """
    monkeypatch.setenv("METASGD_PATIENCE", "60")
    checkpoint = contest.contender(GOOD, seed=1)
    contest.promote(checkpoint, dry_run=True)
    faults = iter([fault, fault])
    between.fault = lambda method, asked, body: next(faults, None) if asked.endswith(path) else None
    decision = contest.promote(checkpoint, evaluated=True)
    assert len(list(faults)) < 2
    assert decision.champion_after == contest.champion == "1"
    assert contest.versions == 1
    assert [move.after for move in moves(contest.gate.client, contest.name)] == ["1"]
    assert contest.gate.client.search_registered_models(f"name = '{contest.name}{SUFFIX}'") == []


@pytest.mark.parametrize("path", WRITES)
def test_a_server_that_goes_for_good_is_one_line_and_the_repetition_is_whole(
    contest: Contest, between: Relay, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """No decision is written that no alias bears out; the lock is left, and its process is dead by then."""
    monkeypatch.setenv("METASGD_PATIENCE", "0.2")
    checkpoint = contest.contender(GOOD, seed=1)
    contest.promote(checkpoint, dry_run=True)
    (contest.folder / "out" / "decision.json").unlink()
    gone: list[str] = []

    def goes(method: str, asked: str, body: bytes) -> int | None:
        if asked.endswith(path):
            gone.append(asked)
        return 503 if gone else None

    between.fault = goes
    with pytest.raises(AwayError, match="does not answer") as failed:
        contest.promote(checkpoint, evaluated=True)
    assert "\n" not in str(failed.value)
    assert not (contest.folder / "out" / "decision.json").exists()
    between.fault = lambda method, asked, body: None
    monkeypatch.setattr(module, "_is_abandoned", lambda found: True)
    decision = contest.promote(checkpoint, evaluated=True)
    assert decision.champion_after == contest.champion == "1"
    assert contest.versions == 1


class KilledError(Exception):
    """Stands for the end of a process."""


@pytest.mark.parametrize("moved", [False, True])
def test_a_move_that_was_cut_off_is_on_record(
    contest: Contest, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    """Killed before the alias moved, or right after: repeated, the history is whole; rollback finds it."""
    contest.promote(contest.contender(BAD, seed=1))
    better = contest.contender(GOOD, seed=2)
    move = MlflowClient.set_registered_model_alias

    def killed(client: MlflowClient, *arguments: str) -> None:
        if moved:
            move(client, *arguments)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", killed)
        with pytest.raises(KilledError):
            contest.promote(better)
    assert contest.champion == ("2" if moved else "1")
    decision = contest.promote(better, evaluated=True)
    assert contest.champion == decision.champion_after == "2"
    record = [(move.before, move.after) for move in moves(contest.gate.client, contest.name)]
    assert record == [(None, "1"), ("1", "2")] + ([] if moved else [("2", "1"), ("1", "2")])
    assert rollback(contest.gate.client, contest.name, None).after == "1"


def test_an_alias_that_was_moved_by_hand_is_on_record(contest: Contest) -> None:
    """In the UI, by anybody: the next promotion finds it there, and says so."""
    contest.promote(contest.contender(GOOD, seed=1))
    contest.promote(contest.contender(BAD, seed=2))
    contest.gate.client.set_registered_model_alias(contest.name, CHAMPION, "2")
    decision = contest.promote(contest.contender(MIDDLING, seed=3))
    assert (decision.champion_before, decision.champion_after) == ("2", "3")
    record = [(move.before, move.after) for move in moves(contest.gate.client, contest.name)]
    assert record == [(None, "1"), ("1", "2"), ("2", "3")]
    assert moves(contest.gate.client, contest.name)[1].why == FOUND


def test_an_alias_that_somebody_moves_meanwhile_is_no_decision(
    contest: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written would name another champion than the alias: one line, and no decision."""
    contest.promote(contest.contender(BAD, seed=1))
    better = contest.contender(GOOD, seed=2)
    move = MlflowClient.set_registered_model_alias

    def twice(client: MlflowClient, name: str, alias: str, version: str) -> None:
        move(client, name, alias, version)
        move(client, name, alias, "1")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", twice)
    (contest.folder / "out" / "decision.json").unlink()
    with pytest.raises(InputError, match="moved to version 1 by other means; expected 2"):
        contest.promote(better)
    assert not (contest.folder / "out" / "decision.json").exists()


@pytest.mark.parametrize("loss", ["all", "weights", "digest"])
def test_a_champion_whose_files_are_gone_gives_way(
    contest: Contest, capsys: pytest.CaptureFixture[str], loss: str
) -> None:
    """It would block every later promotion; the decision says that nobody was met."""
    contest.promote(contest.contender(GOOD, seed=1))
    files = contest.gate.client.get_model_version_download_uri(contest.name, "1")
    place = Path(files.removeprefix("file://"))
    weights = place / "data" / "checkpoint" / "weights.safetensors"
    if loss == "all":
        shutil.rmtree(place)
    elif loss == "weights":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    decision = contest.promote(contest.contender(BAD, seed=2))
    assert (decision.champion_before, decision.champion_after) == ("1", "2")
    (comparison,) = decision.comparisons
    assert comparison.wins
    assert comparison.champion is None
    assert comparison.reason == "the champion, version 1, cannot be loaded"
    assert f"{contest.name}: warning: the champion cannot be met: " in capsys.readouterr().out


# ---- The lock ----


def held(gate: Gate, model: str, holder: str) -> str:
    name = f"{model}{SUFFIX}"
    gate.client.create_registered_model(name, {HOLDER: holder})
    return name


def test_a_lock_of_a_dead_process_is_taken(gate: Gate) -> None:
    """Of this machine, whose processes can be seen."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    name = held(gate, "dead", f"{processes._machine()} {process.pid} token")
    with promotion_lock(gate.client, "dead") as lock:
        lock.require()
    assert gate.client.search_registered_models(f"name = '{name}'") == []


@pytest.mark.parametrize("machine", ["here", "elsewhere"])
def test_a_lock_of_another_promotion_is_waited_for(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    """One line says who holds it, since when, and what to do where nothing is under way."""
    model = f"held-{machine}"
    holder = processes._machine() if machine == "here" else "elsewhere/4026531836"
    name = held(gate, model, f"{holder} {os.getpid()} token")
    monkeypatch.setattr(module, "WAIT", 0.0)
    with pytest.raises(InputError) as refused, promotion_lock(gate.client, model):
        pass
    assert f"MODEL {model!r}: another promotion is under way (" in str(refused.value)
    assert f"delete the registered model {name!r}" in str(refused.value)
    if machine == "elsewhere":
        monkeypatch.setattr(module, "STALE", 0.0)
        with promotion_lock(gate.client, model):
            pass
        assert gate.client.search_registered_models(f"name = '{name}'") == []
    else:
        gate.client.delete_registered_model(name)


def test_whoever_lost_the_lock_decides_nothing(contest: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    """It slept for too long, and another took over: no alias moves, and the other's lock stays."""
    contest.promote(contest.contender(BAD, seed=1))
    better = contest.contender(GOOD, seed=2)
    name = f"{contest.name}{SUFFIX}"
    register = "components.promote.step.register"
    original = sys.modules["components.promote.step"].register  # type: ignore[attr-defined]

    def overslept(*arguments: object) -> object:
        contest.gate.client.set_registered_model_tag(name, HOLDER, "another")
        return original(*arguments)

    monkeypatch.setattr(register, overslept)
    with pytest.raises(InputError, match="another promotion took over"):
        contest.promote(better)
    assert contest.champion == "1"
    assert contest.gate.client.get_registered_model(name).tags == {HOLDER: "another"}
    contest.gate.client.delete_registered_model(name)


def test_a_dry_run_takes_no_lock(contest: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = contest.contender(BAD, seed=1)
    monkeypatch.setattr(socket, "gethostname", lambda: pytest.fail("a lock was taken"))
    contest.promote(checkpoint, dry_run=True)
    promote(contest.name, Promotion(True), [checkpoint], contest.folder / "results", contest.episodes,
            contest.folder / "again" / "decision.json")  # fmt: skip
