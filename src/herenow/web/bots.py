"""Bots: distinguished from people by their user agent, with the patterns of crawler-user-agents.

Pure. A bot is named by what it says it is (``Googlebot``), so that "3 bots" are three kinds of bot. An
empty user agent is a bot's.
"""

import re
from functools import cache, lru_cache
from typing import Final

LONGEST_AGENT: Final = 512
"""Characters of a user agent that are looked at, here and for a guest's name."""
_PATTERNS_AT_ONCE: Final = 25
_NAME: Final = re.compile(r"\w[\w.-]{0,39}", re.ASCII)
_NO_NAME: Final = "unknown"


def bot_name(user_agent: str | None) -> str | None:
    """Name the bot that a user agent belongs to; None for a person's browser."""
    agent = (user_agent or "")[:LONGEST_AGENT].strip()
    return _bot_name(agent) if agent else _NO_NAME


@lru_cache(maxsize=8192)
def _bot_name(agent: str) -> str | None:
    for pattern in _crawlers():
        found = pattern.search(agent)
        if found is not None:
            name = _NAME.search(found[0])
            return name[0].rstrip(".-") if name else _NO_NAME
    return None


@cache
def _crawlers() -> tuple[re.Pattern[str], ...]:
    # one pattern of all is slower than a few of twenty-five each
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    patterns = [one["pattern"] for one in CRAWLER_USER_AGENTS_DATA]
    return tuple(
        re.compile("|".join(patterns[i : i + _PATTERNS_AT_ONCE]))
        for i in range(0, len(patterns), _PATTERNS_AT_ONCE)
    )
