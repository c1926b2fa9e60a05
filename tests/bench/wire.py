"""Clients that cost little beside what they measure: bare HTTP/1.1 over kept connections."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit


class Line:
    """One kept connection to the service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, root: str) -> "Line":
        place = urlsplit(root)
        return cls(*await asyncio.open_connection(place.hostname, place.port))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """(status, body) of the answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def request(path: str, *, token: str, key: str, body: Any) -> bytes:
    """The bytes of one command."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: liandai\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def rate(
    workers: Sequence[Callable[[], Any]], *, seconds: float
) -> tuple[float, list[float]]:
    """(calls a second, latencies in order) of workers that each call again and again.

    Each worker is an async function of no argument; what it returns is one call done.
    """
    latencies: list[float] = []
    started = time.perf_counter()
    until = started + seconds

    async def work(call: Callable[[], Any]) -> None:
        while (begun := time.perf_counter()) < until:
            await call()
            latencies.append(time.perf_counter() - begun)

    await asyncio.gather(*(work(call) for call in workers))
    return len(latencies) / (time.perf_counter() - started), sorted(latencies)
