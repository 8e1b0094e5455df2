"""What `python -m benchmarks.gpu.check` runs: on a GPU where there is one, and on the CPU always."""

import pytest
import torch

from benchmarks.gpu import check as command
from benchmarks.gpu import checks
from benchmarks.gpu.checks import CHECKS

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", list(CHECKS))
def test_a_gpu_gives_the_cpus_results(name: str) -> None:
    CHECKS[name]("cuda")


def test_the_checks_run_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a check only compares the CPU with itself, it has to agree to the last bit. Without the pools."""
    monkeypatch.setattr(checks, "SMALL", checks.SMALL[:2])
    monkeypatch.setattr("sys.argv", ["check", "--device", "cpu"])
    with pytest.raises(SystemExit, match="0"):
        command.main()
    said = capsys.readouterr().out
    assert said.count("holds  ") == len(CHECKS)
    assert "gradients-agree: the largest difference of a gradient is 0 " in said


def test_a_difference_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A device whose gradients are off by a thousandth; the command ends with exit code 1."""
    found = iter([0.999, 1.0] * len(checks.SMALL))
    true = checks._gradient
    monkeypatch.setattr(
        checks, "_gradient", lambda workload: [next(found) * value for value in (true(workload)[-1],)]
    )
    monkeypatch.setattr("sys.argv", ["check", "gradients-agree", "--device", "cpu"])
    with pytest.raises(SystemExit, match="1"):
        command.main()
    assert "FAILS  gradients-agree" in capsys.readouterr().out


def test_two_trainings_of_other_bits_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = iter([1, 2])
    monkeypatch.setattr(checks, "SMALL", (checks.SMALL[0], checks.SMALL[1]))
    monkeypatch.setattr(
        checks, "generator", lambda seed, purpose: torch.Generator().manual_seed(next(seeds, 3))
    )
    with pytest.raises(AssertionError, match="differs by up to"):
        checks.repeated("cpu")
