"""The service: who is online, over HTTP, for pages and programs that are not Python.

    app = create_app(presence, secret=..., api_key=...)     # an ASGI application, closed without these
    fastapi_app.mount("/presence", app)

`endpoints` is its table of routes, and all else is made from that; `app` puts it together. It owns no
state but its open streams, so as many processes as one likes serve the same store.
"""

from herenow.service.app import Service, create_app
from herenow.service.streaming import StreamSettings

__all__ = ["Service", "StreamSettings", "create_app"]
