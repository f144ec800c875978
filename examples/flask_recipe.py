"""Who is online: the recipe, in herenow. `/online` lists them, `/seen/NAME` tells of one."""

from typing import Any

from flask import Flask

from herenow.flask import HereNow

app = Flask(__name__)
here = HereNow(
    app,
    identify=lambda request: request.remote_addr,  # to try it; later, your user's id
    online_url="/online",
)


@app.get("/")
def index() -> str:
    return f"Online now: {len(here.get_online_users())}"


@app.get("/seen/<user>")
def seen(user: str) -> dict[str, Any]:
    return {"online": here.is_online(user), "last seen": here.get_user_last_activity(user)}
