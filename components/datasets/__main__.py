"""Put a data set in place, whole and verified, or not at all.

    python -m components.datasets                                    # Omniglot, into data/
    python -m components.datasets miniimagenet --source ~/mini.zip   # into datasets/
    python -m components.datasets birds --source ~/birds             # a folder of class folders

`make data [DATASET=omniglot] [DATA_SOURCE=…]` runs this at the top of the repository.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from components.console.command import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Exits with 2 and one line where the data cannot be had, or are not the pinned ones."""
    chosen = _parser().parse_args(arguments)

    from components.datasets.placement import make_data_set

    print(make_data_set(chosen.name, chosen.source, Path.cwd()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m components.datasets",
        description="Put a data set in place, whole and verified, or not at all.",
        epilog="Omniglot goes into data/ and is compared with data.dvc. Any other data set goes into "
        "datasets/<name>/<name>.zip and is pinned by datasets/<name>.dvc.",
    )
    parser.add_argument(
        "name",
        nargs="?",
        default="omniglot",
        help="omniglot (the default), miniimagenet, or a name of your own for a folder of class folders",
    )
    parser.add_argument(
        "--source",
        type=Path,
        metavar="PATH",
        help="a folder or a zip archive that has the pictures; omniglot alone can do without: it is then "
        "pulled from the DVC remote, where one is set, or downloaded",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
