"""OVER: what it means, what it refuses, and the points that are drawn of it."""

import pytest

from components.config.code import ROOT
from metasgd.errors import InputError
from pipelines.sweeps.draws import drawn
from pipelines.sweeps.space import Space, parse_space, require_size

SINE, GLYPHS = "sinusoid-5shot", "glyphs-5way-1shot"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where params.yaml is."""
    monkeypatch.chdir(ROOT)


def space(*over: str, experiment: str = SINE, settings: tuple[str, ...] = ()) -> Space:
    return parse_space(experiment, over, settings)


def test_the_grid_is_every_combination() -> None:
    """Numbers as YAML has them in params.yaml; a key of the experiment's own name is the same key."""
    found = space(f"{SINE}.train.rate=1e-4,3e-4", "train.schedule=constant,cosine")
    assert found.grid() == [
        ("train.rate=0.0001", 'train.schedule="constant"'),
        ("train.rate=0.0001", 'train.schedule="cosine"'),
        ("train.rate=0.0003", 'train.schedule="constant"'),
        ("train.rate=0.0003", 'train.schedule="cosine"'),
    ]
    assert found.size == 4


def test_lists_are_values() -> None:
    found = space("algorithms.maml.start=[0.01,0.01],[0.1,0.1]", "network.hidden=[40],[40,40]")
    assert found.grid() == [
        ("algorithms.maml.start=[0.01,0.01]", "network.hidden=[40]"),
        ("algorithms.maml.start=[0.01,0.01]", "network.hidden=[40,40]"),
        ("algorithms.maml.start=[0.1,0.1]", "network.hidden=[40]"),
        ("algorithms.maml.start=[0.1,0.1]", "network.hidden=[40,40]"),
    ]


def test_the_algorithm_is_the_one_whose_keys_are_varied() -> None:
    """Else the first that is compared, as SET may say."""
    assert space("algorithms.maml.start=[0.1,0.1]").algorithm == "maml"
    assert space("train.rate=0.1").algorithm == "meta-sgd"
    assert space("train.rate=0.1", settings=("compare=[scalar-rate,maml]",)).algorithm == "scalar-rate"


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ([], "OVER is missing; expected KEY=VALUE,VALUE"),
        (["train.rate"], "OVER 'train.rate': expected KEY=VALUE,VALUE"),
        (["=1,2"], "OVER '=1,2': expected KEY=VALUE,VALUE"),
        (["train.rate="], "OVER train.rate: has no values"),
        (["train.rate=1,,2"], "OVER: 'train.rate=[1,,2]': not readable as key=YAML"),
        (["train.rate=1e-3,0.001"], "OVER train.rate: 0.001 comes twice"),
        (["train.rate=1", "train.rate=2"], "OVER: train.rate comes twice"),
        (["train.rtae=1,2"], "OVER: 'train.rtae=1'.train: key 'rtae' is unknown; expected one of optimiser"),
        (["trian.rate=1"], "OVER trian.rate: cannot be varied; expected a key of network, train or algo"),
        (["tasks.distribution.shots=1,5"], "OVER tasks.distribution.shots: cannot be varied"),
        (["algorithms.maml=1"], "OVER algorithms.maml: cannot be varied"),
        (
            ["algorithms.mmal.start=[1,1]"],
            "OVER: algorithm 'mmal' is unknown; expected one of meta-sgd, maml",
        ),
        (["algorithms.maml.strat=[1,1]"], "OVER: 'algorithms.maml.strat=[1,1]'.algorithms.maml: key 'strat'"),
        (["algorithms.maml.start=[1,1]", "algorithms.meta-sgd.steps=1"], "the algorithms maml and meta-sgd"),
        (["train.rate=0.1..0.01"], "OVER train.rate: 0.1..0.01 is no range; expected the lower end first"),
        (["sinusoid-10shot-paper.train.rate=1"], "cannot be varied"),
    ],
)
def test_what_is_wrong_is_one_line(over: list[str], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        space(*over)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_experiment_is_needed_and_a_key_is_in_one_place() -> None:
    with pytest.raises(InputError, match="EXPERIMENT is missing"):
        space("train.rate=1", experiment="")
    with pytest.raises(InputError, match="experiment 'sinusoid-6shot' is unknown"):
        space("train.rate=1", experiment="sinusoid-6shot")
    with pytest.raises(InputError, match=r"SET: train\.rate is varied by OVER; expected it in one of them"):
        space("train.rate=1,2", settings=(f"{SINE}.train.rate=3",))


def test_the_number_of_trainings_is_bounded() -> None:
    """10 x 10 points with one seed are as many as there may be."""
    tens = [f"{key}={','.join(map(str, range(1, 11)))}" for key in ("train.meta_batch", "train.threads")]
    hundred, seven = space(*tens), space("train.threads=1,2,3,4,5,6,7")
    require_size(hundred, None)
    with pytest.raises(InputError, match="OVER gives 200 trainings; expected 100 at most"):
        require_size(hundred, None, seeds=2)
    require_size(hundred, trials=50, seeds=2)
    with pytest.raises(InputError, match="TRIALS is 7; expected 1 to 6, as OVER has 7 points"):
        require_size(seven, trials=7)
    with pytest.raises(InputError, match="TRIALS is 0; expected 1 to 6"):
        require_size(seven, trials=0)
    with pytest.raises(InputError, match="OVER has a range; expected TRIALS"):
        require_size(space("train.meta_batch=1..3"), None)
    with pytest.raises(InputError, match="TRIALS is 3; expected 1 to 2"):
        require_size(space("train.meta_batch=1..3"), trials=3)


def test_drawn_points_differ_lie_within_and_are_the_same_each_time() -> None:
    """More trials continue the ones before, so that their trainings are taken from the earlier sweep."""
    found = space("train.rate=1e-4..1e-1", "train.meta_batch=2..8", "train.schedule=constant,cosine")
    points = drawn(found, 12)
    assert len(set(points)) == 12
    assert drawn(found, 5) == points[:5]
    for rate, batch, schedule in points:
        assert 1e-4 <= float(rate.removeprefix("train.rate=")) <= 1e-1
        assert int(batch.removeprefix("train.meta_batch=")) in range(2, 9)
        assert schedule in ('train.schedule="constant"', 'train.schedule="cosine"')
    below = sum(float(rate.partition("=")[2]) < 10**-2.5 for rate, _, _ in points)
    assert 4 <= below <= 8, "half of them, on a logarithmic scale"


def test_all_but_one_point_of_a_grid_can_be_drawn() -> None:
    found = space("train.threads=1,2,3", "train.meta_batch=2,4")
    points = drawn(found, 5)
    assert set(points) < set(found.grid())
    assert len(set(points)) == 5


def test_a_range_that_is_too_narrow_for_its_trials_is_refused() -> None:
    """Drawn numbers have three digits."""
    with pytest.raises(InputError, match="TRIALS is 9; expected fewer"):
        drawn(space("train.rate=0.1..0.1001"), 9)
