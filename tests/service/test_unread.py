"""Who asks and never reads, who asks too much at once, who opens all there is: others are answered."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import uvicorn

import herenow
from herenow.service import create_app
from herenow.service.connections import Bounds, Connection
from tests.servers import Server
from tests.service.conftest import API_KEY, PATIENT, SECRET, Serve, bearer, token
from tests.waiting import poll

PATIENCE = 3.0
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + API_KEY.encode()
PAGE = GET % b"/v1/rooms/site/users?limit=1000" + b"\r\n\r\n"
HEALTH = GET % b"/healthz" + b"\r\n\r\n"
CLOSING = PAGE[:-2] + b"Connection: close\r\n\r\n"
INFO = {"page": "/" * 900}
Bounded = Callable[..., tuple[str, Bounds]]


@pytest.fixture
def bounded(server: Server) -> Iterator[Bounded]:
    """Serve in a thread, by connections of these bounds: the address, and what is counted."""
    with contextlib.ExitStack() as running:

        def start(**bounds: int) -> tuple[str, Bounds]:
            made = Bounds(
                **{"connections": 1000, "of_address": 1000} | bounds,  # type: ignore[arg-type]
                patience=PATIENCE,
            )
            kind = type("Bounded", (Connection,), {"bounds": made})
            presence = herenow.AsyncPresence(server.unix_url, resolution=0, timeout=PATIENT)
            app = create_app(presence, secret=SECRET, api_key=API_KEY, rate_limit="1000000/second")
            config = uvicorn.Config(app, http=kind, log_level="warning", ws="none", lifespan="on")
            listening = running.enter_context(socket.socket(proto=socket.IPPROTO_TCP))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
            listening.bind(("127.0.0.1", 0))
            listening.listen(1000)
            serving = uvicorn.Server(config)
            run = threading.Thread(target=asyncio.run, args=(serving.serve([listening]),))
            run.start()
            running.callback(run.join, 30)
            running.callback(setattr, serving, "should_exit", True)
            return f"http://127.0.0.1:{listening.getsockname()[1]}", made

        yield start


@pytest.fixture
def crowd(server: Server) -> None:
    """A room whose page is a megabyte."""
    with herenow.Presence(server.unix_url, resolution=0, timeout=PATIENT) as presence:
        presence.mark_online_many(
            [herenow.Sighting(f"user-{i}", session="tab", info=INFO) for i in range(1000)]
        )


@contextlib.contextmanager
def silent(address: str, count: int, what: bytes) -> Iterator[list[socket.socket]]:
    """Connections that send this and read nothing."""
    where = ("127.0.0.1", int(address.rpartition(":")[2]))
    with contextlib.ExitStack() as opened:
        made = []
        for _ in range(count):
            one = opened.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(where)
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                one.send(what)
            made.append(one)
        yield made


@pytest.mark.parametrize(
    "what", [PAGE, CLOSING, PAGE * 50, HEALTH * 50 + PAGE], ids=["one", "close", "many", "mixed"]
)
@pytest.mark.usefixtures("crowd")
def test_whoever_reads_no_answer_is_cut_off(bounded: Bounded, what: bytes) -> None:
    """And frees its place, whichever way it asked; the answer is as large as the kernel does not take."""
    address, bounds = bounded(connections=6)
    with silent(address, 6, what):
        poll(lambda: len(bounds.blocked) == 6, "all of them to be blocked")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address}/healthz")
        poll(lambda: not bounds.addresses, "them to be cut off", 20 * PATIENCE)
        assert not bounds.blocked
        assert bounds.waiting == 0
        assert httpx.get(f"{address}/healthz").status_code == 200


@pytest.mark.usefixtures("crowd")
def test_whoever_reads_slowly_is_not_cut_off_and_whoever_reads_next_to_nothing_is(
    bounded: Bounded,
) -> None:
    address, bounds = bounded()
    with silent(address, 2, PAGE) as (slow, slower):
        poll(lambda: len(bounds.blocked) == 2, "both to be blocked")
        read, until = 0, time.monotonic() + 60
        while len(bounds.blocked) == 2 or not read:
            assert time.monotonic() < until
            with contextlib.suppress(BlockingIOError):
                read += len(slow.recv(20_000))
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                slower.recv(100)
            time.sleep(0.05)
        slow.settimeout(30)
        while not read or bounds.blocked:
            read += len(slow.recv(65_536))
        assert read > 500_000


@pytest.mark.usefixtures("crowd")
def test_all_that_nobody_takes_is_bounded(bounded: Bounded) -> None:
    """The longest wait ends first."""
    address, bounds = bounded(unread=4 * 2**20)
    with silent(address, 12, PAGE):
        most = 0
        poll(lambda: len(bounds.addresses) == 1, "them to come")
        until = time.monotonic() + 60
        while bounds.addresses and time.monotonic() < until:
            most = max(most, bounds.waiting)
            time.sleep(0.002)
        assert 2**20 < most <= 6 * 2**20  # one more for a moment
        assert not bounds.addresses


def test_what_is_sent_ahead_of_its_answers_is_bounded(bounded: Bounded) -> None:
    address, bounds = bounded()
    stream = GET % b"/v1/events" + b"\r\n\r\n"
    with silent(address, 5, stream + HEALTH * 2000):
        poll(lambda: not bounds.addresses, "them to be cut off")
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_an_address_has_a_part_of_all_connections(bounded: Bounded) -> None:
    """And is told so; what it gives back it may have again. A named proxy has no bound."""
    address, bounds = bounded(of_address=5)
    with silent(address, 5, b""):
        poll(lambda: bounds.addresses["127.0.0.1"] == 5, "all of them")
        answer = httpx.get(f"{address}/healthz")
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/problem+json"
        assert httpx.get(f"{address}/healthz").status_code == 429
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.9")) as other:
            assert other.get(f"{address}/healthz").status_code == 200
        bounds.proxies = ("127.0.0.1",)
        assert httpx.get(f"{address}/healthz").status_code == 200
        bounds.proxies = ()
    poll(lambda: httpx.get(f"{address}/healthz").status_code == 200, "the places to be free")


# ------------------------------------------------------------ streams


def opened(address: str, stack: contextlib.ExitStack, credential: str) -> int:
    asked = httpx.stream("GET", f"{address}/v1/events", headers=bearer(credential), timeout=30)
    return stack.enter_context(asked).status_code


def test_an_address_has_a_part_of_all_streams(serve: Serve) -> None:
    """Servers, which show the key, have no bound: they open the streams of many."""
    address = serve(HERENOW_MAX_STREAMS="20", HERENOW_MAX_STREAMS_PER_ADDRESS="3")
    with contextlib.ExitStack() as stack:
        codes = [opened(address, stack, token(f"user-{i}")) for i in range(5)]
        assert codes == [200] * 3 + [429] * 2
        assert [opened(address, stack, API_KEY) for _ in range(18)] == [200] * 17 + [503]
    with contextlib.ExitStack() as stack:  # what they gave back
        poll(lambda: opened(address, stack, token("alice")) == 200, "a place")


def test_a_guest_has_so_many_streams_from_wherever(serve: Serve) -> None:
    """However many tokens they are given, and however many ask at once; others are not in their way."""
    address = serve("--proxy", "127.0.0.1", HERENOW_RATE_LIMIT="false")

    async def ask_at_once() -> list[int]:
        async with httpx.AsyncClient(
            timeout=60, limits=httpx.Limits(max_connections=None)
        ) as client:
            codes: list[int] = []
            enough = asyncio.Event()

            async def one(number: int) -> None:
                guest = token("guest-1", kind="guest", expires=100 + number)
                headers = {**bearer(guest), "X-Forwarded-For": f"192.0.2.{number}"}
                query = {"session": "tab"} if number % 3 == 0 else {}
                asked = client.stream("GET", f"{address}/v1/events", params=query, headers=headers)
                async with asked as stream:
                    codes.append(stream.status_code)
                    if len(codes) == 100:
                        enough.set()
                    await enough.wait()

            await asyncio.gather(*(one(number) for number in range(100)))
            return codes

    codes = asyncio.run(ask_at_once())
    assert (codes.count(200), codes.count(429)) == (64, 36)
    with contextlib.ExitStack() as stack:
        assert opened(address, stack, token("guest-2", kind="guest")) == 200
