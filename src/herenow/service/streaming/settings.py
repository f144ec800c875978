"""What bounds the streams and paces them."""

from dataclasses import dataclass

from herenow import names

MAX_ROOMS = 32
MAX_USERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """Settings of the streams; times in seconds. Raises ValueError for what makes no sense."""

    every_event_below: int = 100
    """Rooms with fewer online (to whoever looks) have each event sent at once."""
    counts_only_from: int = 10_000
    """Of rooms with so many online, counts alone are sent; events of watched users in any room."""
    slack: float = 0.1
    """A room goes back over a threshold when it has this part fewer online."""
    interval: float = 1.0
    """Between two diffs, and between two counts, of one room."""
    heartbeat: float = 15.0
    """After so long without anything to send, a comment is sent."""
    retry: float = 3.0
    """Clients reconnect after once to twice this, each after another time."""
    max_streams: int = 10_000
    """Of this process; further ones are refused."""
    max_streams_per_address: int | None = None
    """Of one address (IPv6: of its /64); None is a tenth of `max_streams`, at least 100."""
    max_streams_per_token: int = 64
    """Of one token that names a user: of this user's, however many tokens there are."""
    max_waiting: int = 4 * 2**20
    """Bytes that wait for a reader at most: who reads so slowly is cut off."""
    max_diff: int = 5_000
    """Users in a diff at most; where more came and went in an interval, a reset is sent."""
    send_timeout: float = 20.0
    """A reader whose connection takes nothing for so long is cut off."""
    gone_after: float = 45.0
    """A client that the network has not heard of for so long, of what was sent to it, is gone."""
    stop_within: float = 1.7
    """For readers and sessions to end, when the service does."""

    @property
    def of_address(self) -> int:
        """How many streams an address may have."""
        share = max(100, self.max_streams // 10)
        return min(self.max_streams, self.max_streams_per_address or share)

    def __post_init__(self) -> None:
        for name in ("interval", "heartbeat", "retry", "send_timeout", "gone_after", "stop_within"):
            names.milliseconds(getattr(self, name), name)
        for name in ("every_event_below", "counts_only_from", "max_streams", "max_diff"):
            names.clean_limit(getattr(self, name))
        for number in (self.max_streams_per_address or 1, self.max_streams_per_token):
            names.clean_limit(number)
        if not 0 <= self.slack < 1:
            raise ValueError("slack is a part of a threshold: from 0 to below 1")
        if self.counts_only_from < self.every_event_below:
            raise ValueError("counts_only_from is not below every_event_below")
        if self.max_waiting < 2**16:
            raise ValueError("max_waiting is at least 64 KiB")
