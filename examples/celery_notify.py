"""E-mail those who are away, and spare those who are here: who is online, asked by a Celery task.

    celery --app examples.celery_notify worker
    python -c 'from examples.celery_notify import notify; notify.delay(["alice", "bob"], "Hello")'

The worker is no web process: it shares the store with the site, and that is all it needs.
HERENOW_URL names the store, CELERY_BROKER_URL the broker.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery import Celery

import herenow

RETRY_AFTER = 60  # seconds, while the store does not answer
LONG_GONE = timedelta(days=14)

app = Celery("notify", broker=os.environ.get("CELERY_BROKER_URL", "memory://"))
app.conf.broker_connection_retry_on_startup = True
presence = herenow.Presence(os.environ.get("HERENOW_URL", "redis://localhost:6379/0"))


@app.task(autoretry_for=(herenow.StoreError,), default_retry_delay=RETRY_AFTER, max_retries=5)
def notify(users: list[str], text: str) -> dict[str, list[str]]:
    """Tell many: on the page those who are online, by e-mail the others, not at all the long gone.

    One look-up for all of them, whoever they are.
    """
    told: dict[str, list[str]] = {"page": [], "mail": [], "nobody": []}
    for user, seen in presence.lookup(users).items():
        if seen.online and not seen.away:
            told["page"].append(user)  # her page will show it: nothing to send
        elif seen.last_seen and datetime.now(UTC) - seen.last_seen < LONG_GONE:
            told["mail"].append(user)
            send_mail(user, text)
        else:
            told["nobody"].append(user)
    return told


def send_mail(user: str, text: str) -> None:
    """Put a mail into a folder; on a real site: smtplib, or whoever sends your mail."""
    outbox = Path(os.environ.get("OUTBOX", "outbox"))
    outbox.mkdir(parents=True, exist_ok=True)
    with (outbox / f"{user}.txt").open("a") as mail:
        mail.write(f"{text}\n")
