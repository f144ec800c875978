"""The site that `requests` asks: a hello, and a page with a template and one SQLite query.

WITH_HERENOW says whether the three lines are there.
"""

import os
import sqlite3

from flask import Flask, g, render_template
from jinja2 import DictLoader

PAGE = """<!doctype html>
<title>{{ title }}</title>
{% for row in rows %}<article><h2>{{ row[1] }}</h2><p>{{ row[2] }}</p></article>{% endfor %}"""

app = Flask(__name__)
app.jinja_loader = DictLoader({"page.html": PAGE})
if os.environ.get("WITH_HERENOW"):
    from herenow.flask import HereNow

    here = HereNow()
    here.init_app(app)


def database() -> sqlite3.Connection:
    """Open the database, once a request, as Flask's tutorial does."""
    if "database" not in g:
        g.database = sqlite3.connect(os.environ["DATABASE"])
    return g.database  # type: ignore[no-any-return]


@app.teardown_appcontext
def close(_: BaseException | None) -> None:
    if "database" in g:
        g.pop("database").close()


@app.get("/hello")
def hello() -> str:
    return "Hello, World!"


@app.get("/")
def page() -> str:
    query = "SELECT id, title, body FROM post ORDER BY id DESC LIMIT 20"
    rows = database().execute(query).fetchall()
    return render_template("page.html", title="Posts", rows=rows)
