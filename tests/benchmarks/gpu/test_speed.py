"""The table of speeds: resumable, and whole where a row fails."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.engine.workloads import WORKLOADS
from benchmarks.gpu import row as measuring
from benchmarks.gpu import speed
from benchmarks.gpu.row import Row, measured
from benchmarks.gpu.ways import Ours
from metasgd.errors import InputError


def run(monkeypatch: pytest.MonkeyPatch, state: Path, *options: str) -> None:
    words = [
        "speed",
        "--device",
        "cpu",
        "--iterations",
        "3",
        "--workloads",
        "sine-4",
        "--precisions",
        "float32",
    ]
    monkeypatch.setattr("sys.argv", [*words, "--state", str(state), *options])
    speed.main()


def test_what_is_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every row in a process of its own; a call without time left measures none."""
    monkeypatch.setattr(speed, "META_BATCHES", ())
    state = tmp_path / "state.json"
    run(monkeypatch, state, "--ways", "eager", "textbook", "--minutes", "0")
    assert "2 rows are left; the same command continues" in capsys.readouterr().out
    run(monkeypatch, state, "--ways", "eager")
    said = capsys.readouterr().out
    assert "all is measured" in said
    assert [line.split(" | ")[:4] for line in said.splitlines() if line.startswith("| sine")] == [
        ["| sine-4", "4", "eager", "float32"],
    ]
    monkeypatch.setattr(speed, "measure", lambda *_: pytest.fail("measured again"))
    run(monkeypatch, state, "--ways", "eager")


@pytest.mark.parametrize("way", ["eager", "textbook"])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_a_row_in_every_precision(way: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "SIDE", {"cpu": 16})
    found = measured(Row("sine-4", way, precision, "cpu", tasks=2, iterations=2))
    assert len(found["seconds"]) == measuring.ROUNDS
    assert found["tasks"] == 2
    measuring.set_precision("float32")


def test_lower_precision_is_lower() -> None:
    """bf16 moves the gradient by some thousandths, and no further."""

    def gradient(precision: str) -> torch.Tensor:
        ours = Ours(WORKLOADS["sine-4"], precision, compiled=False, captured=False)
        ours.run(1)
        first = next(iter(ours.meta.theta.values()))
        return ours.adam.state[first]["exp_avg"]

    off = float((gradient("bf16") - gradient("float32")).norm() / gradient("float32").norm())
    assert 1e-4 < off < 0.1


def test_a_row_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its last line; the others go on."""
    found = speed.measure(Row("no-workload", "eager", "float32", "cpu"), 60)
    assert found == {"failed": "KeyError: 'no-workload'"}
    row = Row("sine-4", "eager", "float32", "cpu")
    table = speed.report("here", [row], {row.key: {"failed": "why"}})
    assert "| sine-4 | 4 | eager | float32 | fails: why |" in table


def test_the_table_is_arithmetic() -> None:
    """Half a second for 2 tasks, 10 operations at 100 a second: 2 iterations, 4 tasks, .2 of the rate."""
    row = Row("sine-4", "eager", "float32", "cpu")
    result = {"seconds": [0.4, 0.5, 0.6], "matmul": 100.0, "operations": 10, "tasks": 2, "peak": 7.4}
    last = speed.report("here", [row], {row.key: result}).splitlines()[-1]
    assert last == "| sine-4 | 2 | eager | float32 | 500 (400 to 600) | 2 | 4 | 0.2 | 7 |"


def test_a_state_of_another_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"machine": "another", "rows": {}}))
    with pytest.raises(InputError, match="was measured with another; expected torch"):
        run(monkeypatch, state)
    state.write_text("{")
    with pytest.raises(InputError, match="delete it to start anew"):
        run(monkeypatch, state)
