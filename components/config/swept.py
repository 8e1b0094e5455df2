"""What a pipeline hands to the train step."""

from dataclasses import fields

from pydantic.dataclasses import dataclass

from components.config.parsing import STRICT
from components.config.settings import Training


@dataclass(frozen=True, config=STRICT)
class SweptTraining(Training):
    """A training as a pipeline hands it to its step. point: of a sweep, in words; "" outside of one.

    One string holds both, because kfp's local runner knows no other items of a loop.
    """

    point: str = ""

    @property
    def training(self) -> Training:
        """What decides the result."""
        return Training(**{field.name: getattr(self, field.name) for field in fields(Training)})
