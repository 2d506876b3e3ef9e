"""A server of its own: any number of portals that all answer what one emulated portal answers, from memory.

To emulate thousands of worlds would take the machine that is to be measured. So one world is asked once for each
request that differs, and its answer is given to all; only the clock in it is new. Each portal has a port of its own,
for each costs its client a connection of its own, over TLS. Tokens are not looked at, and renewed whenever asked.
"""

import asyncio
import json
import os
import re
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from worker.emulator import Emulator, PortalSpec

DATE = re.compile(rb"\d{4}-\d{2}-\d{2}T\d{2}(:|%3A)\d{2}(:|%3A)\d{2}")
AUTH = re.compile(rb'"auth":"[^"]*"')
NOW = re.compile(rb'"date_start":"[^"]*"')


class Memory:
    """What the world has answered, by what it was asked."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._auth = f'"auth":"{token}"'.encode()
        self._known: dict[tuple[str, bytes], tuple[int, bytes]] = {}
        self.requests = 0
        self.refreshed = 0

    async def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path.startswith("/oauth/token"):
            return 200, self._grant()
        self.requests += 1
        asked = path, DATE.sub(b"", AUTH.sub(b"", body))
        known = self._known.get(asked)
        if known is None:
            known = await asyncio.get_running_loop().run_in_executor(None, self._ask, path, body)
            self._known[asked] = known
        stamp = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds").encode()
        return known[0], NOW.sub(b'"date_start":"%b"' % stamp, known[1])

    def _ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        mine = AUTH.sub(self._auth, body)
        request = Request(self._url + path, mine, {"Content-Type": "application/json"})  # noqa: S310 - loopback
        try:
            with urlopen(request, timeout=60) as reply:  # noqa: S310
                return 200, bytes(reply.read())
        except HTTPError as refused:
            return refused.code, bytes(refused.read())

    def _grant(self) -> bytes:
        self.refreshed += 1
        pair = {"access_token": f"a{self.refreshed}", "refresh_token": f"r{self.refreshed}", "expires_in": 3600}
        return json.dumps(pair).encode()


def connection(memory: Memory) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            while True:  # a portal does not keep a connection that is silent
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, reply = await memory.answer(first.split(" ")[1].partition("?")[0], body)
                writer.write(
                    b"HTTP/1.1 %d -\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
                    b"Content-Length: %d\r\n\r\n" % (status, len(reply))
                )
                writer.write(reply)
                await writer.drain()
        writer.close()

    return serve


async def main(portals: int, tls: str, spec: dict[str, Any]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{tls}/cert.pem", f"{tls}/key.pem")
    with Emulator() as emulator:
        world = emulator.add_portal(PortalSpec(**spec, limits=False))
        memory = Memory(world.url, world.issue_tokens(world.admin_id)["access_token"])
        servers = [
            await asyncio.start_server(connection(memory), "127.0.0.1", 0, ssl=context, limit=2**20)
            for _ in range(portals)
        ]
        told = {"ports": [one.sockets[0].getsockname()[1] for one in servers], "user": world.admin_id}
        print(json.dumps(told), flush=True)
        while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            if line.strip() == "asked":
                print(json.dumps({"requests": memory.requests, "refreshed": memory.refreshed}), flush=True)
        os._exit(0)  # thousands of connections would each tell that they are cut


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
