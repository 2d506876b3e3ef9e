"""Portals, peers and programs of a measure, each a process of its own: what is measured is one program whole."""

import gzip
import json
import os
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = ("b24pysdk==1.3.2", "fast_bitrix24==1.8.14", "sqlalchemy>=2.1,<2.2")


@cache
def certificate() -> Path:
    """A folder with a certificate for 127.0.0.1, made for this process: the peers speak nothing but https."""
    folder = Path(tempfile.mkdtemp(prefix="b24sync-bench-"))
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@cache
def peer_python() -> Path:
    """The interpreter of the peers' environment, made once beside our own."""
    home = Path(sys.prefix) / "bench-peers"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        print("making the peers' environment (once) ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
        (home / "ready").touch()
    return python


@dataclass
class Portal:
    """A running portal, and after its end what it was asked."""

    webhook: str
    asked: dict[str, int] = field(default_factory=dict)

    def asked_so_far(self) -> dict[str, int]:
        parts = urlsplit(self.webhook)
        trust = ssl.create_default_context(cafile=str(certificate() / "cert.pem"))
        connection = HTTPSConnection(parts.hostname or "", parts.port, context=trust)
        connection.request("GET", "/asked")
        told: dict[str, int] = json.loads(gzip.decompress(connection.getresponse().read()))
        connection.close()
        return told


@contextmanager
def portal(**spec: Any) -> Iterator[Portal]:  # noqa: ANN401 - fields of portal.Spec
    """A portal that answers from memory, until the block ends."""
    spec.setdefault("tls", str(certificate()))
    command = [sys.executable, HERE / "portal.py", json.dumps(spec)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        one = Portal(json.loads(process.stdout.readline())["webhook"])
        try:
            yield one
        finally:
            process.stdin.close()
            one.asked = json.loads(process.stdout.readline() or "{}")


@dataclass(frozen=True)
class Spent:
    """What a program cost, its start included.

    Args:
        wall, cpu: Seconds.
        peak_mb: Its largest resident size.
        failed: The last line it left on stderr, where it failed.
        out: Its stdout.
    """

    wall: float
    cpu: float
    peak_mb: float
    failed: str
    out: str


def run(command: Sequence[object], folder: Path, environ: Mapping[str, str] | None = None, limit: float = 600) -> Spent:
    """Run a program to its end, or to `limit` seconds."""
    trust = str(certificate() / "cert.pem")
    env = {**os.environ, "REQUESTS_CA_BUNDLE": trust, "SSL_CERT_FILE": trust, **(environ or {})}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is not compiled at each start, nor are the peers
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        began = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], cwd=folder, env=env, stdout=out, stderr=err)
        timer = subprocess.Popen(["sh", "-c", f"sleep {limit}; kill {process.pid}"], start_new_session=True)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            os.killpg(timer.pid, 15)
            timer.wait()
        wall = time.monotonic() - began
        out.seek(0)
        err.seek(0)
        text = err.read().strip()
        return Spent(
            wall=wall,
            cpu=usage.ru_utime + usage.ru_stime,
            peak_mb=usage.ru_maxrss / 1024,
            failed=(text.splitlines() or ["?"])[-1] if os.waitstatus_to_exitcode(status) else "",
            out=out.read(),
        )


@dataclass(frozen=True)
class Mirrored:
    """One program's mirror of one portal.

    Args:
        spent: What it cost.
        asked: What the portal was asked for it.
        rows: Written.
    """

    spent: Spent
    asked: dict[str, int]
    rows: int


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="b24sync-bench-") as name:
        yield Path(name)


def ours(**how: Any) -> Mirrored:  # noqa: ANN401 - as `ours_in_turn`
    """The first mirror of a portal's tasks by `b24sync sync`; connecting it is not part of the measure."""
    return ours_in_turn([()], **how)[0]


def ours_in_turn(
    runs: Sequence[Sequence[str]],
    *,
    chains: int = 1,
    burst: float = 0,
    limit: float = 600,
    **spec: Any,  # noqa: ANN401 - fields of portal.Spec
) -> list[Mirrored]:
    """`b24sync sync` with the options of each run, one after another in the same mirror.

    With `burst` our own budget knows how much the portal's bucket holds.
    """
    environ = {"B24SYNC_CHAINS": str(chains), "B24SYNC_DATA_DIR": "."}
    command = [sys.executable, HERE / "ours.py"]
    mirrored: list[Mirrored] = []
    with portal(**spec) as one, _folder() as folder:
        connected = run([*command, "connect", "--webhook", one.webhook], folder, environ)
        if connected.failed:
            raise SystemExit(connected.failed)
        if burst:
            with sqlite3.connect(folder / "b24sync.db") as database:
                database.execute("INSERT OR IGNORE INTO request_budgets VALUES (1, 0, 0, 2, 50, 1, 0)")
                database.execute("UPDATE request_budgets SET burst = ?", [burst])
        for options in runs:
            before = one.asked_so_far()
            spent = run([*command, "sync", "--resource", "tasks", "--json", *options], folder, environ, limit)
            asked = {name: count - before[name] for name, count in one.asked_so_far().items()}
            report = json.loads(spent.out)["runs"][0] if spent.out else {"inserted": 0, "updated": 0}
            mirrored.append(Mirrored(spent, asked, report["inserted"] + report["updated"]))
    return mirrored


def peer(name: str, *, limit: float = 600, **spec: Any) -> Mirrored:  # noqa: ANN401
    """The same by a peer's script."""
    with portal(**spec) as one, _folder() as folder:
        command = [peer_python(), HERE / f"peer_{name}.py", one.webhook, "sqlite:///peer.db"]
        spent = run(command, folder, limit=limit)
    return Mirrored(spent, one.asked, int(spent.out or 0) if not spent.failed else 0)
