"""`make bench`: requests and memory of a mirror made from nothing, and of the round after it.

Nothing here is timed against a clock on the wall; requests, rows and peak memory are what was promised.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

CASES = (
    ("1,000 tasks, 200 events, 20 users", {"tasks": 1000, "events": 200, "users": 20}),
    ("10,000 tasks, 200 events, 20 users", {"tasks": 10_000, "events": 200, "users": 20}),
    ("100,000 tasks, 200 events, 20 users", {"tasks": 100_000, "events": 200, "users": 20, "limits": False}),
)


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Figures of two syncs and a sweep of a portal like `spec`; portal and mirror are processes of their own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, HERE / "portal.py", json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as portal,
    ):
        assert portal.stdout is not None
        assert portal.stdin is not None
        how = json.loads(portal.stdout.readline())
        mirror = subprocess.run(
            [sys.executable, HERE / "mirror.py"],
            input=json.dumps(how["tokens"]),
            env={**os.environ, **how["settings"]},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        portal.stdin.close()
        if mirror.returncode:
            raise SystemExit(mirror.stderr)
        return json.loads(mirror.stdout)


def main() -> None:
    line = "{:<36} {:>9} {:>9} {:>8} {:>8} {:>8} {:>10}"
    print(line.format("portal", "requests", "rows", "again", "written", "sweep", "memory MB"))
    for name, spec in CASES:
        figures = measure(spec)
        first, second, sweep = figures["rounds"]
        print(
            line.format(
                name,
                sum(report["http_requests"] for report in first),
                sum(report["inserted"] for report in first),
                sum(report["http_requests"] for report in second),
                sum(report[kind] for report in second for kind in ("inserted", "updated", "deleted", "revived")),
                sum(report["http_requests"] for report in sweep),
                f"{figures['memory_growth_mb']:.1f}",
            )
        )


if __name__ == "__main__":
    main()
