"""python -m pipelines.kubeflow {submit,upload,schedule,runs,compile} --host https://… …

What `make pipeline-run KFP_HOST=…` and its siblings do. The token comes from the environment: KFP_TOKEN,
or a file that KFP_TOKEN_FILE names.
"""

import argparse
from pathlib import Path

from components.console.command import run_command
from pipelines.options import add_cache_option, add_lane_options, command_line, require_lanes

ACTIONS = ("submit", "upload", "schedule", "runs", "compile")


def main() -> None:
    options = _parser().parse_args()
    if options.action != "runs":
        require_lanes(options)

    from rich.console import Console

    from pipelines.image import BASE, reference
    from pipelines.kubeflow import submission as actions
    from pipelines.kubeflow.cluster import load_cluster, require_cluster_alone
    from pipelines.lanes import resolve

    console = Console()
    uncached = ["kubeflow.caching=false"] if options.cache == "off" else []
    cluster = load_cluster([*options.overrides, *uncached])
    target = actions.Target(options.host, options.namespace)
    if options.action == "runs":
        require_cluster_alone(options.overrides, "a list of runs")
        actions.list_runs(cluster, target, console)
        return
    experiments, seeds = resolve(options.experiments, options.seeds, options.overrides)
    image = options.image or reference(options.registry, options.base or BASE)
    command = command_line(options.names, seeds, options.overrides)
    submission = actions.Submission(experiments, seeds, cluster, image, options.check, command)
    match options.action:
        case "submit":
            actions.submit(submission, target, console, options.wait)
        case "upload":
            actions.upload(submission, target, console)
        case "schedule":
            actions.schedule(submission, target, console, options.cron)
        case "compile":
            actions.only_compile(submission, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.kubeflow", description="Run experiments on a Kubeflow cluster."
    )
    parser.add_argument("action", metavar="action", choices=ACTIONS, help=f"one of {', '.join(ACTIONS)}")
    add_lane_options(parser)
    add_cache_option(parser)
    parser.add_argument("--host", default="", help="address of the Kubeflow Pipelines API, with https://")
    parser.add_argument("--namespace", help="the namespace of a cluster with many users")
    parser.add_argument("--image", help="the pods' image; by default that of this commit")
    parser.add_argument("--registry", default="", help="registry and path of this commit's image")
    parser.add_argument("--base", help="the base of this commit's image, where it is one of your own")
    parser.add_argument("--wait", action="store_true", help="submit: follow the run; exit with 1 if it fails")
    parser.add_argument(
        "--cron", default="", help='schedule: when, as in "0 0 3 * * *": every night at three'
    )
    parser.add_argument("--output", type=Path, default=Path("pipeline.yaml"), help="compile: the file")
    return parser


if __name__ == "__main__":
    run_command(main)
