"""The machine in words."""

import os
from pathlib import Path

from components.config.machine import _processor, machine

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC

processor\t: 1
model name\t: another
"""


def test_a_processor_is_told_by_family_and_model(tmp_path: Path) -> None:
    """Two with one name may have other instructions."""
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    assert _processor(tmp_path / "cpuinfo") == "AMD EPYC (family 26, model 2)"


def test_a_processor_without_a_family_has_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Neoverse\n")
    assert _processor(tmp_path / "cpuinfo") == "Neoverse"


def test_a_machine_without_such_a_file_has_a_name(tmp_path: Path) -> None:
    assert _processor(tmp_path / "none")
    assert machine().startswith(f"{len(os.sched_getaffinity(0))} core")
