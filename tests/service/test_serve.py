"""`herenow serve` and `herenow token`, as whoever runs them meets them."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import herenow
from herenow.service import create_app
from herenow.service.endpoints import ENDPOINTS
from tests.cli.conftest import Call, place, start
from tests.servers import Server
from tests.service.conftest import API_KEY, PATIENT, SECRET, Process, Serve, bearer, token
from tests.waiting import poll

__all__ = ["place", "start"]  # fixtures
USERS = "/v1/rooms/site/users"


NO_SECRETS = {"HERENOW_SECRET": "", "HERENOW_API_KEY": ""}


def test_serve_serves_an_embedded_store_and_ends_at_once(place: Path, start: Call) -> None:
    running = Process(place, "", (), {"HERENOW_URL": "", "XDG_STATE_HOME": str(place / "state")})
    try:
        path = f"{running.address}{USERS}/alice"
        assert httpx.put(path, json={}, headers=bearer(API_KEY)).status_code == 201
        assert httpx.get(f"{running.address}/readyz").json() == {"ok": True}
        assert start("online").out == "alice\n"  # the same store as the other commands'
        began = time.monotonic()
        assert running.stop(signal.SIGTERM) == -signal.SIGTERM  # as whoever sent it wanted
        assert time.monotonic() - began < 10  # nothing is waited for; in two seconds: see below
    finally:
        running.stop(signal.SIGKILL)


@pytest.fixture
def unset(server: Server, tmp_path: Path) -> Iterator[tuple[str, str, Process]]:
    """A `herenow serve` without secret and key: its address, the token of its link, and itself."""
    running = Process(tmp_path, server.unix_url, (), NO_SECRETS)
    try:
        address, _, code = running.link().partition("/#token=")
        assert (address, bool(code)) == (running.address, True)
        yield address, code, running
    finally:
        running.stop()


FROM_HERE: tuple[dict[str, str], ...] = (
    {},
    {"Host": "localhost"},
    {"Host": "127.0.0.1:8000"},
    {"Host": "example.org", "X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-Real-IP": "::1"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Origin": "http://["},
)


def test_without_secrets_nobody_is_trusted_for_an_address(
    unset: tuple[str, str, Process], presence: herenow.Presence
) -> None:
    """As a proxy on the same machine passes the Internet on: with and without a word of it."""
    with httpx.Client(base_url=unset[0]) as client:
        for one in ENDPOINTS:
            if one.scope is not None:
                path = one.path.format(room="site", user="alice")
                for headers in FROM_HERE:
                    answer = client.request(one.method, path, headers=headers)
                    assert answer.status_code in {401, 429}, (one, headers)
    assert presence.get_user_last_activity("alice") is None


def test_without_secrets_it_prints_a_link_that_opens_once(
    unset: tuple[str, str, Process],
) -> None:
    address, code, running = unset
    with httpx.Client(base_url=address) as client:
        for path in ("/v1/rooms/site", "/metrics", "/v1/events"):  # it opens nothing by itself
            assert client.get(path, headers=bearer(code)).status_code == 403
        assert client.post("/v1/login", headers=bearer(code)).json() == {"scope": "admin"}
        assert client.get("/metrics").status_code == 200  # by the cookie
        assert code not in str(dict(client.cookies))
    assert httpx.post(f"{address}/v1/login", headers=bearer(code)).status_code == 401
    assert httpx.get(f"{address}/v1/rooms", headers=bearer(code)).status_code == 401
    assert "HERENOW_SECRET and HERENOW_API_KEY are not set" in running.log.read_text()


def test_each_run_has_a_secret_of_its_own(server: Server, tmp_path: Path) -> None:
    """A cookie of the run before opens nothing."""
    cookies = httpx.Cookies()
    for _ in range(2):
        running = Process(tmp_path, server.unix_url, ("--host", "0.0.0.0"), NO_SECRETS)
        try:
            address, _, code = running.link().partition("/#token=")
            assert "//127.0.0.1:" in address  # which a browser can open, as 0.0.0.0 it may not
            with httpx.Client(base_url=address, cookies=cookies) as client:
                assert client.get("/v1/rooms").status_code == 401
                assert client.post("/v1/login", headers=bearer(code)).is_success
                cookies = client.cookies
        finally:
            running.stop()


def test_two_services_of_a_host_do_not_share_cookies(serve: Serve) -> None:
    """Nor does a log-out of the one end the other's."""
    one, other = serve(), serve()
    with httpx.Client() as client:
        client.post(f"{one}/v1/login", headers=bearer(token(scope="admin")))
        assert client.get(f"{other}/v1/rooms").status_code == 401
        client.post(f"{other}/v1/login", headers=bearer(token(rooms=["elsewhere"])))
        assert client.get(f"{one}/metrics").status_code == 200
        assert client.get(f"{other}/metrics").status_code == 403
        client.delete(f"{other}/v1/login")
        assert client.get(f"{other}/v1/rooms").status_code == 401
        assert client.get(f"{one}/metrics").status_code == 200


