"""Bodies of requests, read whole within limits before they are looked at."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.serving.payloads import (
    KEY,
)
from components.serving.refusals import problem


@dataclass(frozen=True)
class Limits:
    """most_tasks, most_bytes, seconds: of the adapted tasks that are kept.

    body: bytes of a request. support, queries: examples in a request, of all its tasks together.
    tasks: in a request. requests: that are in memory at once, while others wait unread; JSON may take twenty
        times its length there. threads: that compute.
    patience: seconds until a request must have arrived, once its turn has come.
    """

    most_tasks: int = 256
    most_bytes: int = 512_000_000
    seconds: float = 3600
    body: int = 32_000_000
    support: int = 1000
    queries: int = 1000
    tasks: int = 100
    requests: int = 4
    threads: int = 2
    patience: float = 60


class Bodies:
    """Between server and app: reads a POST request whole, within the limits, before it is looked at."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits, self.turn = app, limits, asyncio.Semaphore(limits.requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        async with self.turn:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self.limits.patience):
                body = await self._body(receive)
        except ClientDisconnect:  # there is nobody to answer
            return
        except TimeoutError:
            late = f"the body took longer than {self.limits.patience:g} seconds; expected it sooner"
            await problem(408, late)(scope, receive, send)
            return
        given = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        if body is None:
            most = f"the body is too long; expected {self.limits.body:,} bytes at most"
            await problem(413, most)(scope, receive, send)
        elif given != "application/json":
            # A page of another site can send other types without asking, but not this one.
            wrong = f"content-type is {given[:KEY]!r}; expected application/json"
            await problem(415, wrong)(scope, receive, send)
        else:
            await self.app(scope, _again(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """None for one that is too long: the rest is passed over, as clients listen only after sending."""
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= self.limits.body:
                parts.append(part)
            else:
                parts.clear()
        return b"".join(parts) if size <= self.limits.body else None


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives this body, and then what else there is: that the client has gone."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again
