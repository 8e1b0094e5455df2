"""What a person sees of a run on Kubeflow, from the answers of a real one (answers/README.md)."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from components.console.command import StepFailedError
from components.kinds.experiment import load_experiment
from metasgd.errors import InputError
from pipelines.dag import Lane
from pipelines.kubeflow import follow as module
from pipelines.kubeflow.cluster import load_cluster
from pipelines.kubeflow.follow import failures, follow, progress
from pipelines.kubeflow.server import Kubeflow
from pipelines.kubeflow.submission import Submission
from pipelines.kubeflow.workflow import Workflow, fnv1a
from pipelines.sweeps.space import parse_space
from pipelines.sweeps.submission import SweepSubmission
from pipelines.sweeps.sweep import resolve_sweep
from tests.pipelines.kubeflow.kfp_server import RUN_ID, Answers
from tests.pipelines.kubeflow.recorded import NEVER, Timeline, details, parsed, recorded

ONE_LANE = [
    Lane(
        "sinusoid-5shot",
        {step: step for step in ("preprocess", "train", "evaluate", "promote", "report")},
        [f"meta-sgd seed {seed}" for seed in range(1, 9)],
    )
]


def screen(kubeflow: Kubeflow, lanes: list[Lane]) -> list[str]:
    lines: list[str] = []
    follow(kubeflow, RUN_ID, lanes, lines.append, interval=0.001)
    return lines


def two_lanes(folder: Path) -> tuple[Submission, Path]:
    """Two lanes with eight trainings each, compiled for a cluster."""
    experiments = [load_experiment(name) for name in ("sinusoid-5shot", "navigation-short")]
    submission = Submission(
        experiments, (1, 2, 3, 4), load_cluster(), "registry.example.org/metasgd-python:1"
    )
    submission.compile(folder / "pipeline.yaml")
    return submission, folder / "pipeline.yaml"


def test_the_timeline_has_the_shape_of_the_real_answers(tmp_path: Path) -> None:
    """Of the same pipeline, it has the names and the ids that the real server gave its nodes."""
    experiment = load_experiment("sinusoid-5shot", ["compare=[meta-sgd]"])
    submission = Submission(
        [experiment], range(1, 9), load_cluster(), "registry.example.org/metasgd-python:1"
    )
    submission.compile(tmp_path / "pipeline.yaml")
    real = recorded("eight-trainings-while-finishing")["run_details"]["task_details"]
    timeline = Timeline(
        tmp_path / "pipeline.yaml", workflow=Workflow(details("eight-trainings-while-finishing")).name
    )
    ours = timeline.at(timeline.end)["run_details"]["task_details"]

    def names(tasks: list[dict[str, str]]) -> Counter[str]:
        return Counter(task["display_name"] for task in tasks if task.get("display_name"))

    def ids(tasks: list[dict[str, list[dict[str, str]]]]) -> set[str]:
        return {child["pod_name"] for task in tasks for child in task.get("child_tasks", [])}

    # There, preprocess came from the cache, which leaves out the pod below it.
    assert names(ours) - names(real) == Counter({"executor(0)": 1})
    assert names(real) - names(ours) == Counter()
    assert len(ids(ours) - ids(real)) == 1
    assert ids(real) - ids(ours) == set()


def test_a_cached_run_says_so_and_nothing_of_the_plumbing(kubeflow: Kubeflow, answers: Answers) -> None:
    """63 nodes, six lines; a pod that was lost and started again is said."""
    answers.runs = [recorded("succeeded-after-a-retried-pod")]
    one = [Lane("sinusoid-5shot", ONE_LANE[0].tasks, ["meta-sgd seed 1"])]
    assert screen(kubeflow, one) == [
        "sinusoid-5shot: preprocess from the cache",
        "sinusoid-5shot: train 1 of 1 done, 1 tried again",
        "sinusoid-5shot: evaluate done",
        "sinusoid-5shot: promote done",
        "sinusoid-5shot: report done",
        "finish done",
    ]


def test_two_lanes_are_told_apart_and_nodes_without_names_passed_over() -> None:
    experiments = [load_experiment(name) for name in ("navigation-short", "sinusoid-5shot")]
    submission = Submission(experiments, (1,), load_cluster(), "image")
    found = dict(progress(details("two-lanes-running"), submission.lanes))
    assert found["navigation-short: rollout"] == "done"
    assert found["sinusoid-5shot: evaluate"] == "done"
    assert found["sinusoid-5shot: train"] == "1 of 2 done"
    assert "finish" not in found


def test_trainings_are_counted(kubeflow: Kubeflow, answers: Answers, tmp_path: Path) -> None:
    """Two lanes with eight trainings each: the whole screen, from the first question to the end."""
    submission, package = two_lanes(tmp_path)
    answers.runs = list(Timeline(package).answers())
    lines = screen(kubeflow, submission.lanes)
    assert lines[:4] == [
        "sinusoid-5shot: preprocess running",
        "sinusoid-5shot: preprocess done",
        "navigation-short: preprocess running",
        "navigation-short: preprocess done",
    ]
    assert [line for line in lines if line.startswith("sinusoid-5shot: train")] == [
        "sinusoid-5shot: train 0 of 8 done, 8 running",
        *(f"sinusoid-5shot: train {done} of 8 done, {8 - done} running" for done in range(1, 8)),
        "sinusoid-5shot: train 8 of 8 done",
    ]
    assert lines[-2:] == ["finish running", "finish done"]
    assert len(lines) == 2 * (9 + 2 * 4) + 2


def test_a_failure_names_the_step_the_training_and_its_log(
    kubeflow: Kubeflow, answers: Answers, tmp_path: Path
) -> None:
    """The sixth training of the second lane, and the last lines of its log, where the API gives them."""
    submission, package = two_lanes(tmp_path)
    answers.runs = list(Timeline(package, failing=("train-2", 5)).answers())
    answers.log = "\n".join(f"line {number}" for number in range(30))
    lines: list[str] = []
    with pytest.raises(StepFailedError) as failed:
        follow(kubeflow, RUN_ID, submission.lanes, lines.append, interval=0.001)
    what = "navigation-short: train of maml seed 2"
    assert str(failed.value) == f"the run failed: {what} ({kubeflow.address(RUN_ID)})"
    loop = "metasgd-abcde(0).root(0).exit-handler-1(0).for-loop-5(0).iteration-iterations(5:5)(0)"
    number = fnv1a(f"{loop}.iteration-item(0).train-2(0).executor(0)")
    pod = f"metasgd-abcde-metadata-0-2-retry-system-container-impl-{number}"
    assert answers.asked_logs == [pod]
    assert lines[-11:] == [
        f"{what} failed, its log: {kubeflow.endpoint.host}/k8s/pod/logs?podname={pod}&runid={RUN_ID}",
        *(f"  | line {number}" for number in range(20, 30)),
    ]
    assert "navigation-short: train 7 of 8 done, 1 failed" in lines


def test_a_sweep_is_followed_point_by_point(kubeflow: Kubeflow, answers: Answers, tmp_path: Path) -> None:
    """Its steps move as those of any lane, and a training that fails is named by its point."""
    sweep = resolve_sweep(parse_space("sinusoid-5shot", ["train.rate=0.1,0.2"], []), None, [7])
    image = "registry.example.org/metasgd-python:1"
    submission = SweepSubmission([sweep.experiment], [7], load_cluster(), image, sweep=sweep)
    submission.compile(tmp_path / "pipeline.yaml")
    whole, failing = (Timeline(tmp_path / "pipeline.yaml", failing=one) for one in (None, ("train", 1)))
    answers.runs = [whole.at(whole.end)]
    lines = [f"sinusoid-5shot: {told}" for told in ("preprocess done", "train 2 of 2 done", "choose done")]
    assert screen(kubeflow, submission.lanes) == [*lines, "finish done"]
    answers.runs = [failing.at(failing.end)]
    with pytest.raises(StepFailedError, match=r"sinusoid-5shot: train of seed 7 train\.rate=0\.2 \("):
        screen(kubeflow, submission.lanes)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("failed-after-retries", ["sinusoid-5shot: train of meta-sgd seed 1"]),
        ("failed-driver", ["sinusoid-5shot: train of meta-sgd seed 1, in its driver"]),
        ("failed-step-and-finish", ["sinusoid-5shot: train of meta-sgd seed 1", "finish"]),
    ],
)
def test_the_first_cause_comes_first(name: str, words: list[str]) -> None:
    """What follows from it is not taken for it: not the steps behind it, not `finish`."""
    found = failures(details(name), ONE_LANE)
    assert [failure.what for failure in found] == words
    assert all(failure.pod for failure in found)


def test_without_a_log_its_address_is_said(kubeflow: Kubeflow, answers: Answers) -> None:
    answers.runs = [recorded("failed-after-retries")]
    lines: list[str] = []
    with pytest.raises(
        StepFailedError, match=r"the run failed: sinusoid-5shot: train of meta-sgd seed 1 \(http"
    ):
        follow(kubeflow, RUN_ID, ONE_LANE, lines.append, interval=0.001)
    pod = "metasgd-tmzx7-metadata-0-2-retry-system-container-impl-2779133998"
    page = f"{kubeflow.endpoint.host}/k8s/pod/logs?podname={pod}&runid={RUN_ID}"
    assert lines[-1] == f"sinusoid-5shot: train of meta-sgd seed 1 failed, its log: {page}"


def test_a_failed_driver_is_a_failed_training(kubeflow: Kubeflow, answers: Answers) -> None:
    """Its step never runs, and has a node without a state."""
    answers.runs = [recorded("failed-driver")]
    lines: list[str] = []
    with pytest.raises(StepFailedError, match="train of meta-sgd seed 1, in its driver"):
        follow(kubeflow, RUN_ID, [replace(ONE_LANE[0], trainings=["meta-sgd seed 1"])], lines.append, 0.001)
    assert "sinusoid-5shot: train 0 of 1 done, 1 failed" in lines


def test_a_run_terminated_from_outside_was_canceled(kubeflow: Kubeflow, answers: Answers) -> None:
    """Kubeflow's own last word is FAILED; the pod that was stopped is not the cause."""
    answers.runs = [recorded("cancelled")]
    with pytest.raises(StepFailedError, match=rf"^the run was CANCELED \({kubeflow.address(RUN_ID)}\)$"):
        screen(kubeflow, ONE_LANE)


