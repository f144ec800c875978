"""How the tests ask the application for a stream, which has no end."""

import asyncio
from typing import Any

import httpx


async def status_of_stream(
    api: httpx.AsyncClient, path: str, headers: dict[str, str], query: str = "", app: Any = None
) -> int:
    """Begin to read a stream, and go."""
    found: list[int] = []
    begun = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])
            begun.set()

    transport: Any = api._transport
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 1),
        "server": ("service.test", 80),
    }
    await asyncio.wait_for((app or transport.app)(scope, receive, send), 5)
    assert b"token" not in scope["query_string"]  # which the server logs from the same scope
    return found[0]
