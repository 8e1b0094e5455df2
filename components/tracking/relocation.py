"""The local store after its folder was moved or copied: MLflow keeps absolute addresses of artifacts.

Left alone, a moved project would lose its champions, and a copy would write into the original.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

# Where MLflow's tables hold addresses of artifacts; which of them there are depends on its version.
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
ARTIFACTS = "mlflow-artifacts"


def artifacts_folder(local: Path) -> Path:
    """Of the local store in that folder."""
    return local.resolve() / ARTIFACTS


def follow(local: Path) -> None:
    """Let the addresses in <local>/mlflow.db point to where the artifacts lie now; say where they did not."""
    database, here = local / "mlflow.db", _prefix(artifacts_folder(local))
    if not database.is_file():
        return
    with closing(sqlite3.connect(database, timeout=60)) as store, store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "experiments" not in tables:
            return
        known = store.execute("SELECT artifact_location FROM experiments").fetchall()
        places = {found for (place,) in known if (found := _local_prefix(place or "", local.name))}
        for old in sorted(places - {here}):
            for table, column in COLUMNS:
                if table in tables:
                    store.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608  # ours
                        f"WHERE substr({column}, 1, ?) = ?",
                        (here, len(old) + 1, len(old), old),
                    )
            print(f"MLflow: the store was moved from {old}; its artifacts are looked for here", flush=True)


def _local_prefix(place: str, local: str) -> str | None:
    """Of an address below a folder as this one, wherever that was."""
    before, found, _ = place.partition(f"/{local}/{ARTIFACTS}/")
    return f"{before}{found}" if found and before.startswith("file://") else None


def _prefix(folder: Path) -> str:
    return f"{folder.as_uri()}/"
