"""The demo as a process: its store, its crowd, and a clean end."""

import http.client
import logging
import signal
import socket
import threading
from contextlib import suppress

from werkzeug.serving import make_server

from herenow import demo
from herenow.demo.crowd import Crowd

HOST = "127.0.0.1"


def announce(port: int) -> None:
    """Print the forum's URL, once it answers."""
    visit = http.client.HTTPConnection(HOST, port, timeout=10)
    visit.request("GET", "/forum/forum.css")  # what is static marks nobody
    answer = visit.getresponse()
    visit.close()
    if answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RuntimeError(f"the forum answers {answer.status} {answer.reason}")
    print(f"http://{HOST}:{port}", flush=True)  # noqa: T201 - it is what the command says


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def serve(listening: socket.socket, visitors: int, url: str) -> None:
    """Serve until Ctrl-C or SIGTERM; then a store of its own goes too.

    Raises StoreError for a store that does not start.
    """
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _stop)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    ended = threading.Event()
    with suppress(KeyboardInterrupt):
        app = demo.make_app(url)
        with demo.here.presence as presence:
            presence.counts()  # a store that cannot start says so now
            crowd = threading.Thread(target=Crowd(presence, visitors).run, args=(ended,))
            try:
                if visitors:
                    crowd.start()
                taken = listening.getsockname()[1]
                server = make_server(HOST, taken, app, threaded=True, fd=listening.fileno())
                threading.Thread(target=announce, args=(taken,), daemon=True).start()
                server.serve_forever()
            finally:
                ended.set()
                if crowd.is_alive():
                    crowd.join(5)
