"""params.yaml: every experiment resolves, every mistake is named in one line."""

import dataclasses
import inspect

import pytest

import metasgd.configuration
from components.config import settings, sources
from components.config.document import load_section, read
from components.config.parsing import from_json, to_json
from components.config.settings import Run, Training
from components.kinds import control, experiment, images, sinusoid
from components.kinds.experiment import Experiment, load_experiments
from components.kinds.table import TaggedTasks
from metasgd.errors import InputError
from tests.components.kinds.loading import PARAMS, SINE, load, refused

NAMES = read(PARAMS).experiments


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_resolves_and_round_trips(name: str) -> None:
    """Each experiment of params.yaml is complete, and comes back whole from the JSON that a step gets."""
    experiment = load(name=name)
    assert experiment.name == name
    assert experiment.tasks.kind == experiment.kind
    assert from_json(Experiment, to_json(experiment)) == experiment
    assert from_json(TaggedTasks, to_json(experiment.tasks)) == experiment.tasks
    for training in experiment.trainings([1, 2]):
        assert from_json(Training, to_json(training)) == training


def test_every_declared_algorithm_can_be_trained() -> None:
    """Not only the ones that are compared by default."""
    for name in NAMES:
        experiment = load(name=name)
        for algorithm in experiment.algorithms:
            assert experiment.training(algorithm, 1).learner == experiment.algorithms[algorithm]


def test_what_a_run_does_by_default_is_known() -> None:
    """The default experiments exist."""
    run = load_section(Run, "run", [], PARAMS)
    assert set(run.experiments) <= set(NAMES)
    assert run.seeds


def test_own_keys_win_over_the_kinds_defaults() -> None:
    """An experiment is its kind's defaults with its own keys merged over them, key by key."""
    small, long = load(), load(name="sinusoid-10shot-paper")
    assert (small.tasks.distribution.shots, long.tasks.distribution.shots) == (5, 10)
    assert small.tasks.stored.test_shots == [5, 10, 20]
    assert small.tasks.stored.gate == long.tasks.stored.gate


def test_the_papers_rates() -> None:
    """Section 5.1: alpha starts in [.005, .1] for Meta-SGD; MAML's rate is .01 and stays, but where tuned."""
    for shots, rate in ((5, 0.01), (10, 0.01), (20, 0.02)):
        experiment = load(name=f"sinusoid-{shots}shot-paper")
        meta_sgd, maml = experiment.algorithms["meta-sgd"], experiment.algorithms["maml"]
        assert (meta_sgd.alpha, meta_sgd.start) == ("per-parameter", (0.005, 0.1))
        assert (maml.alpha, maml.start) == ("fixed", (rate, rate))
        assert (experiment.train.iterations, experiment.train.meta_batch) == (60000, 4)


def test_overrides_for_all_and_for_one() -> None:
    """train.rate is for every experiment asked for; with an experiment's name in front, for that one."""
    assert load("train.rate=0.5").train.rate == 0.5
    assert load("train.rate=0.5", name="sinusoid-10shot-paper").train.rate == 0.5
    assert load("sinusoid-5shot.train.rate=0.5").train.rate == 0.5
    both = load_experiments([SINE, "sinusoid-10shot-paper"], ["sinusoid-5shot.train.rate=0.5"], PARAMS)
    assert [one.train.rate for one in both] == [0.5, load(name="sinusoid-10shot-paper").train.rate]


def test_overrides_reach_every_kind_of_value() -> None:
    """Lists, ranges, flags and single rates; a later override wins."""
    experiment = load(
        "compare=[maml, meta-sgd, from-scratch]",
        "algorithms.maml.start=[0.2, 0.3]",
        "promote.dry_run=true",
        "tasks.stored.test_shots=[1]",
        "network.hidden=[]",
        "algorithms.meta-sgd.layers={linear2: [0.01, 0.02]}",
        "train.rate=1",
        "train.rate=2",
    )
    assert experiment.compare == ["maml", "meta-sgd", "from-scratch"]
    assert experiment.algorithms["maml"].start == (0.2, 0.3)
    assert experiment.algorithms["maml"].alpha == "fixed"
    assert experiment.algorithms["meta-sgd"].layers == {"linear2": (0.01, 0.02)}
    assert experiment.promote.dry_run
    assert experiment.tasks.stored.test_shots == [1]
    assert experiment.network.hidden == ()  # type: ignore[union-attr]
    assert experiment.train.rate == 2.0


