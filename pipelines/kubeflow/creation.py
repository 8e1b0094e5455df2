"""Making something on a server whose answer may be lost after it did what it was asked for."""

from collections.abc import Callable
from uuid import uuid4

from tenacity import RetryError, Retrying, retry_if_result, stop_after_attempt, wait_fixed

from metasgd.errors import InputError
from pipelines.kubeflow.endpoint import Endpoint, UnavailableError, one_line

LOOKS, PAUSE = 4, 3.0  # how often, and seconds apart, it is looked for
Ask = Callable[[], str | None]


def submission_tag() -> str:
    """What tells this submission from all others, at the beginning of its description."""
    return f"submission {uuid4().hex[:12]}"


def create(endpoint: Endpoint, what: str, tag: str, make: Ask, look: Ask) -> str:
    """The id of what `make` makes.

    After a 5xx or a time-out it may exist all the same, and be at work: then `look` looks for its tag.
    Raises InputError for what the server refuses, and where it is not found.
    """
    try:
        with one_line(endpoint):
            return require_id(endpoint, make(), what)
    except UnavailableError as error:
        if found := _find(endpoint, look):
            return found
        raise InputError(f"{error}; a {what} may exist all the same: look for {tag!r} there") from None


def require_id(endpoint: Endpoint, found: str | None, what: str) -> str:
    """The id that an answer holds. Raises InputError where it holds none."""
    if not found:
        raise InputError(f"KFP_HOST {endpoint.host}: answers without the id of a {what}; expected one")
    return found


def _find(endpoint: Endpoint, look: Ask) -> str | None:
    def once() -> str | None:
        try:
            with one_line(endpoint):
                return look()
        except InputError:
            return None

    patiently = Retrying(
        retry=retry_if_result(lambda found: found is None),
        wait=wait_fixed(PAUSE),
        stop=stop_after_attempt(LOOKS),
    )
    try:
        return patiently(once)
    except RetryError:
        return None
