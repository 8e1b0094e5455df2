"""A real browser, for what only one can tell: layout, print, dark pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own, headless. Skips where there is none, but for CI, which installs one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        assert "CI" not in os.environ, "no chromium, which .ci/run installs"
        pytest.skip("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        # As root, as in containers of CI, Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=found, chromium_sandbox=os.getuid() != 0)
        yield browser
        browser.close()
