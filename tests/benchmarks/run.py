"""`make bench`: what a first mirror costs beside two peers' scripts that do the same work, in one run.

Wall time and CPU of a machine mean nothing elsewhere, so what is promised are ratios within this run, requests, and
memory. `--full` adds the million; `--write` puts the tables into docs/benchmarks.md.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import fleet
import harness
import quiet
from harness import Mirrored, ours, ours_in_turn, peer

LIMITED = {"page_ms": 20.0, "bucket": 50.0}
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"

POSTGRES = "postgresql+psycopg://root@127.0.0.1:5432/postgres"

Case = tuple[str, Callable[[], Mirrored]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="also a million tasks")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    parser.add_argument("--only", default="", help="only tables whose title holds this")
    chosen = parser.parse_args()
    parts: list[str] = []
    for title, make in TABLES.items():
        if chosen.only in title and (chosen.full or "1,000,000" not in title):
            parts.append(f"## {title}\n\n{make()}\n")
            print(parts[-1], flush=True)
    if chosen.write:
        PAGE.write_text("\n".join([HEAD.format(machine=machine()), *parts, NOTES.read_text()]))


def table(cases: list[Case], against: str = "") -> str:
    """Run the cases in their order. The ratios are ours to the case named `against`, or to each peer."""
    done = [(name, run()) for name, run in cases]
    empty = {} if not against else dict(done)
    lines = [
        "| | requests | batches | counts | refused | CPU s | wall s | peak MB | rows | CPU of ours | wall of ours |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    first = done[0][1]
    for name, one in done:
        asked, spent = one.asked, one.spent
        mine = empty.get(against, first)
        cells = [asked["requests"], asked["batches"], asked["counts"], asked["refused"]]
        figures = [f"{spent.cpu:.2f}", f"{spent.wall:.1f}", f"{spent.peak_mb:.0f}"]
        ratios = [f"{mine.spent.cpu / spent.cpu:.2f} x", f"{mine.spent.wall / spent.wall:.2f} x"]
        rows = f"{one.rows:,}" if not spent.failed else f"fails: {spent.failed[:80]}"
        ratios = ["", ""] if one is mine or spent.failed else ratios
        lines.append(f"| {' | '.join(map(str, [name, *cells, *figures, rows, *ratios]))} |")
    return "\n".join(lines)


def cold(tasks: int) -> str:
    return table(
        [
            ("b24sync", lambda: ours(tasks=tasks)),
            ("b24pysdk call_list_fast", lambda: peer("b24pysdk", tasks=tasks)),
            ("fast_bitrix24 get_all", lambda: peer("fast_bitrix24", tasks=tasks)),
        ]
    )


def limited() -> str:
    return table(
        [
            ("b24sync, 1 chain", lambda: ours(tasks=100_000, **LIMITED)),
            ("b24pysdk call_list_fast", lambda: peer("b24pysdk", tasks=100_000, **LIMITED)),
        ]
    )


def two_chains() -> str:
    return table(
        [
            ("b24sync, 2 chains", lambda: ours(tasks=100_000, chains=2, **LIMITED)),
            ("b24pysdk call_list_fast", lambda: peer("b24pysdk", tasks=100_000, **LIMITED)),
        ]
    )


def many_chains() -> str:
    return table(
        [
            ("b24sync, 16 chains", lambda: ours(tasks=100_000, chains=16, **LIMITED)),
            ("fast_bitrix24 get_all", lambda: peer("fast_bitrix24", tasks=100_000, **LIMITED)),
        ]
    )


def beyond_the_burst() -> str:
    return table(
        [
            ("b24sync, 16 chains", lambda: ours(tasks=200_000, chains=16, **LIMITED)),
            ("fast_bitrix24 get_all", lambda: peer("fast_bitrix24", tasks=200_000, **LIMITED)),
        ]
    )


def shared_bucket() -> str:
    """A bucket that others fill, or a smaller one: the first refusal tells us, unless we know."""
    return table(
        [
            ("b24sync, 1 chain", lambda: ours(tasks=50_000, bucket=10.0)),
            ("b24sync, 1 chain, told so", lambda: ours(tasks=50_000, bucket=10.0, burst=10.0)),
            ("b24sync, 16 chains, told so", lambda: ours(tasks=50_000, chains=16, bucket=10.0, burst=10.0)),
        ]
    )


def later_runs() -> str:
    """What a mirror that is there costs: nothing changed on the portal."""
    names = ("first reading", "what changed", "sweep of all IDs (`--reconcile`)", "everything again (`--full`)")
    done = ours_in_turn([(), (), ("--reconcile",), ("--full",)], tasks=100_000)
    lines = ["| | requests | batches | counts | CPU s | wall s | rows written |", "|---|---|---|---|---|---|---|"]
    for name, one in zip(names, done, strict=True):
        cells = [one.asked["requests"], one.asked["batches"], one.asked["counts"]]
        figures = [f"{one.spent.cpu:.2f}", f"{one.spent.wall:.1f}", f"{one.rows:,}"]
        lines.append(f"| {' | '.join(map(str, [name, *cells, *figures]))} |")
    return "\n".join(lines)


def postgres() -> str:
    """Rows that are ready, written in batches of 2,500 by both in turn: only the writing is measured."""
    with tempfile.TemporaryDirectory(prefix="b24sync-bench-") as folder:
        spent = harness.run([sys.executable, harness.HERE / "postgres.py", POSTGRES, 100_000], Path(folder))
    if spent.failed:
        return f"Not measured: {spent.failed}"
    seconds = json.loads(spent.out)
    lines = ["| | seconds | rows/s | faster than Core |", "|---|---|---|---|"]
    for key, name in (("ours", "b24sync"), ("core", "SQLAlchemy Core, executemany")):
        faster = f"{seconds['core'] / seconds[key]:.2f} x"
        lines.append(f"| {name} | {seconds[key]:.1f} | {100_000 / seconds[key]:,.0f} | {faster} |")
    return "\n".join(lines)


def memory() -> str:
    """Peaks of first mirrors of different sizes; the smallest is what the program itself needs."""
    sizes = (50, 10_000, 100_000)
    return _memory([(f"{tasks:,}", ours(tasks=tasks)) for tasks in sizes])


def million() -> str:
    small, large = ours(tasks=10_000), ours(tasks=1_000_000, limit=800)
    asked = large.asked
    end = large.spent.failed and f" It failed: {large.spent.failed}"
    figures = f"{asked['batches']} batches, {asked['counts']} counts, {asked['refused']} refused"
    line = f"\n\n1,000,000 tasks: {figures}, {large.spent.wall:.0f} s.{end}"
    return _memory([("10,000", small), ("1,000,000", large)]) + line


def _memory(runs: list[tuple[str, Mirrored]]) -> str:
    first = runs[0][1].spent.peak_mb
    lines = ["| tasks | peak MB | growth MB | CPU s | rows |", "|---|---|---|---|---|"]
    for name, one in runs:
        spent = one.spent
        lines.append(f"| {name} | {spent.peak_mb:.0f} | {spent.peak_mb - first:.1f} | {spent.cpu:.1f} | {one.rows:,} |")
    return "\n".join(lines)


def machine() -> str:
    model = next(
        (line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),  # noqa: PTH123, SIM115
        platform.processor(),
    )
    ours = ", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", "msgspec", "requests"))
    return f"{model}, Python {platform.python_version()}, {ours}; peers {', '.join(harness.PEERS[:2])}"


TABLES: dict[str, Callable[[], str]] = {
    "100,000 tasks, nothing limited": lambda: cold(100_000),
    "10,000 tasks, nothing limited": lambda: cold(10_000),
    "100,000 tasks, in the mirror already": later_runs,
    "100,000 tasks at 50 requests and 2 a second, 20 ms a page": limited,
    "The same in two chains": two_chains,
    "The same in sixteen chains": many_chains,
    "200,000 tasks, more than the burst, in sixteen chains": beyond_the_burst,
    "50,000 tasks, a bucket of 10": shared_bucket,
    "100,000 rows into PostgreSQL": postgres,
    "Memory": memory,
    "A turn without news": quiet.quiet,
    f"{fleet.FLEET:,} portals every five minutes, on two cores": fleet.many,
    "1,000,000 tasks": million,
}

HEAD = """\
# Benchmarks

Written by `make bench ARGS="--full --write"` on {machine}.

Each table is one run: a portal that answers from memory over TLS (`tests/benchmarks/portal.py`), and one program
after another that mirrors all its tasks into an empty SQLite. The peers' scripts (`peer_*.py`) store the same columns,
payload and hash under the same indexes through SQLAlchemy Core, 2,500 rows a transaction. CPU, wall time and memory
are those of the whole process, its start included. "Of ours" is our figure divided by the peer's: below 1 is better.
"""

NOTES = Path(__file__).parent / "notes.md"
"""What the tables show, and what was tried: written by hand, and put behind them."""

if __name__ == "__main__":
    sys.exit(main())
