"""The demo: a small forum that shows who is online. An example to read, and `herenow demo` runs it.

All that has to do with presence is in `make_app`: who makes a request, which room that is, and what pages
show. The rest is a forum like any other: `content` its threads and members, `crowd` simulated visitors,
`serving` the process.
"""

import secrets
import zlib
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Request,
    abort,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response

from herenow import StoreError, Visitor
from herenow.demo.content import MEMBERS, THREADS
from herenow.flask import HereNow

WINDOW = 30
"""Seconds without a request, and you are gone; a forum of yours would take the default, 300."""
REFRESH = 2
"""Seconds between two looks of an open page."""
LATELY = 86_400

here = HereNow()
forum = Blueprint(
    "forum", __name__, template_folder="templates", static_folder="static", static_url_path="/forum"
)


def who(_: Request) -> object:
    """Name who makes a request: the member who is logged in, else the guest or bot that it is."""
    if "member" not in session:
        return here.guest_or_bot()
    return Visitor(session["member"], "hidden" if session.get("hidden") else "member")


def reading(request: Request) -> str | None:
    """Name the room that a request is in: those who read a thread are in its room."""
    thread = THREADS.get((request.view_args or {}).get("number", 0))
    return thread.room if thread is not None else None


def names(ids: list[str]) -> dict[str, str]:
    """Name members: one query a page, on a site with a database."""
    return {one: MEMBERS[one] for one in ids if one in MEMBERS}


def make_app(url: str) -> Flask:
    """Make the forum on a store."""
    global here  # noqa: PLW0603 - an app a process
    app = Flask(__name__)
    app.secret_key = secrets.token_bytes()
    app.config["SESSION_COOKIE_NAME"] = "herenow-demo"
    here = HereNow(
        identify=who,
        names=names,
        rooms=reading,
        url=url,
        window=WINDOW,
        resolution=1,
        online_url=True,
    )
    here.init_app(app)
    app.register_blueprint(forum)
    return app


@forum.get("/")
def index() -> str:
    """Show the threads, how many read each, and who is online."""
    try:
        readers: Any = here.presence.room_counts(one.room for one in THREADS.values())
    except StoreError:
        readers = None  # unknown is not nobody
    lately = here.people(here.get_active_users(LATELY, len(MEMBERS)))
    gone = [one for one in lately if not one.online]
    return render_template("forum/index.html", threads=THREADS.values(), readers=readers, gone=gone)


@forum.get("/thread/<int:number>")
def thread(number: int) -> str:
    """Show a thread, and who reads it."""
    if number not in THREADS:
        abort(404)
    return render_template("forum/thread.html", thread=THREADS[number])


@forum.get("/member/<member>")
def member(member: str) -> str:
    """Show a member: whether they are online, when they were last seen, and their posts."""
    if member not in MEMBERS:
        abort(404)
    posts = [(one, post) for one in THREADS.values() for post in one.posts if post.by == member]
    return render_template("forum/member.html", member=member, posts=posts)


@forum.post("/login")
def login() -> Response:
    """Log in as a member, who replaces their guest in the same moment."""
    wanted = request.form.get("member", "").lower()
    if wanted not in MEMBERS:
        abort(400)
    guest = here.guest_or_bot()
    before = session.get("member") or (guest.user if guest else None)
    session["member"] = wanted
    session["hidden"] = False
    if before != wanted:
        here.mark_online(wanted, kind="member", replaces=before)
    return _back()


@forum.post("/logout")
def logout() -> Response:
    """Log out."""
    before = session.pop("member", None)
    if before is not None:
        here.mark_offline(before)
    return _back()


@forum.post("/hide")
def hide() -> Response:
    """Hide, or show yourself again: to others it looks like leaving, or joining."""
    if "member" in session:
        session["hidden"] = not session.get("hidden")
        here.mark_online(session["member"], kind="hidden" if session["hidden"] else "member")
    return _back()


def _back() -> Response:
    return redirect(url_for("forum.index"), 303)


@forum.app_template_filter()
def hue(name: str) -> int:
    """Pick a hue, the same for a name each time."""
    return zlib.crc32(name.encode()) % 360


@forum.app_context_processor
def shown() -> dict[str, Any]:
    """Give every page what the block "Who is online" shows, and the members to log in as."""
    return {
        "you": session.get("member"),
        "hidden": session.get("hidden", False),
        "members": MEMBERS,
        "here": here,
        "refresh": REFRESH,
        "window": WINDOW,
    }
