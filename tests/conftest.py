"""What every test starts from: no tracking server of the developer's, and the CPU threads as they were."""

import os
from collections.abc import Iterator

import pytest

PREFIXES = ("MLFLOW_TRACKING", "MLFLOW_RUN_ID", "MLFLOW_REGISTRY", "METASGD_", "TORCHINDUCTOR_")


# Warnings are errors (pyproject.toml), but for one that MLflow raises about itself when it imports pyfunc.
MLFLOWS_OWN = "ignore:.*Any type hint is inferred as AnyType:UserWarning"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", MLFLOWS_OWN)


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """A test sees no MLflow server and no launcher in its environment, and leaves none behind."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(PREFIXES)]:
        del os.environ[name]
    os.environ["METASGD_PATIENCE"] = "0"  # but for the tests of stores that come back
    yield
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if name.startswith(PREFIXES)})
