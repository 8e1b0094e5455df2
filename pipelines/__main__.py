"""python -m pipelines [--experiments …] [--seeds …] [--set KEY=VALUE …]: what `make pipeline-run` does."""

import argparse

from components.console.command import run_command
from pipelines.options import add_lane_options, add_runner_options, parse


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines",
        description="Run experiments through the compiled pipeline on this machine.",
    )
    add_lane_options(parser)
    add_runner_options(parser)
    options = parse(parser)
    where = "in containers" if options.runner == "docker" else "on this machine"
    print(f"{', '.join(options.names)}: runs {where}", flush=True)

    from rich.console import Console

    from pipelines.image import container_image
    from pipelines.lanes import resolve
    from pipelines.local.run import run_pipeline

    experiments, seeds = resolve(options.experiments, options.seeds, options.overrides)
    image, use_finished = container_image(options.runner, options.image, options.base), options.cache == "on"
    run_pipeline(
        experiments, seeds, Console(), image, options.check, use_finished, overrides=options.overrides
    )


if __name__ == "__main__":
    run_command(main)
