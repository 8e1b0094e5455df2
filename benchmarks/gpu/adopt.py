"""Take finished trainings of a machine with a GPU for publication: python -m benchmarks.gpu.adopt FOLDER …

Afterwards `make publish` finds them as if they had been trained here: it scores them by the code that scores
all others, and writes results/ and models/. The code has to be the one that trained.
"""

import argparse
import json
from pathlib import Path

from benchmarks.gpu.train import ORIGIN
from components.console.command import run_command
from metasgd.errors import InputError
from pipelines.publishing.trainings import KEPT, adopt


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.adopt",
        description="Take trainings of another machine for publication.",
    )
    parser.add_argument("folders", nargs="+", type=Path, help="what benchmarks.gpu.train wrote")
    for folder in parser.parse_args().folders:
        taken, command = take(folder)
        print(f"took {folder} to {taken}; publish it by\n{command}")


def take(folder: Path, kept: Path = KEPT) -> tuple[Path, str]:
    """Where it lies now, and the command that publishes it. Raises InputError."""
    try:
        origin = json.loads((folder / ORIGIN).read_text())
    except (OSError, ValueError):
        raise InputError(f"{folder}: expected what benchmarks.gpu.train wrote") from None
    return adopt(folder, origin["code"], origin["seconds"], kept), origin["publish"]


if __name__ == "__main__":
    run_command(main)
