"""The sites that `requests` asks: a hello, and a page with a template and one SQLite query.

One worker holds both, with the three lines and without, and a request's Host says which: two processes
differ by more than what is measured, by where their memory happens to lie.
"""

import os
import sqlite3
from collections.abc import Iterable
from typing import Any

from flask import Flask, g, render_template
from jinja2 import DictLoader

PAGE = """<!doctype html>
<title>{{ title }}</title>
{% for row in rows %}<article><h2>{{ row[1] }}</h2><p>{{ row[2] }}</p></article>{% endfor %}"""


def database() -> sqlite3.Connection:
    """Open the database, once a request, as Flask's tutorial does."""
    if "database" not in g:
        g.database = sqlite3.connect(os.environ["DATABASE"])
    return g.database  # type: ignore[no-any-return]


def close(_: BaseException | None) -> None:
    if "database" in g:
        g.pop("database").close()


def hello() -> str:
    return "Hello, World!"


def page() -> str:
    query = "SELECT id, title, body FROM post ORDER BY id DESC LIMIT 20"
    rows = database().execute(query).fetchall()
    return render_template("page.html", title="Posts", rows=rows)


def make(*, on: bool) -> Flask:
    """Make the site, with herenow or without."""
    app = Flask(__name__)
    app.jinja_loader = DictLoader({"page.html": PAGE})
    if on:
        from herenow.flask import HereNow

        here = HereNow()
        here.init_app(app)
    app.teardown_appcontext(close)
    app.add_url_rule("/hello", "hello", hello)
    app.add_url_rule("/", "page", page)
    return app


ON, OFF = make(on=True), make(on=False)


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return (ON if environ["HTTP_HOST"] == "on" else OFF)(environ, start_response)
