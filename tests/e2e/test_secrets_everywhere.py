"""Everything that a whole installation writes is searched for every secret that it used: nothing is found."""

import base64
import json
import re
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from tests.faults.proxy import Proxy
from worker.emulator import PortalSpec

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.redis]

PASSWORD = "p4ssw0rd-of-the-pages"
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def unpacked(written: bytes) -> bytes:
    """With what is packed inside: Celery's messages are base64 of JSON."""
    parts = [written]
    for found in _BASE64.findall(written):
        whole = found.rstrip(b"=")
        padded = whole if len(whole) % 4 != 1 else whole[:-1]
        parts.append(base64.b64decode(padded + b"=" * (-len(padded) % 4)))
    return b"\n".join(parts)


def messages(sent: bytes) -> list[object]:
    """What was sent to the broker, as Celery packs it."""
    bodies = re.findall(rb'"body": ?"([A-Za-z0-9+/=]+)"', sent.replace(b'\\"', b'"'))
    return [json.loads(base64.b64decode(body)) for body in bodies]


def page(here: "Stage", path: str) -> bytes:
    request = urllib.request.Request(f"http://{here.ours['B24SYNC_WEB_LISTEN']}{path}")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"any:{PASSWORD}".encode()).decode())
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
        return bytes(answer.read())


def test_no_secret_is_written_anywhere(stage: Callable, redis_broker: str):
    """Logs at DEBUG, files, the database, what went to the broker (messages, acknowledgements, events), and pages.

    Of Celery's own programs and of ours, which serves the pages, side by side on one broker. With faults of many kinds,
    refreshes, a webhook beside the tokens, and a portal that goes.
    """
    sent: list[bytes] = []
    with Proxy(6379, on_sent=sent.append) as wire:
        key = Fernet.generate_key().decode()
        here = stage(
            PortalSpec(tasks=30, events=5, users=4),
            CELERY_BROKER_URL=redis_broker.replace("6379", str(wire.port)),
            B24SYNC_ENCRYPTION_KEYS=key,
            B24SYNC_WEB_PASSWORD=PASSWORD,
        )
        portal, tokens = here.portal, here.emulator.token_server
        tokens.lifetime = 6
        here.connect()
        webhook = portal.webhook_url(portal.admin_id)
        here.wiring.connector.with_webhook(webhook)
        for kind in ("expired_token", "html", "cut", "broken_json", "internal_error", "sub_error", "redirect"):
            portal.faults.add(kind, times=1, after=3)
        tokens.faults.add("html", times=1, after=1)
        worker = ("celery", "-A", "worker", "worker", "-P", "threads", "-c", "2", "-E", "--loglevel", "DEBUG")
        beat = ("celery", "-A", "worker", "beat", "--loglevel", "DEBUG")
        with here.process(*worker), here.process(*beat), here.process("worker", "-vv", "run"):
            here.wait(lambda: len([grant for grant in tokens.log if grant.outcome == "ok"]) >= 2)
            here.wait(lambda: {run.status for run in here.runs()} >= {"ok"} and len(here.runs()) >= 12)
            here.wait(lambda: page(here, "/healthz"))
            written = {path: page(here, path) for path in ("/", "/metrics", "/healthz")}
            tokens.revoke(portal)
            tokens.expire(portal)
            here.wait(lambda: "authorize again" in here.logs())
    pairs = [secret for pair in tokens._access.values() for secret in (pair.access, pair.refresh)]
    secrets = {*pairs, portal.client_secret, webhook.rstrip("/").rsplit("/", 1)[1], key, PASSWORD}
    written["the broker"] = b"".join(sent)
    written |= {str(file): file.read_bytes() for file in here.folder.rglob("*") if file.is_file()}

    (ours,) = (content for name, content in written.items() if re.search(r"/run-\d+\.log$", name))
    told = [json.loads(line) for line in ours.decode().splitlines() if line.startswith("{")]

    assert len(secrets) >= 8
    assert {"b24sync is running; 16 portals may be read at once"} <= {line["message"] for line in told}
    assert {line["logger"].partition(".")[0] for line in told if line["level"] == "debug"} >= {"worker", "celery"}
    assert b"task-received" in unpacked(written["the broker"]), "the events are not among what was searched"
    assert any(name.endswith("b24sync.db") for name in written)
    jobs = [  # [args, kwargs, more]; the others are greetings and events
        message
        for message in messages(written["the broker"])
        if isinstance(message, list) and isinstance(message[0], list)
    ]
    assert any(args for args, *_ in jobs)
    for args, kwargs, *_ in jobs:  # whatever lies in a queue may be read by whoever may read the broker
        assert kwargs == {}
        assert all(isinstance(arg, int) for arg in args)
    for where, content in written.items():
        found = [secret for secret in secrets if secret.encode() in unpacked(content)]
        assert found == [], f"a secret in {where}"
