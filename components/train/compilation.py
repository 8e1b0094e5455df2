"""Whether a training compiles, as one line for who watches, and where what it compiles is kept."""

import os

from components.config.environment import COMPILED, LOCAL
from components.config.settings import Training
from metasgd.configuration import TrpoSettings
from metasgd.engine import compiles, has_compiler


def keep_compiled() -> None:
    """Beside the states, for the next training; torch's own place is one in /tmp that others can foresee."""
    os.environ.setdefault(COMPILED, str(LOCAL.absolute() / "compiled"))


def say_strategy(training: Training, name: str) -> None:
    settings = training.train
    if isinstance(settings, TrpoSettings):
        return
    if compiles(settings):
        print(f"{name}: compiles the meta-gradient first: a minute or two, less the next time", flush=True)
    elif settings.iterations >= settings.compile_from and not has_compiler():
        print(f"{name}: no C++ compiler with Python's headers here, so it runs eagerly", flush=True)
