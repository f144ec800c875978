"""The recipe's site with its list on a page: open it in two browsers, and see one another.

    make demo            or    PORT=8000 python examples/demo.py

Who comes is known by address, as in the recipe, until they choose to be a bird. The store is an
embedded one that goes with this process, and nothing of it is kept.
"""

import http.client
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import zlib
from datetime import UTC, datetime

from flask import Flask, Request, redirect, render_template, request, session, url_for
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from herenow import StoreError
from herenow.flask import HereNow

HOST = "127.0.0.1"
WINDOW = 30  # seconds without a request, and you are gone
REFRESH = 2
LATELY = 3600
BIRDS = ["Bullfinch", "Goldcrest", "Heron", "Kingfisher", "Nuthatch", "Osprey", "Robin", "Wren"]


def who(request: Request) -> str | None:
    """Name who makes a request. On a site with a login: its user's id."""
    return session.get("bird") or request.remote_addr


app = Flask(__name__)
app.secret_key = secrets.token_bytes()
app.config["SESSION_COOKIE_NAME"] = "herenow-demo"
here = HereNow(
    app, identify=who, url="embedded://?temporary=1", window=WINDOW, resolution=1, online_url=True
)


@app.get("/")
def index() -> str:
    """Show who is online, who was lately, and the birds one can be."""
    presence = here.presence
    try:
        seen = list(presence.lookup(presence.get_active_users(LATELY)).values())
    except StoreError:
        seen = None  # the page says so: unknown is not nobody
    return render_template(
        "demo.html",
        seen=seen,
        you=who(request),
        birds=BIRDS,
        window=WINDOW,
        refresh=REFRESH,
        colour=colour,
        ago=ago,
    )


@app.post("/be")
def be() -> Response:
    """Become another: who she was leaves, as with a login."""
    before, bird = who(request), request.form.get("bird")
    session["bird"] = bird if bird in BIRDS else None
    now = who(request)
    if now and now != before:
        here.mark_online(now, replaces=before)
    return redirect(url_for("index"), 303)


def ago(moment: datetime) -> str:
    """Say how long ago that was."""
    minutes, seconds = divmod(int((datetime.now(UTC) - moment).total_seconds()), 60)
    if minutes:
        return f"{minutes} min ago"
    return f"{seconds} s ago" if seconds > REFRESH * 2 else "just now"


def colour(name: str) -> int:
    """Pick a hue, the same for a name each time."""
    return zlib.crc32(name.encode()) % 360


def listen() -> socket.socket:
    """Take the port that PORT names, 8000 by default; 0 is any that is free."""
    port = os.environ.get("PORT", "8000")
    try:
        return socket.create_server((HOST, int(port)))
    except (ValueError, OverflowError):
        sys.exit(f"PORT is a number from 0 to 65535, not {port!r}")
    except OSError as error:
        why = os.strerror(error.errno or 0)
        sys.exit(f"port {port} cannot be had: {why}; name another, or PORT=0 for any")


def announce(port: int) -> None:
    """Say where the site is, once it answers."""
    visit = http.client.HTTPConnection(HOST, port, timeout=10)
    visit.request("GET", "/")
    answer = visit.getresponse()
    visit.close()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"the site answers {answer.status} {answer.reason}")
    here.presence.forget(HOST)  # that visit was ours, and nobody's
    print(f"http://{HOST}:{port}", flush=True)


def stop(*_: object) -> None:
    """End as Ctrl-C does, whatever the signal."""
    raise KeyboardInterrupt


def main() -> None:
    """Serve until told to stop; then the store goes too."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, stop)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        with listen() as listening, here.presence as presence:
            presence.counts()  # a store that cannot start says so now
            port = listening.getsockname()[1]
            server = make_server(HOST, port, app, threaded=True, fd=listening.fileno())
            threading.Thread(target=announce, args=(port,), daemon=True).start()
            server.serve_forever()
    except KeyboardInterrupt:
        pass
    except StoreError as error:
        sys.exit(f"the embedded store: {error}")


if __name__ == "__main__":
    main()
