"""A schedule is checked before anything is uploaded for it."""

import pytest

from metasgd.errors import InputError
from pipelines.kubeflow.cron import require_cron


@pytest.mark.parametrize(
    "text",
    [
        "0 0 3 * * *",
        "0 */15 * * * *",
        "0 0 3,15 1-5 jan-MAR ?",
        "59 59 23 31 12 SAT",
        "0 0 0/4 * * Mon-Fri",
        "0  0 3 * * 0",
        "@daily",
    ],
)
def test_schedules(text: str) -> None:
    require_cron(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "every day",
        "0 3 * * *",
        "0 0 3 * * * *",
        "60 0 3 * * *",
        "0 0 24 * * *",
        "0 0 3 0 * *",
        "0 0 3 * 13 *",
        "0 0 3 * * 7",
        "0 0 3 * mon *",
        "0 0 5-3 * * *",
        "0 */0 * * * *",
        "0 0 3, * * *",
        "0 0 -3 * * *",
        "0 0 \N{FULLWIDTH DIGIT THREE} * * *",
        "@reboot",
        "@every 1h; rm",
        "0 0 3 * * *\n* * * * * *",
    ],
)
def test_what_is_no_schedule_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(
        InputError, match=r"^CRON is .*; expected six fields from seconds on, as in"
    ) as refused:
        require_cron(text)
    assert "\n" not in str(refused.value)