@pytest.mark.parametrize(
    "options, said",
    [
        ((), "no --proxy is named"),
        (("--proxy", "*"), "--proxy '*' trusts everybody"),
        (("--proxy", "10.0.0.1, *"), "--proxy '*' trusts everybody"),
        (("--proxy", "10.0.0.1"), ""),
    ],
)
def test_serve_prints_at_start_what_proxies_do_to_addresses(
    server: Server, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    running = Process(tmp_path, server.unix_url, options, {})
    running.stop()
    log = running.log.read_text()
    assert said in log
    assert ("proxy" in log) is bool(said)


def test_proxies_are_believed_where_they_are_named(serve: Serve) -> None:
    """An address may ask ten times as often as a token: with 1/minute, ten times. So may no guesses."""
    limit = {"HERENOW_RATE_LIMIT": "1/minute"}
    plain, behind = serve(**limit), serve("--proxy", "127.0.0.1", **limit)
    for address, refused in ((plain, True), (behind, False)):
        codes = [
            httpx.get(
                f"{address}/v1/rooms",
                headers={**bearer(shown), "X-Forwarded-For": f"192.0.2.{i % 12}"},
            ).status_code
            for i, shown in enumerate(
                [token(f"user-{i}") for i in range(12)] + [f"guess-{i}" for i in range(12)]
            )
        ]
        assert (429 in codes[:12], 429 in codes[12:]) == (refused, refused)


def test_the_api_key_has_no_limit(serve: Serve) -> None:
    """Not that of its address either, whoever else has used that up."""
    address = serve(HERENOW_RATE_LIMIT="1/minute")
    with httpx.Client(base_url=address) as client:
        theirs = [bearer(token(f"user-{number}")) for number in range(12)]
        assert [client.get("/v1/rooms", headers=one).status_code for one in theirs][-1] == 429
        for _ in range(30):
            assert client.get("/v1/rooms", headers=bearer(API_KEY)).status_code == 200
            assert client.put(f"{USERS}/a", json={}, headers=bearer(API_KEY)).is_success


def test_a_token_that_asks_too_often_gets_when_to_come_back(serve: Serve) -> None:
    address = serve(HERENOW_RATE_LIMIT="2/minute")
    mine, theirs = bearer(token("alice")), bearer(token("bob"))
    codes = [httpx.get(f"{address}/v1/rooms", headers=mine).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    answer = httpx.get(f"{address}/v1/rooms", headers=mine)
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert httpx.get(f"{address}/v1/rooms", headers=theirs).status_code == 200


def test_another_form_of_a_token_has_no_limit_of_its_own(serve: Serve) -> None:
    address = serve(HERENOW_RATE_LIMIT="2/minute")
    signed = token("alice")
    codes = [
        httpx.get(f"{address}/v1/rooms", headers=bearer(signed + "~" * n)).status_code
        for n in range(4)
    ]
    assert 200 not in codes[1:]


def test_a_store_that_is_down_is_a_503_and_comes_back(server: Server, serve: Serve) -> None:
    address = serve(HERENOW_TIMEOUT="0.2")
    headers = bearer(API_KEY)
    assert httpx.put(f"{address}{USERS}/alice", json={}, headers=headers).status_code == 201
    server.kill()
    try:
        answer = httpx.get(f"{address}{USERS}", headers=headers)
        assert answer.status_code == 503
        assert answer.json()["detail"] == "the store does not answer"
        assert int(answer.headers["retry-after"]) >= 1
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert httpx.get(f"{address}/readyz").status_code == 503
    finally:
        server.restart()
    poll(lambda: httpx.get(f"{address}/readyz").status_code == 200, "the store")
    assert httpx.put(f"{address}{USERS}/alice", json={}, headers=headers).is_success


def test_a_store_that_hangs_costs_no_request_more_than_the_settings_say(
    frail: Server, serve: Serve
) -> None:
    """A quarter of a second by default; the time of whoever sits at a terminal is not the service's."""
    address = serve(HERENOW_URL=frail.unix_url, HERENOW_TIMEOUT="")
    site, headers = f"{address}/v1/rooms/site", bearer(API_KEY)
    poll(lambda: httpx.get(site, headers=headers).status_code == 200, "the store")
    frail.pause()
    try:
        took = []
        for _ in range(6):
            began = time.monotonic()
            assert httpx.get(site, headers=headers, timeout=60).status_code == 503
            took.append(time.monotonic() - began)
    finally:
        frail.resume()
    assert max(took) < 3, took
    assert sum(took) < 4, took  # the breaker opens after three
    poll(lambda: httpx.get(site, headers=headers).status_code == 200, "the store")


def test_pages_of_listed_origins_may_ask(serve: Serve) -> None:
    address = serve(HERENOW_CORS="https://forum.example")
    ask = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization",
    }
    for origin, allowed in (("https://forum.example", True), ("https://other.example", False)):
        before = httpx.options(f"{address}{USERS}/alice", headers={"Origin": origin, **ask})
        assert before.is_success is allowed
        answer = httpx.get(f"{address}/v1/rooms", headers={"Origin": origin, **bearer(token())})
        assert ("access-control-allow-origin" in answer.headers) is allowed


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/" + "x" * 3000, 414),
        ("GET", "/v1/rooms?cursor=" + "x" * 60_001, 414),
        ("GET", "/v1/rooms?token=a&token=b", 400),
        ("GET", "/nothing", 404),
        ("POST", "/v1/rooms", 405),
        ("GET", "/v1/rooms", 401),
    ],
)
async def test_pages_may_read_what_is_wrong(
    server: Server, method: str, path: str, status: int
) -> None:
    presence = herenow.AsyncPresence(server.unix_url, timeout=PATIENT)
    app = create_app(presence, api_key=API_KEY, cors="https://forum.example")
    origin = {"Origin": "https://forum.example"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://t", headers=origin
    ) as client:
        answer = await client.request(method, path)
        long = await client.get("/", headers={"X": "x" * 20_000})
    assert (answer.status_code, long.status_code) == (status, 431)
    for one in (answer, long):
        assert one.headers["access-control-allow-origin"] == origin["Origin"]
    await app.aclose()