def test_an_algorithm_of_ones_own() -> None:
    """Only the algorithms may gain names; one that is given in full can be compared."""
    own = (
        "{kind: gradient, alpha: scalar, start: [1, 1], layers: {}, adapts: all, order: first, steps: 2, "
        "test_steps: 2, ways: 0, trained: true}"
    )
    experiment = load(f"algorithms.mine={own}", "compare=[mine]")
    assert [training.learner.order for training in experiment.trainings([1])] == ["first"]
    assert "algorithms.half.kind: Field required" in refused("algorithms.half.alpha=scalar")
    half = "algorithms.half={kind: gradient, alpha: scalar}"
    assert "algorithms.half.start: Field required" in refused(half)


def test_learners_that_cannot_take_the_tasks_or_the_network_are_refused() -> None:
    """Of curves, no pictures can be compared; and what a network cannot be for a learner."""
    mine = ("algorithms.mine={kind: prototypes, scale: 1.0, ways: 0}", "compare=[mine]")
    assert "algorithms.mine.kind is 'prototypes'; expected gradient for tasks of kind 'sinusoid'" in refused(
        *mine
    )
    glyphs = "glyphs-5way-1shot"
    words = "algorithms.boil: network.head is 'shared'; expected 'per-class'"
    assert words in refused("compare=[boil]", name=glyphs)
    assert load("compare=[boil]", "network.head=per-class", name=glyphs).compare == ["boil"]
    words = "algorithms.maml: ways is 7; expected 0, as only a shared head takes more classes"
    assert words in refused("algorithms.maml.ways=7", "network.head=per-class", name=glyphs)
    words = "algorithms.siamese: network.kind is 'mlp'; expected 'convnet'"
    assert words in refused("compare=[siamese]", "network={kind: mlp, hidden: [8]}", name=glyphs)


def test_trainings_are_ordered() -> None:
    """Algorithms outermost, in the order of `compare`; seeds as they are given."""
    trainings = load("compare=[meta-sgd, maml]").trainings([3, 1])
    found = [(training.algorithm, training.seed) for training in trainings]
    assert found == [("meta-sgd", 3), ("meta-sgd", 1), ("maml", 3), ("maml", 1)]


def test_unknown_names_list_the_known_ones() -> None:
    """Experiments, keys, sections and algorithms: the line says what there is."""
    message = refused(name="sinus")
    assert "'sinus'" in message
    assert all(name in message for name in NAMES)
    assert "'trian' is unknown; expected one of kind, tasks, network, train" in refused("trian.rate=1")
    message = refused("train.iteration=5")
    assert "SET 'train.iteration=5'" in message
    assert "'iteration' is unknown; expected one of optimiser, iterations, meta_batch, rate" in message
    assert "'nothing' is unknown; expected one of meta-sgd, maml" in refused("compare=[nothing]")


@pytest.mark.parametrize(
    ("override", "key", "value", "expectation"),
    [
        ("train.iterations=many", "train.iterations", "'many'", "integer"),
        ("train.iterations=2.5", "train.iterations", "2.5", "integer"),
        ("train.iterations=true", "train.iterations", "True", "integer"),
        ("train.iterations=0", "iterations", "0", "at least 1"),
        ("train.rate=-1", "rate", "-1", "above 0"),
        ("train.select=worst", "train.select", "'worst'", "'best' or 'last'"),
        ("promote.dry_run=1", "promote.dry_run", "1", "boolean"),
        ("algorithms.maml.start=0.1", "algorithms.maml.start", "0.1", "array"),
        ("algorithms.maml.start=[2, 1]", "start", "[2", "low <= high"),
        ("algorithms.maml.alpha=some", "algorithms.maml.alpha", "'some'", "'per-parameter', 'scalar'"),
        ("tasks.distribution.shots=0", "shots", "0", "at least 1"),
        ("tasks.stored.gate=1", "tasks.stored.gate", "1", "greater than or equal to 2"),
        ("tasks.seed=-1", "tasks.seed", "-1", "expected a seed from 0 to"),
        ("tasks.stored.test_shots=[]", "tasks.stored.test_shots", "[]", "at least 1 item"),
        ("train=5", "train", "5", "a section with the keys optimiser, iterations"),
    ],
)
def test_mistyped_values_name_key_value_and_expectation(
    override: str, key: str, value: str, expectation: str
) -> None:
    """A wrong value is refused, not converted, and the line says where, what, and what was expected."""
    message = refused(override)
    assert key in message
    assert value in message
    assert expectation in message


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "sinusoid-10shot-paper.train.rate=1",
            "sinusoid-10shot-paper is not run; expected a key of sinusoid-5shot",
        ),
        ("run.seeds=[7]", "run is not run; expected a key of sinusoid-5shot"),
        ("kubeflow.caching=false", "kubeflow is not run"),
        ("defaults.sinusoid.train.rate=1", "is for no experiment"),
        ("defaults.typo.x=1", "is for no experiment"),
    ],
)
def test_an_override_that_nothing_takes_is_refused(override: str, words: str) -> None:
    """For an experiment that is not run, for a section that has no part in it, or for the defaults."""
    message = refused(override)
    assert override in message
    assert words in message


