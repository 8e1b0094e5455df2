"""python -m components.rollout --checkpoint … --checkpoint … --episodes … --output …"""

from components.console.command import run_command
from components.scoring.command import scoring_options


def main() -> None:
    options = scoring_options(
        "rollout", "Score policies on stored tasks, before adaptation and after each inner step."
    )

    from components.rollout.step import rollout

    rollout(options.checkpoints, options.episodes, options.output)


if __name__ == "__main__":
    run_command(main)
