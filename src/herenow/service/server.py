"""The server of ``herenow serve``: uvicorn's, which ends open streams when it stops.

Owns nothing else. uvicorn waits for open responses and does not end them; where somebody else
runs the application, `streaming.Streams` has to find out by itself that its server stops.
"""

import asyncio
import socket

import uvicorn

from herenow.service.app import Service


class Server(uvicorn.Server):
    """A uvicorn server of one service."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections; end the streams and their sessions while requests end."""
        ending = asyncio.create_task(self._service.streams.close())
        await super().shutdown(sockets)
        await ending
