"""How often an address and a token may ask, and what the asking costs; what is made once."""

import gzip
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest

import herenow
from herenow.service import Service, create_app
from herenow.service.endpoints import ENDPOINTS
from herenow.service.problems import ProblemError
from herenow.service.rates import ADDRESS_TIMES, MOST_KEYS, Rates
from tests.servers import Server
from tests.service.conftest import API_KEY, PATIENT

ELSEWHERE = ("192.0.2.1", 1234)


@pytest.fixture
async def limited(server: Server) -> AsyncIterator[Service]:
    """The application: one request a minute for a token, ten for an address."""
    presence = herenow.AsyncPresence(server.unix_url, timeout=PATIENT)
    app = create_app(presence, api_key=API_KEY, rate_limit="1/minute")
    yield app
    await app.aclose()


def client(app: Service, peer: tuple[str, int]) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=peer)
    return httpx.AsyncClient(transport=transport, base_url="http://service.test")


NONE_OF_THEM = [("GET", "/nothing"), ("POST", "/healthz"), ("GET", "/v1/rooms/a/b/c")]


@pytest.mark.parametrize(
    "method, path", [*((one.method, one.path) for one in ENDPOINTS), *NONE_OF_THEM]
)
async def test_an_address_has_a_rate_whatever_it_asks(
    limited: Service, method: str, path: str
) -> None:
    async with client(limited, ELSEWHERE) as asking:
        path = path.format(room="site", user="alice")
        answers = [await asking.request(method, path) for _ in range(ADDRESS_TIMES + 2)]
    assert 429 not in [one.status_code for one in answers[:ADDRESS_TIMES]]
    assert [one.status_code for one in answers[ADDRESS_TIMES:]] == [429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "127.1.2.3"])
async def test_this_machine_may_ask_for_its_health_as_often_as_it_likes(
    limited: Service, peer: str
) -> None:
    async with client(limited, (peer, 1)) as asking:
        for path in ("/healthz", "/readyz"):
            codes = {(await asking.get(path)).status_code for _ in range(3 * ADDRESS_TIMES)}
            assert codes == {200}
        codes = {(await asking.get("/openapi.json")).status_code for _ in range(2 * ADDRESS_TIMES)}
        assert codes == {200, 429}


def test_a_request_costs_the_same_however_many_addresses_have_asked() -> None:
    """And of more than so many, the oldest are forgotten."""
    rates = Rates("20/minute")
    for number in range(MOST_KEYS + 10):
        rates.address(f"{number}")
    assert len(rates) == MOST_KEYS
    began = time.monotonic()
    for number in range(2000):
        rates.address(f"10.0.0.{number % 200}")
    assert time.monotonic() - began < 2
    for _ in range(190):
        rates.address("10.0.0.1")
    with pytest.raises(ProblemError, match="at most 200 requests in 60 s"):
        rates.address("10.0.0.1")


def test_what_is_over_is_forgotten() -> None:
    rates = Rates("1/second")
    for number in range(1000):
        rates.token(f"{number}")
    with pytest.raises(ProblemError):
        rates.token("0")
    time.sleep(1.1)
    rates.token("0")
    assert len(rates) == 1


async def test_the_description_is_made_once_and_compressed_once(limited: Service) -> None:
    async with client(limited, ELSEWHERE) as asking:
        for path in ("/openapi.json", "/"):
            whole = await asking.get(path, headers={"Accept-Encoding": "identity"})
            small = await asking.get(path, headers={"Accept-Encoding": "br, gzip;q=0.5"})
            refused = await asking.get(path, headers={"Accept-Encoding": "gzip;q=0, identity"})
            assert "content-encoding" not in whole.headers
            assert "content-encoding" not in refused.headers
            assert small.headers["content-encoding"] == "gzip"
            assert small.text == whole.text == refused.text
            assert int(small.headers["content-length"]) < len(whole.content) / 2
            for answer in (whole, small, refused):
                assert "Accept-Encoding" in answer.headers["vary"]
    assert json.loads(gzip.decompress(limited.described.zipped)) == limited.openapi
