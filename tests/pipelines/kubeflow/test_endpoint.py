"""Reaching Kubeflow Pipelines: one line for everything that is no API that takes the token."""

import socket
import subprocess
from pathlib import Path

import pytest

from metasgd.errors import InputError
from pipelines.kubeflow import server as module
from pipelines.kubeflow.endpoint import Endpoint, endpoint
from pipelines.kubeflow.server import connect
from tests.pipelines.kubeflow.kfp_server import LOGIN, TOKEN, Answers, serve


@pytest.mark.parametrize(
    ("everything", "line"),
    [
        ((401, b"", {}), "refuses the token; expected a valid one in KFP_TOKEN or in the file of"),
        ((403, b"", {}), "forbids this to the token; expected one that may run pipelines in KFP_NAMESPACE"),
        ((404, b"", {}), "has no Kubeflow Pipelines API at this path; expected one, as in https://host/pip"),
        (
            (500, b'{"error": "database is gone"}', {}),
            r"answers 500 \(database is gone\); expected a working",
        ),
        ((502, b"<html>", {}), "answers 502; expected a working API"),
        (
            (200, LOGIN, {"Content-Type": "text/html; charset=utf-8"}),
            "answers with text/html, as a login page",
        ),
        ((200, b"{}", {}), "is another API; expected one of Kubeflow Pipelines"),
        ((200, b"[1]", {}), "is another API; expected one of Kubeflow Pipelines"),
    ],
)
def test_what_is_no_api_that_takes_the_token_is_one_line(
    host: str, answers: Answers, everything: tuple[int, bytes, dict[str, str]], line: str
) -> None:
    """Before anything is submitted, and without the token."""
    answers.everything = everything
    with pytest.raises(InputError, match=line) as refused:
        connect(Endpoint(host, None, TOKEN))
    assert str(refused.value).startswith(f"KFP_HOST {host}: ")
    assert "\n" not in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_the_token_follows_no_redirect(host: str, answers: Answers) -> None:
    """An authentication proxy's 302 is an error, and its target is never asked."""
    elsewhere = Answers()
    with serve(elsewhere) as login:
        answers.everything = (302, b"", {"Location": f"{login}/dex?state=secret"})
        with pytest.raises(InputError, match=f"sends to {login}/dex, as a login does"):
            connect(Endpoint(host, None, TOKEN))
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("token", "line"), [(None, "asks for a token, and none was given"), ("another", "refuses the token")]
)
def test_a_refused_token_is_found_before_submitting(
    host: str, answers: Answers, token: str | None, line: str
) -> None:
    """The health check needs no token, so one authorised question is asked, too."""
    with pytest.raises(InputError, match=line):
        connect(Endpoint(host, None, token))
    assert answers.bodies("/runs") == []


def test_many_users_need_a_namespace(host: str, answers: Answers) -> None:
    answers.health["multi_user"] = True
    with pytest.raises(InputError, match="has many users; expected KFP_NAMESPACE=…"):
        connect(Endpoint(host, None, TOKEN))
    assert connect(Endpoint(host, "team", TOKEN))


def test_nobody_there_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"does not answer .*refused.*; expected a Kubeflow Pipelines API"):
        connect(Endpoint(f"http://127.0.0.1:{port}", None, TOKEN))


def test_a_server_that_never_answers_is_given_up(
    host: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", (0.2, 0.2))
    answers.hang = True
    with pytest.raises(InputError, match=r"does not answer .*timed out"):
        connect(Endpoint(host, None, TOKEN))


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (401, "asks for a token, and none was given; expected one in KFP_TOKEN"),
        (403, "forbids this to requests without a token; expected one in KFP_TOKEN"),
    ],
)
def test_a_missing_token_is_not_called_refused(host: str, answers: Answers, status: int, line: str) -> None:
    answers.everything = (status, b"", {})
    with pytest.raises(InputError, match=line):
        connect(Endpoint(host, None, None))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one with its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    keys = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(file), "-out", str(file.with_suffix(".crt"))]
    subprocess.run(["openssl", "req", "-x509", *keys, *names], check=True, capture_output=True)
    with file.open("a") as both:
        both.write(file.with_suffix(".crt").read_text())
    return file


def test_a_certificate_that_is_not_trusted_is_said_plainly(certificate: Path) -> None:
    """Without the brackets and names of OpenSSL."""
    with serve(Answers(), certificate) as host, pytest.raises(InputError) as refused:
        connect(Endpoint(host, None, TOKEN))
    assert f"{host}: does not answer (TLS: self-signed certificate); expected" in str(refused.value)


def test_https_where_http_is_spoken_is_said_plainly(host: str) -> None:
    with pytest.raises(InputError, match=r"does not answer \(TLS: wrong version number\); expected"):
        connect(Endpoint(host.replace("http:", "https:"), None, TOKEN))


def test_a_certificate_that_is_trusted_is_fine(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.with_suffix(".crt")))
    with serve(Answers(), certificate) as host:
        assert connect(Endpoint(host, None, TOKEN))


def test_the_token_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """Never shown."""
    file = tmp_path / "token"
    file.write_text("from-a-file\n")
    host = "https://kubeflow.example.org/pipeline/"
    assert endpoint(host, None, {"KFP_TOKEN": "given"}).token == "given"
    found = endpoint(host, None, {"KFP_TOKEN_FILE": str(file)})
    assert found.token == "from-a-file"
    assert "from-a-file" not in repr(found)
    assert found.host == host.rstrip("/")


@pytest.mark.parametrize(
    ("host", "environment", "line"),
    [
        ("", {}, "KFP_HOST is ''; expected an address as https://"),
        ("kubeflow.example.org", {}, "expected an address as https://"),
        ("https://me:secret@kubeflow.example.org", {}, "holds credentials"),
        ("https://host", {"KFP_TOKEN": "a", "KFP_TOKEN_FILE": "b"}, "are both set"),
        ("https://host", {"KFP_TOKEN_FILE": "/nowhere/token"}, "No such file or directory"),
        ("https://host", {"KFP_TOKEN": "a\nb"}, "holds a line break"),
    ],
)
def test_an_address_or_token_that_is_none_is_one_line(
    host: str, environment: dict[str, str], line: str
) -> None:
    with pytest.raises(InputError, match=line) as refused:
        endpoint(host, None, environment)
    assert "secret" not in str(refused.value)


def test_a_token_in_the_clear_is_warned_of() -> None:
    assert "unencrypted" in str(Endpoint("http://kubeflow.example.org", None, TOKEN).warning)
    for safe in ("https://kubeflow.example.org", "http://127.0.0.1:8080", "http://localhost:8080"):
        assert Endpoint(safe, None, TOKEN).warning is None


@pytest.mark.parametrize("namespace", ["Team", "team a", "team/a", "-team", "team_a", "t" * 64, "team\n"])
def test_a_namespace_that_kubernetes_cannot_have_is_refused(namespace: str) -> None:
    """Before anybody is asked."""
    with pytest.raises(InputError, match=r"^KFP_NAMESPACE is '.*'; expected up to 63 lower-case letters"):
        endpoint("https://kubeflow.example.org", namespace, {})
    assert endpoint("https://kubeflow.example.org", "team-a", {}).namespace == "team-a"
