"""`make sweep` and `make tune` with a Kubeflow host: the sweep is submitted as one run."""

import json
import os
import subprocess

import pytest

from tests.pipelines.checkout import ROOT
from tests.pipelines.kubeflow.kfp_server import RUN_ID, TOKEN, Answers

SINE = "sinusoid-5shot"
IMAGE = "registry.example.org/team/metasgd-python:0123456789ab"


@pytest.mark.parametrize(
    "command",
    [
        ["sweep", f"EXPERIMENT={SINE}", "OVER=algorithms.maml.start=[0.1,0.1],[0.2,0.2] train.rate=0.1"],
        ["tune", f"EXPERIMENTS={SINE}", "RATES=0.1 0.2"],
    ],
)
def test_with_a_host_it_goes_to_kubeflow(host: str, answers: Answers, command: list[str]) -> None:
    """One run with a training per point; `make tune` is the sweep over MAML's start."""
    arguments = ["make", "-s", "--no-print-directory", *command, f"KFP_HOST={host}", f"IMAGE={IMAGE}"]
    arguments += ["SET=kubeflow.mlflow= kubeflow.states=", "SEEDS=3"]
    environment = {**os.environ, "KFP_TOKEN": TOKEN}
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Submitted: {host}/#/runs/details/{RUN_ID}" in done.stdout
    (body,) = answers.bodies("/runs")
    assert body["display_name"].startswith(f"metasgd sweep {SINE} maml over algorithms.maml.start")
    tasks = body["pipeline_spec"]["pipeline_spec"]["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    (loop,) = [task for name, task in tasks.items() if name.startswith("for-loop")]
    trainings = [json.loads(item) for item in json.loads(loop["parameterIterator"]["items"]["raw"])]
    assert [one["learner"]["start"] for one in trainings] == [[0.1, 0.1], [0.2, 0.2]]
    assert {(one["algorithm"], one["seed"]) for one in trainings} == {("maml", 3)}