@pytest.mark.parametrize("override", ["train.rate", "=3", ""])
def test_overrides_without_key_or_value(override: str) -> None:
    """The line shows how an override looks."""
    assert "expected key=value, as in train.iterations=2000" in refused(override)


@pytest.mark.parametrize(
    "override",
    [
        "sinusoid-5shot=5", "sinusoid-5shot=abc", "sinusoid-5shot=", "train.rate=[1,", "train.rate=${x",
        "train.rate=${x}", "[=1", "]=1", "train[=1", "train..rate=1", ".=1", "train.rate=\x00",
        "train.rate=!!binary aGk=", "train.rate=@", "train.rate={a: 1", "kubeflow=1", "tasks.seed=-1",
    ],
)  # fmt: skip
def test_overrides_that_are_no_yaml_or_no_section(override: str) -> None:
    """An experiment set to a value, a list that is not closed, and keys of strange signs: one line each."""
    assert override.split("=", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1] in refused(override)


def test_the_kind_is_that_of_the_tasks() -> None:
    """A sine experiment cannot be called one of images: kind says which scores are better."""
    assert "kind is 'images'; expected 'sinusoid', which sinusoid-5shot has" in refused("kind=images")
    assert "tasks.distribution: Field required" in refused("tasks.kind=images")


def test_a_network_of_another_kind_replaces_the_section() -> None:
    """A network of another kind brings all its keys; none of the former kind's are left."""
    assert "network.blocks" in refused("network={kind: convnet}")
    own = "{kind: convnet, blocks: 1, filters: 2, halving: strides, extra: 0, normalisation: joint, "
    own += "head: shared}"
    assert load(f"network={own}").network.kind == "convnet"


def test_an_algorithm_is_compared_once() -> None:
    """Twice the same name would train twice and leave one result."""
    assert "meta-sgd" in refused("compare=[meta-sgd, meta-sgd]")


def test_a_final_training_selects_no_checkpoint() -> None:
    """There are no validation classes to choose by: the last checkpoint is kept, or best is refused."""
    chosen = ("tasks.source.final=true", "train.select=best")
    name = "omniglot-5way-1shot"
    assert "train.select is 'best'; expected 'last'" in refused(*chosen, name=name)
    assert load("tasks.source.final=true", "train.select=last", name=name).train.select == "last"


def test_damaged_json_names_its_place() -> None:
    """What a step is handed is checked as well: the key that is missing, and where it was looked for."""
    with pytest.raises(InputError, match=r"^here: experiment: Field required"):
        from_json(Training, "{}", "here")


def test_no_defaults_live_in_code() -> None:
    """params.yaml is the only place with defaults: no settings class has any."""
    classes = [
        found
        for module in (metasgd.configuration, settings, sources, experiment, sinusoid, images, control)
        for _, found in inspect.getmembers(module, inspect.isclass)
        if dataclasses.is_dataclass(found) and found.__module__ == module.__name__
    ]
    assert len(classes) >= 14
    for found in classes:
        for field in dataclasses.fields(found):
            missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            assert missing, f"{found.__name__}.{field.name}"
