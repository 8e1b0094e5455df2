"""python -m pipelines [--experiments …] [--seeds …] [--set KEY=VALUE …]: what `make pipeline-run` does."""

import argparse

from components.console.command import run_command
from pipelines.options import add_cache_option, add_lane_options, parse


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines",
        description="Run experiments through the compiled pipeline on this machine.",
    )
    add_lane_options(parser)
    add_cache_option(parser)
    parser.add_argument(
        "--runner",
        default="local",
        choices=("local", "docker"),
        help="steps in this interpreter (the default), or in containers of the image",
    )
    parser.add_argument("--image", help="the containers' image; by default that of this commit")
    parser.add_argument("--base", help="the base of this commit's image, where it is one of your own")
    options = parse(parser)
    where = "in containers" if options.runner == "docker" else "on this machine"
    print(f"{', '.join(options.names)}: runs {where}", flush=True)

    from rich.console import Console

    from pipelines.lanes import resolve
    from pipelines.local.run import run_pipeline

    experiments, seeds = resolve(options.experiments, options.seeds, options.overrides)
    image = None
    if options.runner == "docker":
        from pipelines.image import BASE, reference

        image = options.image or reference(base=options.base or BASE)
    use_finished = options.cache == "on"
    run_pipeline(
        experiments, seeds, Console(), image, options.check, use_finished, overrides=options.overrides
    )


if __name__ == "__main__":
    run_command(main)
