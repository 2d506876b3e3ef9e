"""What turns an answer into rows, as one text: this program, and the rules of time zones that it reads dates by.

Neither changes while a process lives (it reads each rule once). Of two hosts that differ in it each takes nothing for
read that the other has read.
"""

import zoneinfo
from functools import cache
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from uuid import uuid4

import worker


@cache
def edition() -> str:
    """Equal texts: equal answers mean equal rows."""
    digest = blake2b(digest_size=16)
    for name, content in (*_program(Path(worker.__file__).parent), *_zones()):
        digest.update(f"{name} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def _program(folder: Path) -> list[tuple[str, bytes]]:
    files = [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.rglob("*.py"))]
    return files or [("unknown", uuid4().bytes)]  # a program without its sources knows its own process only


def _zones() -> list[tuple[str, bytes]]:
    return [(key, _rules(key)) for key in sorted(zoneinfo.available_timezones())]


def _rules(key: str) -> bytes:
    """The file that ZoneInfo would read."""
    for folder in zoneinfo.TZPATH:
        path = Path(folder, key)
        if path.is_file():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *key.split("/")).read_bytes()
