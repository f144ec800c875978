"""The Flask adapter: marks who makes a request, and answers who is online.

    here = HereNow(app)
    here.get_online_users()

Thin: settings come from `settings`, who a visitor is from `visitors`, what pages show from `people`, and
everything else from `Presence`. `extension` is HereNow; `visits` what it does with a request; `showing`
the page of who is online, and what templates may ask; `command` is ``flask online``.
"""

from herenow.flask.extension import HereNow
from herenow.models import Visitor

__all__ = ["HereNow", "Visitor"]
