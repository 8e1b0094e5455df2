"""The machine in words, for whoever compares numbers."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """As in "2 cores of AMD EPYC (family 26, model 2)"."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} core{'s' if cores > 1 else ''} of {_processor(Path('/proc/cpuinfo'))}"


def _processor(cpuinfo: Path) -> str:
    """Its name says less than its family and model, which decide the instructions that torch takes."""
    try:
        lines = (line.partition(":") for line in cpuinfo.read_text().split("\n\n")[0].splitlines())
    except OSError:
        return platform.processor() or platform.machine()
    fields = {name.strip(): value.strip() for name, _, value in lines}
    which = [
        f"{name.removeprefix('cpu ')} {fields[name]}" for name in ("cpu family", "model") if name in fields
    ]
    name = fields.get("model name", platform.machine())
    return f"{name} ({', '.join(which)})" if which else name
