"""An experiment of params.yaml as tests ask for it: loaded, or refused in one line."""

from pathlib import Path

import pytest

from components.config.code import ROOT
from components.kinds.experiment import Experiment, load_experiment
from metasgd.errors import InputError

PARAMS = ROOT / "params.yaml"
SINE = "sinusoid-5shot"


def load(*overrides: str, name: str = SINE) -> Experiment:
    return load_experiment(name, overrides, PARAMS)


def refused(*overrides: str, name: str = SINE, params: Path = PARAMS) -> str:
    """The one line with which the parameters are refused."""
    with pytest.raises(InputError) as caught:
        load_experiment(name, overrides, params)
    assert "\n" not in str(caught.value)
    return str(caught.value)
