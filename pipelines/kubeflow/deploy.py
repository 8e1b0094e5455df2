"""python -m pipelines.kubeflow.deploy --model NAME [--version V | --alias A] --output deploy/

What `make deploy` runs: it renders what serves a registered model on a cluster.
"""

import argparse
from pathlib import Path

from components.console.command import require_model, run_command
from pipelines.options import add_overrides


def main() -> None:
    options = _parser().parse_args()
    require_model(options.model)

    from pipelines.image import BASE, reference
    from pipelines.kubeflow.check import require_reference
    from pipelines.kubeflow.cluster import load_cluster, require_cluster_alone
    from pipelines.kubeflow.manifests import Manifests, write
    from pipelines.kubeflow.serving import Served

    require_cluster_alone(options.overrides, "serving")
    cluster = load_cluster(options.overrides)
    image = options.image or reference(options.registry, options.base or BASE)
    require_reference(image)
    served = Served(options.model, options.version, options.alias, image, options.namespace)
    folder = write(Manifests(served, cluster, cluster.serving), options.output)
    print(f"kubectl apply -f {folder}/kserve.yaml")
    print(f"kubectl apply -f {folder}/deployment.yaml  # without KServe")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.kubeflow.deploy", description="Render what serves a model on a cluster."
    )
    parser.add_argument("--model", required=True, help="a registered model; it has its experiment's name")
    parser.add_argument("--version", help="one of its versions")
    parser.add_argument("--alias", help="an alias of one; by default its champion")
    parser.add_argument("--image", help="the pods' image; by default that of this commit")
    parser.add_argument("--registry", default="", help="registry and path of this commit's image")
    parser.add_argument("--base", help="the base of this commit's image, where it is one of your own")
    parser.add_argument("--namespace", help="the namespace; by default that of kubectl")
    add_overrides(parser, "kubeflow.mlflow=https://mlflow.example.org")
    parser.add_argument("--output", type=Path, default=Path("deploy"), help="the folder that is written to")
    return parser


if __name__ == "__main__":
    run_command(main)
