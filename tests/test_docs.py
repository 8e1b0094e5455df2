"""The documents say what results/ holds."""

import subprocess
import sys

from components.config.code import ROOT


def test_tables_are_those_of_the_results() -> None:
    """`make docs` would change nothing."""
    pages = ["README.md", *(str(page) for page in sorted((ROOT / "docs").glob("*.md")))]
    command = [sys.executable, "-m", "cogapp", "--check", "-P", *pages]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
