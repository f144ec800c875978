"""Members by Flask-Login, everybody else a guest or a bot: log in, and the guest becomes a member.

    flask --app examples.flask_login run --debug    # with a dot: by its path it would hide the package

Nothing here says who is online: three lines of herenow do. The hidden stay off every page.
"""

import os
import secrets

from flask import Flask, redirect, render_template_string, request, url_for
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    login_required,
    login_user,
    logout_user,
)
from werkzeug.wrappers import Response

from herenow.flask import HereNow

PEOPLE = {"1": "Alice", "2": "Bob", "3": "Carol"}  # on a real site: a table, and passwords


class User(UserMixin):  # type: ignore[misc]
    """One of PEOPLE."""

    def __init__(self, user_id: str) -> None:
        self.id = user_id


app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY") or secrets.token_hex()
logins = LoginManager(app)
logins.login_view = "index"
logins.user_loader(lambda user_id: User(user_id) if user_id in PEOPLE else None)
here = HereNow(app, names=lambda ids: {i: PEOPLE[i] for i in ids if i in PEOPLE}, online_url=True)

PAGE = """<!doctype html>
<html lang="en"><title>Who is here</title>
<h1>{{ online_count("member") }} members, {{ online_count("guest") }} guests</h1>
<ul>
  {% for one in online_users() %}<li>{{ one }}, {{ one|last_seen }}</li>
  {% else %}<li>no member is here</li>{% endfor %}
</ul>
{% if current_user.is_authenticated %}
  <p>You are {{ person(current_user.id) }}.</p>
  <form method="post" action="{{ url_for('hide') }}"><button>Hide me</button></form>
  <form method="post" action="{{ url_for('show') }}"><button>Show me</button></form>
  <form method="post" action="{{ url_for('leave') }}"><button>Log out</button></form>
{% else %}
  {% for id, name in people_of_the_site.items() %}
  <form method="post" action="{{ url_for('enter', user_id=id) }}"><button>Be {{ name }}</button></form>
  {% endfor %}
{% endif %}
</html>"""


@app.get("/")
def index() -> str:
    """Show who is online."""
    return render_template_string(PAGE, people_of_the_site=PEOPLE)


@app.post("/in/<user_id>")
def enter(user_id: str) -> Response:
    """Log in: the guest that she was leaves in the same moment."""
    if user_id in PEOPLE:
        login_user(User(user_id), remember="remember" in request.form)
    return redirect(url_for("index"), 303)


@app.post("/out")
def leave() -> Response:
    """Log out: she leaves, and is a guest again."""
    logout_user()
    return redirect(url_for("index"), 303)


@app.post("/hide")
@login_required
def hide() -> Response:
    """Hide: to all others exactly as if she had left, until she shows herself."""
    here.mark_online(current_user.id, kind="hidden")
    return redirect(url_for("index"), 303)


@app.post("/show")
@login_required
def show() -> Response:
    """Show herself again."""
    here.mark_online(current_user.id, kind="member")
    return redirect(url_for("index"), 303)
