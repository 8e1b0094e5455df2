"""A tracking store that is away for a while: calls are repeated, and what stays wrong is one line."""

import os
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from components.config.environment import PATIENCE
from components.console.messages import in_one_line
from components.tracking.address import named
from metasgd.errors import InputError

T = TypeVar("T")
ERRORS = (InputError, MlflowException, requests.RequestException)  # of a call that fails in the end
SECONDS = 60.0  # unless the environment says otherwise
PAUSE = 5.0  # between two tries, at most
# A server that restarts may refuse good credentials for a moment.
PASSING = (requests.codes.unauthorized, requests.codes.request_timeout, requests.codes.too_many)
REFUSED = (requests.codes.unauthorized, requests.codes.forbidden)


class AwayError(InputError):
    """The store does not answer as it should: another try may help."""


def patience() -> float:
    """How long a store may be away, in seconds. Raises InputError for a setting that is no number."""
    text = os.environ.get(PATIENCE)
    if text is None:
        return SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise InputError(f"{PATIENCE} is {text!r}; expected seconds, as 60")
    return seconds


def may_pass(error: BaseException) -> bool:
    """Whether another try may help: nobody answers, something is wrong there, or it is starting."""
    if isinstance(error, AwayError):
        return True
    status = _status(error)
    return status is not None and (status >= requests.codes.server_error or status in PASSING)


def in_words(error: BaseException, uri: str) -> InputError:
    """What stays wrong, in one line without credentials."""
    if isinstance(error, InputError):
        return error
    reason = in_one_line(error)
    if not may_pass(error) or _status(error) in REFUSED:
        return InputError(f"{named(uri)}: refuses this ({reason})")
    return AwayError(f"{named(uri)}: does not answer ({reason}); expected a running MLflow server")


def patiently(call: Callable[[], T], uri: str, seconds: float | None = None) -> T:
    """What the call returns, at last. seconds: until when it is repeated; by default, `patience`.

    Raises AwayError where that was too short, InputError for what the store forbids, and MlflowException for
    all else.
    """
    limit = patience() if seconds is None else seconds
    try:
        return Retrying(
            retry=retry_if_exception(may_pass),
            stop=stop_after_delay(limit),
            wait=wait_exponential(0.25, PAUSE),
            before_sleep=partial(_say_once, uri, limit),
            reraise=True,
        )(call)
    except (MlflowException, requests.RequestException) as error:
        if may_pass(error) or _status(error) in REFUSED:
            raise in_words(error, uri) from None
        raise


def patient(client: MlflowClient, uri: str) -> MlflowClient:
    """The client, each of whose calls is made patiently."""
    return cast(MlflowClient, _PatientClient(client, uri))


def impatient(client: MlflowClient) -> MlflowClient:
    """The same client, each of whose calls is made once."""
    return client.client if isinstance(client, _PatientClient) else client


class _PatientClient:
    def __init__(self, client: MlflowClient, uri: str) -> None:
        self.client, self.uri = client, uri

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if not callable(found):
            return found

        @wraps(found)
        def call(*arguments: Any, **options: Any) -> Any:
            return patiently(lambda: found(*arguments, **options), self.uri)

        return call


def _status(error: BaseException) -> int | None:
    """Of HTTP; None for errors of another kind. No connection counts as a server's fault."""
    if isinstance(error, MlflowException):
        return int(error.get_http_status_code())  # type: ignore[no-untyped-call]
    if isinstance(error, requests.RequestException):
        return error.response.status_code if error.response is not None else requests.codes.unavailable
    return None


def _say_once(uri: str, seconds: float, state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None and (error := state.outcome.exception()):
        words = in_words(error, uri)
        print(f"MLflow: warning: {words}; trying again for {seconds:g} s", flush=True)
