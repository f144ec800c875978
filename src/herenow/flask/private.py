"""Private pages: an answer that holds a token is for one browser, and no cache keeps it.

The token may have been asked for anywhere in the request, so the last hook of all on the response says
so, over whatever the app's own hooks have set. It owns one flag in the request's environ.
"""

from typing import Final

from flask import Flask, Response, has_request_context, request

_KEY: Final = "herenow.private"
_PRIVATE: Final = "private, no-store"


def keep_private(app: Flask) -> None:
    """Have each answer of this app say that it is private, where `make_private` was called for it."""
    # the first of all hooks is the last that is called
    app.after_request_funcs.setdefault(None, []).insert(0, _add_header)


def make_private() -> None:
    """Make the answer to the request under way private.

    Raises RuntimeError where the answer has begun, as a stream, and may be kept by others.
    """
    if not has_request_context():
        return
    if request.environ.setdefault(_KEY, True) is False:
        raise RuntimeError(
            "this answer has begun, and a shared cache may keep it: ask for the token before you stream, "
            "or say `Cache-Control: private`"
        )


def _add_header(response: Response) -> Response:
    if _KEY in request.environ:
        response.headers["Cache-Control"] = _PRIVATE
    elif response.is_streamed:
        control = response.cache_control
        request.environ[_KEY] = bool(control.private or control.no_store)
    return response
