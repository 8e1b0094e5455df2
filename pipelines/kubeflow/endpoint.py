"""A Kubeflow Pipelines API: its address, the token, and what its refusals mean in one line.

The generated client follows redirects with the token, has no time-outs, and takes a login page for an
answer; `api_client` and `one_line` see to that.
"""

import json
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from kfp_server_api import ApiClient, Configuration
from kfp_server_api.exceptions import ApiException

from components.console.messages import without_credentials
from metasgd.errors import InputError

NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)  # as Kubernetes has it
TIMEOUT = (10, 30)  # seconds to connect, and to answer
GIVEN_IN = "in KFP_TOKEN or in the file of KFP_TOKEN_FILE"
ADVICE = {
    401: f"refuses the token; expected a valid one {GIVEN_IN}",
    403: "forbids this to the token; expected one that may run pipelines in KFP_NAMESPACE",
    404: "has no Kubeflow Pipelines API at this path; expected one, as in https://host/pipeline",
}
NOT_FOUND = 404
PART = 150  # characters of a long message that are shown, of either end
WITHOUT_TOKEN = {
    401: f"asks for a token, and none was given; expected one {GIVEN_IN}",
    403: f"forbids this to requests without a token; expected one {GIVEN_IN}",
}


@dataclass(frozen=True)
class Endpoint:
    """host: the API's address without a slash at its end. token: None where none was given."""

    host: str
    namespace: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def warning(self) -> str | None:
        """What is risky about it, but allowed."""
        parts = urlsplit(self.host)
        if self.token and parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            return f"KFP_HOST {self.host}: the token goes there unencrypted; expected https://"
        return None


def endpoint(host: str, namespace: str | None, environment: Mapping[str, str]) -> Endpoint:
    """The API at `host`, with the environment's token. Raises InputError for an address that is none."""
    parts = urlsplit(host)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            f"KFP_HOST is {without_credentials(host)!r}; expected an address as https://host/pipeline"
        )
    if parts.username or parts.password:
        raise InputError("KFP_HOST holds credentials; expected them in KFP_TOKEN or KFP_TOKEN_FILE")
    if namespace and not NAMESPACE.fullmatch(namespace):
        raise InputError(
            f"KFP_NAMESPACE is {namespace!r}; expected up to 63 lower-case letters, digits and hyphens"
        )
    return Endpoint(host.rstrip("/"), namespace or None, _token(environment))


def _token(environment: Mapping[str, str]) -> str | None:
    token, file = environment.get("KFP_TOKEN"), environment.get("KFP_TOKEN_FILE")
    if token and file:
        raise InputError("KFP_TOKEN and KFP_TOKEN_FILE are both set; expected one of them")
    if file:
        try:
            token = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise InputError(f"KFP_TOKEN_FILE {file}: {reason}; expected a file with the token") from None
        if not token:
            raise InputError(f"KFP_TOKEN_FILE {file}: is empty; expected the token")
    if token and not token.isprintable():
        raise InputError("KFP_TOKEN holds a line break; expected the token alone")
    return token or None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def api_client(endpoint: Endpoint) -> ApiClient:
    """A client that follows no redirect, so that the token goes nowhere else."""
    settings = Configuration(host=endpoint.host)
    if endpoint.token:
        settings.api_key = {"authorization": endpoint.token}
        settings.api_key_prefix = {"authorization": "Bearer"}
    settings.retries = urllib3.Retry(0, redirect=0, raise_on_redirect=False)
    settings.ssl_ca_cert = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    return ApiClient(settings)


class UnavailableError(InputError):
    """No answer, or that something is wrong at the server: another try may help."""


@contextmanager
def one_line(endpoint: Endpoint) -> Iterator[None]:
    """Turns what the client raises into an InputError. Raises UnavailableError where it may pass."""
    try:
        yield
    except ApiException as error:
        raise _refusal(endpoint, error) from None
    except (urllib3.exceptions.HTTPError, OSError, UnicodeDecodeError) as error:
        raise UnavailableError(
            f"KFP_HOST {endpoint.host}: does not answer ({_cause(error)}); expected a Kubeflow Pipelines API"
        ) from None


def _cause(error: BaseException) -> str:
    """The innermost error, without the names of urllib3's classes around it."""
    inner = getattr(error, "reason", None)
    if not isinstance(inner, BaseException):
        inner = next((part for part in reversed(error.args) if isinstance(part, BaseException)), None)
    if isinstance(error, ssl.SSLError):
        words = getattr(error, "verify_message", "") or (error.reason or "TLS").lower().replace("_", " ")
        return f"TLS: {words}"
    if inner is not None:
        return _cause(inner)
    return " ".join(re.sub(r"^\w+\(.*?\): ", "", str(error)).split()) or type(error).__name__


def _refusal(endpoint: Endpoint, error: ApiException) -> InputError:
    status, host = error.status, f"KFP_HOST {endpoint.host}"
    if 300 <= status < 400:
        target = without_credentials((error.headers or {}).get("Location", "elsewhere"))
        return InputError(f"{host}: sends to {target}, as a login does; expected an API that takes the token")
    said = _message(error.body)
    advice = ADVICE if endpoint.token else {**ADVICE, **WITHOUT_TOKEN}
    if status in advice and not (status == NOT_FOUND and said):
        return InputError(f"{host}: {advice[status]}")
    if status >= 500:
        return UnavailableError(f"{host}: answers {status}{said}; expected a working API")
    return InputError(f"{host}: refuses this with {status}{said}")


def _message(body: object) -> str:
    """The server's own words, where it has some."""
    try:
        document = json.loads(body if isinstance(body, (str, bytes)) else "")
        words = document.get("error") or document.get("message") or document.get("error_message")
    except (ValueError, AttributeError):
        return ""
    line = " ".join(str(words or "").split())
    # What it is about stands at the beginning, and the reason at the end.
    shown = line if len(line) <= 2 * PART else f"{line[:PART]} ... {line[-PART:]}"
    return f" ({shown})" if shown else ""
