"""What is wrong with a request, in one line: {"detail": "where, what, what was expected"}."""

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from components.serving.names import legible
from components.serving.payloads import (
    KEY,
    TAGS,
)

LINE = 300  # characters of a message, at most


def problem(status: int, line: str) -> JSONResponse:
    return JSONResponse({"detail": legible(line)[:LINE]}, status)


async def refuse_input(_: Request, error: Exception) -> JSONResponse:
    return problem(422, str(error))


async def refuse_payload(_: Request, error: Exception) -> JSONResponse:
    """The first of FastAPI's errors, without the value, which could be anything."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as it is registered
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return problem(400, f"the body is no JSON: {first['ctx']['error']} at character {first['loc'][-1]}")
    where = ".".join(str(part)[:KEY] for part in first["loc"][1:] if part not in TAGS) or "the body"
    return problem(422, f"{where}: {first['msg'].removeprefix('Value error, ')}")


async def excuse(_: Request, error: Exception) -> JSONResponse:
    """A mistake of this program: its traceback goes to the server's log."""
    return problem(500, "the service failed at this request; its log says how")