def test_a_step_that_was_tried_again_is_where_its_last_attempt_is() -> None:
    """Argo can try again what stands above a step, which then has two nodes."""
    document = recorded("failed-after-retries")
    tasks = document["run_details"]["task_details"]
    (failed,) = [task for task in tasks if task.get("display_name") == "train"]
    tasks.insert(0, {**failed, "state": "RUNNING", "start_time": "2026-11-25T16:00:00Z", "end_time": NEVER})
    lane = replace(ONE_LANE[0], trainings=["meta-sgd seed 1"])
    found = dict(progress(parsed(document).run_details.task_details, [lane]))
    assert found["sinusoid-5shot: train"] == "0 of 1 done, 1 running, 1 tried again"


def test_trainings_that_have_no_attempt_yet_are_counted_too() -> None:
    """Their nodes have no children, by which they could be told apart."""
    document = recorded("eight-trainings-while-finishing")
    for task in document["run_details"]["task_details"]:
        if task.get("display_name") == "train":
            task["state"] = "PENDING"
            del task["child_tasks"]
    found = dict(progress(parsed(document).run_details.task_details, ONE_LANE))
    assert found["sinusoid-5shot: train"] == "0 of 8 done, 8 waiting"


def test_several_failures_are_one_line_and_every_one_is_shown(kubeflow: Kubeflow, answers: Answers) -> None:
    """Even where the server leaves out when one of them ended."""
    document = recorded("failed-step-and-finish")
    for task in document["run_details"]["task_details"]:
        if task.get("display_name") == "finish":
            del task["end_time"]
    answers.runs = [document]
    lines: list[str] = []
    with pytest.raises(
        StepFailedError, match=r"failed: sinusoid-5shot: train of meta-sgd seed 1 and 1 more \("
    ):
        follow(kubeflow, RUN_ID, ONE_LANE, lines.append, 0.001)
    first, second = [line for line in lines if " failed, its log: " in line]
    assert first.startswith("sinusoid-5shot: train of meta-sgd seed 1 failed")
    assert second.startswith("finish failed")


def test_an_api_that_is_away_for_a_while_is_waited_for(kubeflow: Kubeflow, answers: Answers) -> None:
    """Said once."""
    answers.runs = [503, 503, recorded("succeeded-after-a-retried-pod")]
    lines = screen(kubeflow, ONE_LANE)
    assert sum(line.startswith("warning: ") for line in lines) == 1
    assert lines[-1] == "finish done"


def test_an_api_that_stays_away_is_given_up(
    kubeflow: Kubeflow, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    answers.runs = [503]
    with pytest.raises(InputError, match="the run goes on"):
        screen(kubeflow, ONE_LANE)


def test_a_token_that_expires_while_following_ends_it(kubeflow: Kubeflow, answers: Answers) -> None:
    answers.token = "a new one"
    with pytest.raises(InputError, match=f"refuses the token.*the run goes on: .*{RUN_ID}"):
        screen(kubeflow, ONE_LANE)