def test_token_signs_what_the_service_believes(serve: Serve, start: Call) -> None:
    address = serve()
    done = start("token", "alice", "--room", "site", "--expires", "5m", HERENOW_SECRET=SECRET)
    headers = bearer(done.out.strip())
    assert httpx.put(f"{address}{USERS}/alice", json={}, headers=headers).status_code == 201
    assert httpx.put(f"{address}{USERS}/bob", json={}, headers=headers).status_code == 403
    link = start("token", "--admin", "--service", address, HERENOW_SECRET=SECRET).out.strip()
    assert link.startswith(f"{address}/#token=")
    admin = bearer(link.partition("#token=")[2])
    assert httpx.delete(f"{address}/v1/users/alice", headers=admin).json() == {"rooms": 1}
    unset = start("token", "alice")
    assert (unset.code, "HERENOW_SECRET is not set" in unset.err) == (2, True)


def test_the_log_says_when_the_store_is_gone_and_when_it_is_back(
    frail: Server, tmp_path: Path
) -> None:
    """By its name, without who logs in."""
    url = f"redis://someone:secret@127.0.0.1:{frail.port}/0"
    frail.control.execute_command("ACL", "SETUSER", "someone", "on", ">secret", "~*", "&*", "+@all")
    running = Process(tmp_path, url, (), {"HERENOW_TIMEOUT": "0.5"})
    named = f"herenow: redis://127.0.0.1:{frail.port}/0: "

    def lines() -> list[str]:
        return [one for one in running.log.read_text().splitlines() if named in one]

    def ask() -> int:
        path = f"{running.address}/v1/rooms/site"
        return httpx.get(path, headers=bearer(API_KEY), timeout=30).status_code

    try:
        poll(lambda: ask() == 200, "an answer")
        before = len(lines())
        frail.pause()
        for _ in range(5):
            assert ask() == 503
        frail.resume()
        poll(lambda: ask() == 200, "an answer again")
        gone, back = lines()[before:]
        assert "did not answer in time" in gone
        assert "the store answers again, after" in back
        assert "secret" not in running.log.read_text()
    finally:
        running.stop()
