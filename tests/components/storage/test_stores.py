"""The places of states: folders and S3 servers, as the environment names them."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from botocore.config import Config

from components.storage.s3 import HASTY, Place, S3UnreachableError, client
from components.storage.stores import Bucket, Folder, default_stores
from metasgd.errors import InputError
from tests.components.storage.kept import FILES, adam, always, finish, interrupted, kept_in, newest, objects
from tests.s3_server import BUCKET, S3Server, s3_server


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def test_what_a_killed_process_left_behind_is_deleted_too(tmp_path: Path) -> None:
    """The temporary file of a copy that was never renamed; not what belongs to others."""
    for name in (".a.4711", ".a-b.4711", "c"):
        (tmp_path / name).touch()
    finish(Folder(tmp_path))
    assert sorted(file.name for file in tmp_path.iterdir()) == [".a-b.4711", "c"]


def test_a_state_on_s3_is_continued_and_deleted(server: S3Server) -> None:
    """A retried pod has nothing but the server."""
    with server.client() as client:
        bucket = Bucket(Place(BUCKET, "states/run-1"), client)
        interrupted(bucket)
        assert objects(server, "run-1") == [f"{BUCKET}/states/run-1/{file}" for file in FILES]
        said, _ = finish(bucket)
        assert said == ["continues from iteration 4"]
        assert objects(server, "run-1") == []


def test_a_damaged_object_is_said_and_the_one_before_it_taken(server: S3Server) -> None:
    with server.client() as client:
        bucket = Bucket(Place(BUCKET, "states/run-2"), client)
        interrupted(bucket)
        file = newest(server.folder / BUCKET / "states" / "run-2")
        client.put_object(Bucket=BUCKET, Key=f"states/run-2/{file.name}", Body=file.read_bytes()[:-9])
        said, _ = finish(bucket)
    assert said[0].startswith(f"warning: s3://{BUCKET}/states/run-2/{file.name}: not a whole resume file")
    assert said[1] == "continues from iteration 3"


@pytest.mark.parametrize("ahead", ["here", "there"])
def test_the_newest_of_all_places_is_continued(server: S3Server, tmp_path: Path, ahead: str) -> None:
    """Whichever was written last: uploads are rarer, but another machine may have gone on."""
    with server.client() as client:
        here, there = Folder(tmp_path), Bucket(Place(BUCKET, f"states/{ahead}"), client)
        interrupted(there, after=8 if ahead == "there" else 4)
        interrupted(here, after=8 if ahead == "here" else 4)
        said, _ = finish(here, there)
    assert said == ["continues from iteration 8"]
    assert list(tmp_path.iterdir()) == []
    assert objects(server, ahead) == []


def test_a_server_that_goes_away_costs_one_warning(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training goes on, and keeps its state on this machine."""
    with server.client() as client:
        there = Bucket(Place(BUCKET, "states/gone"), client)
        kept, said = kept_in(Folder(tmp_path), there)

        def gone(self: Bucket, name: str, content: bytes) -> None:
            raise S3UnreachableError(f"{self}: is not reachable; expected an S3 server")

        monkeypatch.setattr(Bucket, "write", gone)
        adam(kept, lambda point: None)
    (line,) = said
    assert line.startswith(f"warning: the state cannot be kept (s3://{BUCKET}/states/gone: is not reachable")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_server_that_does_not_answer_refuses_no_state_of_this_machine(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is gone, refuses, or never answers; without a state here, nobody knows what it has."""
    interrupted(Folder(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        hasty = HASTY.merge(Config(read_timeout=0.2))
        with closing(client(address, hasty)) as away:
            there = Bucket(Place(BUCKET, "states/silent"), away)
            kept, said = kept_in(Folder(tmp_path), there)
            assert kept.found is not None
            assert "is not reachable" in said[0]
            assert said[0].endswith("the state that is kept elsewhere is used")
            with pytest.raises(S3UnreachableError):
                kept_in(Folder(tmp_path / "empty"), there)


# ---- Where ----


def test_by_default_states_lie_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or in the named folder; whatever the launcher's run, because a repeated run is another one."""
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "run-1")
    with default_stores() as places:
        assert places == [Folder(Path(".local") / "states")]
    monkeypatch.setenv("METASGD_STATES", "/states")
    monkeypatch.setenv("METASGD_PARENT_RUN_ID", "a" * 32)
    with default_stores() as places:
        assert places == [Folder(Path("/states"))]


def test_on_a_clusters_volume_they_lie_by_pipeline_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher opened that run."""
    monkeypatch.setenv("METASGD_STATES", "/states")
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c-1")
    with default_stores() as places:
        assert places == [Folder(Path("/states/5f2c-1"))]


def test_on_s3_they_lie_by_pipeline_run(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And in the checkout too, where it can be written."""
    server.use(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METASGD_STATES", "s3://bucket/states/")
    with default_stores() as places:
        assert [str(place) for place in places] == [".local/states", "s3://bucket/states"]
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c-1")
    with default_stores() as places:
        assert [str(place) for place in places] == [".local/states", "s3://bucket/states/5f2c-1"]
    shutil.rmtree(tmp_path / ".local")
    (tmp_path / ".local").touch()
    with default_stores() as places:
        assert [str(place) for place in places] == ["s3://bucket/states/5f2c-1"]


@pytest.mark.parametrize("name", ["../other", "..", "a/b", "a b"])
def test_a_pipeline_run_with_another_place_in_its_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("METASGD_PIPELINE_RUN", name)
    monkeypatch.setenv("METASGD_STATES", "s3://bucket/states")
    with pytest.raises(InputError, match="METASGD_PIPELINE_RUN"), default_stores():
        pass


def test_an_address_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no folder of that name."""
    monkeypatch.setenv("METASGD_STATES", "gs://bucket/states")
    with pytest.raises(InputError, match="METASGD_STATES: is no address of S3"), default_stores():
        pass
