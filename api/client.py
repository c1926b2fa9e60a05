"""A client of the service: one person's token, over HTTP, every command under a key of its own.

A command that met a broken connection may be sent again under the same key: it is done once.
"""

import uuid
from typing import Any

import httpx2
import msgspec

from ledger.errors import LiandaiError


class Answered(LiandaiError):
    """The service answered with a problem (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        """The problem's stable code."""
        return str(self.problem.get("code", ""))


class Client:
    """One person at one service, or nobody where there is no token. Close it, or use it as a
    context."""

    def __init__(self, root: str, token: str | None, *, timeout_seconds: float = 120) -> None:
        self._http = httpx2.Client(
            base_url=root,
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
            timeout=timeout_seconds,
            trust_env=False,
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """No connection is open any more."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """The answer to a question. Raises Answered for a problem."""
        return _read(self._http.get(path, params=_given(query)))

    def get_bytes(self, path: str, **query: Any) -> bytes:
        """The answer's bytes as they are: a checkpoint, a bundle."""
        answer = self._http.get(path, params=_given(query))
        if answer.status_code >= 400:
            _read(answer)
        return bytes(answer.content)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The answer to a command, done once for ever under the key. Raises Answered."""
        return self._command("POST", path, body, key=key)

    def delete(self, path: str, *, key: str | None = None) -> Any:
        """As `post`, for a command that takes something away."""
        return self._command("DELETE", path, None, key=key)

    def _command(self, method: str, path: str, body: Any, *, key: str | None) -> Any:
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        content = None
        if method == "POST":
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode({} if body is None else body)
        return _read(self._http.request(method, path, content=content, headers=headers))


def _given(query: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) for name, value in query.items() if value is not None}


def _read(answer: httpx2.Response) -> Any:
    if answer.status_code >= 400:
        try:
            problem = msgspec.json.decode(answer.content)
        except msgspec.DecodeError:
            problem = {"code": "not-a-problem", "detail": answer.text[:200]}
        raise Answered(answer.status_code, problem)
    return msgspec.json.decode(answer.content)
