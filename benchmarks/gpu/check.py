"""Whether a GPU gives the CPU's results: python -m benchmarks.gpu.check

One line for every check, and exit code 1 if one fails. Needs torch, NumPy and safetensors alone.
"""

import argparse
import sys
import time
import traceback

import torch

from benchmarks.gpu.checks import CHECKS
from components.console.command import run_command
from metasgd.loop import pick_device


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.check", description="Check that a GPU gives the CPU's results."
    )
    parser.add_argument("checks", nargs="*", default=list(CHECKS), help=f"of {', '.join(CHECKS)}")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    options = parser.parse_args()
    if unknown := sorted(set(options.checks) - set(CHECKS)):
        parser.error(f"{unknown[0]!r} is no check; expected some of {', '.join(CHECKS)}")
    device = pick_device(options.device).type
    torch.set_num_threads(1)  # the CPU's part is small
    name = torch.cuda.get_device_name() if device == "cuda" else device
    print(f"torch {torch.__version__}, {name}", flush=True)
    failed = [check for check in options.checks if not _holds(check, device)]
    print(f"{len(options.checks) - len(failed)} of {len(options.checks)} checks hold")
    sys.exit(1 if failed else 0)


def _holds(name: str, device: str) -> bool:
    started = time.perf_counter()
    try:
        found, holds = CHECKS[name](device), True
    except Exception as error:  # the others are still worth knowing
        found, holds = f"{type(error).__name__}: {error}", False
        if not isinstance(error, AssertionError):
            traceback.print_exc()
    seconds = time.perf_counter() - started
    print(f"{'holds' if holds else 'FAILS'}  {name}: {found} ({seconds:.1f} s)", flush=True)
    return holds


if __name__ == "__main__":
    run_command(main)
