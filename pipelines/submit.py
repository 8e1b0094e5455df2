"""python -m pipelines.submit --host https://… [--wait | --cron CRON | --only-compile FILE]

What `make pipeline-run KFP_HOST=…`, `make pipeline-schedule` and `make pipeline-compile` do. The token
comes from the environment: KFP_TOKEN, or a file that KFP_TOKEN_FILE names.
"""

import argparse
from pathlib import Path

from components.command import run_command
from pipelines.options import lane_parser


def main() -> None:
    options = _parser().parse_args()

    from rich.console import Console

    from pipelines.cluster import load_cluster
    from pipelines.image import reference
    from pipelines.run import resolve
    from pipelines.submission import Submission, Target, only_compile, schedule, submit

    experiments, seeds = resolve(options.experiments, options.seeds, options.overrides)
    image = options.image or reference(options.registry)
    uncached = ["kubeflow.caching=false"] if options.cache == "off" else []
    submission = Submission(experiments, seeds, load_cluster([*options.overrides, *uncached]), image)
    if options.only_compile:
        only_compile(submission, options.only_compile)
        return
    target = Target(options.host, options.namespace, options.check == "strict")
    if options.cron is None:
        submit(submission, target, Console(), options.wait)
    else:
        schedule(submission, target, Console(), options.cron)


def _parser() -> argparse.ArgumentParser:
    parser = lane_parser("pipelines.submit", "Run experiments on a Kubeflow cluster.")
    parser.add_argument("--host", default="", help="address of the Kubeflow Pipelines API, with https://")
    parser.add_argument("--namespace", help="the namespace of a cluster with many users")
    parser.add_argument("--image", help="the pods' image; by default that of this commit")
    parser.add_argument("--registry", default="", help="registry and path of this commit's image")
    parser.add_argument(
        "--check", default="", choices=("", "strict"), help="strict: what is only a warning stops it, too"
    )
    parser.add_argument("--cache", default="on", choices=("on", "off"), help="off: every step runs")
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--wait", action="store_true", help="follow the run; exit with 1 if it fails")
    after.add_argument("--cron", help='run it again and again, as in "0 0 3 * * *": every night at three')
    after.add_argument("--only-compile", type=Path, metavar="FILE", help="write the pipeline, submit nothing")
    return parser


if __name__ == "__main__":
    run_command(main)
