"""The names that users choose: one rule, because each becomes a folder, a run, a label and a model."""

import re

from metasgd.errors import InputError

# A label of Kubernetes has 63 characters; MLflow's filters and models bear neither quotes, / nor :.
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)


def require_name(name: str, where: str) -> None:
    """Raises InputError. where: what bears the name, as "params.yaml: experiment"."""
    if not NAME.fullmatch(name):
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        raise InputError(
            f"{where} {shown!r} cannot be a folder's and a model's name; expected up to 63 letters, digits, "
            ". _ and -, the first and the last a letter or digit"
        )
