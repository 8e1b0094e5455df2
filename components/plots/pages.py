"""HTML pages from templates that lie beside the modules that fill them."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page_environment(module: str) -> Environment:
    """module: the `__file__` of the one that renders. Values are escaped, and a missing one is an error."""
    return Environment(
        loader=FileSystemLoader(Path(module).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
