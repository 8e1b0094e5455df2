"""python -m components.tracking.rollback sinusoid-5shot [--version 3]: move a champion back."""

import argparse

from components.console.command import require_model, run_command


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.tracking.rollback", description=__doc__)
    parser.add_argument("model", help="a registered model; it has its experiment's name")
    parser.add_argument("--version", help="the version to go back to; otherwise the champion before this one")
    options = parser.parse_args()
    require_model(options.model)

    from components.tracking.client import connect
    from components.tracking.registry import rollback

    move = rollback(connect(), options.model, options.version)
    print(f"{options.model}: champion is version {move.after} again, it was version {move.before}")


if __name__ == "__main__":
    run_command(main)
