"""python -m components.evaluate --checkpoint … --checkpoint … --episodes … --output …"""

from components.console.command import run_command
from components.scoring.command import scoring_options


def main() -> None:
    options = scoring_options(
        "evaluate", "Score checkpoints on stored tasks, before adaptation and after each inner step."
    )

    from components.evaluate.step import evaluate

    evaluate(options.checkpoints, options.episodes, options.output)


if __name__ == "__main__":
    run_command(main)
