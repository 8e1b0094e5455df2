"""The image of every step: its reference, [registry/]metasgd-python:<commit>, and building it.

    python -m pipelines.image --build [--base IMAGE] [--registry HOST/PATH]
    python -m pipelines.image --push --registry HOST/PATH

Kubeflow's cache keys on the reference, so equal references must mean equal contents: a tree that
differs from its commit says so, with a digest of what goes into the image, and a base of one's own with a
digest of its name.
"""

import argparse
import hashlib
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import docker
import requests
from docker.errors import DockerException, ImageNotFound

from components.config.code import git, git_commit, tree_digest
from components.console.command import StepFailedError, run_command
from metasgd.errors import InputError

NAME = "metasgd-python"  # kfp's local runner warns about images without "python" in their name
BASE = "python:3.11-slim-bookworm"
# By the grammar of the distribution specification: [host[:port]/]path[:tag][@digest].
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-f:]+\])(?::\d+)?"
REFERENCE = re.compile(
    rf"(?=.{{1,500}}$)(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)
CONTENTS = (".dockerignore", "docker", "requirements-uv.txt", "metasgd", "components")


def require_reference(image: str, given_as: str) -> None:
    """Raises InputError for what no container engine takes for an image's name."""
    if not REFERENCE.fullmatch(image):
        raise InputError(
            f"{given_as} is {image!r}; expected an image's reference, as registry.example.org/team/name:tag"
        )


def reference(registry: str = "", base: str = BASE, root: Path = Path()) -> str:
    """The reference of the image of this tree on that base.

    Raises InputError outside of a git checkout, and for a registry and a base that are none.
    """
    require_reference(base, "IMAGE_BASE")
    image = f"{registry.rstrip('/')}/{NAME}:{_tag(root, base)}".lstrip("/")
    require_reference(image, "with REGISTRY, the image")
    return image


def container_image(runner: str, image: str | None, base: str | None) -> str | None:
    """The image of the runner's containers, by default that of this commit; None where it starts none."""
    if runner != "docker":
        return None
    return image or reference(base=base or BASE)


def image_id(image: str) -> str | None:
    """What tells its contents, as the container engine here has it; None where it lacks the image.

    Raises InputError where no engine answers.
    """
    require_reference(image, "IMAGE")
    try:
        client = docker.from_env()
        client.ping()
    except DockerException:
        raise InputError(
            "no container engine answers here; expected a running Docker engine, or RUNNER=local"
        ) from None
    try:
        return str(client.images.get(image).id)
    except ImageNotFound:
        return None
    finally:
        client.close()


def digest_of(image: str) -> str | None:
    """The digest of what the reference names in its registry; None where nobody here knows it."""
    if "@" in image:
        return image.rpartition("@")[2]
    try:
        client = docker.from_env()
    except DockerException:
        return None
    try:
        return str(client.images.get_registry_data(image).id)
    except (DockerException, requests.RequestException):
        return _pushed_digest(client, image)
    finally:
        client.close()


def _pushed_digest(client: docker.DockerClient, image: str) -> str | None:
    """What this engine remembers of its push."""
    try:
        digests = client.images.get(image).attrs["RepoDigests"] or []
    except (DockerException, requests.RequestException):
        return None
    repository = image.rpartition(":")[0]
    return next((one.rpartition("@")[2] for one in digests if one.startswith(f"{repository}@")), None)


def build(image: str, base: str) -> None:
    """Build the image of this tree, unless the engine has it: the reference says what is in it.

    base: the image that it starts from. Raises InputError, or StepFailedError after docker's own words.
    """
    if image_id(image) is not None:
        return
    arguments = {"BASE": base, "COMMIT": git_commit(), "VERSION": version("metasgd"), "REFERENCE": image}
    settings = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    _docker("build", "--file=docker/Dockerfile", f"--tag={image}", *settings, ".")


def push(image: str) -> None:
    """Push a built image. Raises StepFailedError after docker's own words."""
    _docker("push", image)


def _docker(*arguments: str) -> None:
    try:
        finished = subprocess.run(["docker", *arguments], check=False)  # noqa: S607
    except FileNotFoundError:
        raise InputError("docker: no such command; expected Docker's command line") from None
    if finished.returncode:
        raise StepFailedError(f"docker {arguments[0]} failed with exit code {finished.returncode}")


def _tag(root: Path, base: str) -> str:
    """The commit, with digests of what differs: of the contents, and of the base's name."""
    commit = git(root, "rev-parse", "--short=12", "HEAD")
    if commit is None:
        raise InputError(
            "the image is named after the git commit, and there is none here; expected a checkout, or IMAGE=…"
        )
    tag = (
        f"{commit}-dirty-{tree_digest(root, CONTENTS)[:8]}" if git(root, "status", "--porcelain") else commit
    )
    return tag if base == BASE else f"{tag}-on-{hashlib.sha256(base.encode()).hexdigest()[:8]}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.image",
        description="Print the reference of this tree's image, or build or push that image.",
    )
    parser.add_argument("--build", action="store_true", help="build it, unless the engine has it")
    parser.add_argument("--push", action="store_true", help="push it to its registry")
    parser.add_argument("--base", default=BASE, help="the image that it starts from")
    parser.add_argument("--registry", default="", help="registry and path, as in registry.example.org/team")
    options = parser.parse_args()
    if options.push and not options.registry:
        raise InputError("REGISTRY is not set; expected a registry to push to, as registry.example.org/team")
    image = reference(options.registry, options.base)
    if options.build:
        build(image, options.base)
    if options.push:
        push(image)
    print(image)


if __name__ == "__main__":
    run_command(main)
