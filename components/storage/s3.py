"""S3 servers: places in them, a client from the ordinary environment, and errors in one line.

Credentials and addresses come from where boto3 looks for them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
AWS_ENDPOINT_URL for a server that is not AWS's, AWS_PROFILE, a pod's role. Messages hold none of the keys.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from boto3.exceptions import Boto3Error, RetriesExceededError, S3UploadFailedError
from boto3.session import Session
from botocore import exceptions as botocore
from botocore.config import Config
from botocore.parsers import ResponseParserError

from components.console.messages import in_one_line, without_credentials
from metasgd.errors import InputError

S3Client = Any  # boto3 makes its classes at run time
ADDRESS = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,254})(?:/(.*?))?/*")
REGION = "us-east-1"  # for servers that know none, where none is set


def _config(connect: float, read: float, attempts: int) -> Config:
    """connect, read: seconds. attempts: per request, further and further apart, by botocore."""
    return Config(
        connect_timeout=connect,
        read_timeout=read,
        retries={"mode": "standard", "total_max_attempts": attempts},
        # Not every server has the checksums that AWS added in 2024; contents are compared by their md5.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


PATIENT = _config(connect=5, read=30, attempts=3)
# Of states, which are written again and again: a pod that is told to end has 30 seconds for all it does.
HASTY = _config(connect=3, read=8, attempts=1)

RAISED = (
    botocore.ClientError,
    botocore.BotoCoreError,
    Boto3Error,
    ResponseParserError,
    RecursionError,  # by botocore, where a server redirects everything, as to a login page
)
NO_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
    botocore.LoginError,
)
BROKEN_OFF = (
    RetriesExceededError,
    botocore.IncompleteReadError,
    botocore.ResponseStreamingError,
    botocore.ChecksumError,
    botocore.FlexibleChecksumError,
)
REFUSED = ("AccessDenied", "ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidAccessKeyId")


class S3Error(InputError):
    """Something about an S3 server that a user can mend; the classes below say what."""


class S3UnreachableError(S3Error):
    """No server answers."""


class S3CredentialsError(S3Error):
    """The environment has no credentials."""


class S3RefusedError(S3Error):
    """The server refuses the credentials, or what they ask for."""


class S3MissingError(S3Error):
    """The bucket has no such object."""


class S3TransferError(S3Error):
    """An object broke off on its way, or arrived damaged: worth another try."""


@dataclass(frozen=True)
class Place:
    """A bucket, or what lies in it under a key. key: without slashes at its ends; "" for the whole bucket."""

    bucket: str
    key: str = ""

    def __truediv__(self, name: str) -> "Place":
        return Place(self.bucket, f"{self.key}/{name}".lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")


def parse(url: str, where: str) -> Place:
    """The place behind s3://bucket/prefix. where: what holds the address, for the message.

    Raises:
        InputError: no such address, or a prefix with empty parts, "." or "..".
    """
    found = ADDRESS.fullmatch(url)
    bucket, key = (found[1], found[2] or "") if found else ("", "")
    if not found or (key and not {"", ".", ".."}.isdisjoint(key.split("/"))):
        # Not shown as it stands: an address may carry credentials.
        raise InputError(f"{where}: is no address of S3; expected s3://bucket/prefix")
    return Place(bucket, key)


def client(endpoint: str | None = None, config: Config = PATIENT) -> S3Client:
    """A client of the server at `endpoint`, by default the environment's; close it after use.

    boto3 asks a server with an address of its own in path style: http://host/bucket/key.

    Raises:
        InputError: settings that boto3 cannot use. Whether the server answers shows in the first request.
    """
    try:
        session = Session()
        region = session.region_name or REGION
        return session.client("s3", region_name=region, endpoint_url=endpoint, config=config)
    except botocore.BotoCoreError as error:
        raise InputError(f"S3: {in_one_line(error)}; expected settings that boto3 can use") from None
    except ValueError:
        raise InputError(
            "S3: the server's address is no URL; expected http://host:port or https://host "
            "(AWS_ENDPOINT_URL, or `endpointurl` of the DVC remote)"
        ) from None


@contextmanager
def s3_errors(client: S3Client, place: Place) -> Iterator[None]:
    """Turns what boto3 raises about a place into an S3Error. Without its words: they may quote a request.

    Raises:
        S3Error: see its classes.
    """
    try:
        yield
    except RAISED as error:
        reason = error.__context__ if isinstance(error, S3UploadFailedError) else error
        answered = isinstance(reason, botocore.ClientError)
        raise (_answer if answered else _failure)(reason, client, place) from None


def has_object(client: S3Client, place: Place) -> bool:
    """Whether the bucket holds an object at that place.

    Raises:
        S3Error: no bucket, or no answer.
    """
    try:
        with s3_errors(client, place):
            answer = client.head_object(Bucket=place.bucket, Key=place.key)
    except S3MissingError:
        return False
    if "ETag" not in answer:  # a login page says yes to everything
        raise S3Error(f"{place}: {_server(client)} answers without an ETag; expected an S3 server")
    return True


def _answer(error: Any, client: S3Client, place: Place) -> S3Error:
    """What an answer other than success means."""
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    server = _server(client)
    if code in REFUSED or status in (401, 403):
        return S3RefusedError(
            f"{place}: {server} refuses the credentials ({code}); expected an access key with rights there"
        )
    if code == "NoSuchBucket" or (status == 404 and not _has_bucket(client, place)):
        return S3Error(f"{place}: {server} has no bucket {place.bucket!r}; expected one that exists")
    if status == 404:
        return S3MissingError(f"{place}: no such object at {server}; expected one")
    return S3Error(f"{place}: {server} answers {code} (status {status}); expected an S3 server")


def _has_bucket(client: S3Client, place: Place) -> bool:
    """An answer to HEAD has no text that says which of the two is missing."""
    try:
        client.head_bucket(Bucket=place.bucket)
    except botocore.ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] != 404)
    except botocore.BotoCoreError:
        pass
    return True


def _failure(error: BaseException | None, client: S3Client, place: Place) -> S3Error:
    """What it means that there is no answer, or half of one."""
    server, kind = _server(client), type(error).__name__
    if isinstance(error, NO_CREDENTIALS):
        return S3CredentialsError(
            f"{place}: no credentials ({kind}); expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, BROKEN_OFF):
        return S3TransferError(f"{place}: breaks off on its way from {server} ({kind}); expected all of it")
    if type(error) is botocore.HTTPClientError:  # a header that HTTP forbids: a secret with a line break
        return S3Error(
            f"{place}: {server} cannot be asked; expected credentials without spaces and line breaks"
        )
    if isinstance(error, (botocore.ConnectionError, botocore.HTTPClientError)):
        return S3UnreachableError(f"{place}: {server} is not reachable ({kind}); expected an S3 server")
    return S3Error(f"{place}: {server} cannot be asked ({kind}); expected an S3 server")


def _server(client: S3Client) -> str:
    return without_credentials(str(client.meta.endpoint_url))
