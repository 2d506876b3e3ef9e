"""Lets other people's clients judge the emulated portal: what they read must be what is true. See docs/judges.md."""

import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tests.judges import fast, sdk
from tests.judges.measure import Verdict


def main() -> int:
    unequal = 0
    with tempfile.TemporaryDirectory(prefix="b24sync-judges-") as folder:
        for verdict in _all(Path(folder)):
            unequal += not verdict.equal
            mark = "equal" if verdict.equal else "NOT EQUAL"
            figures = f"{verdict.read:>6} {verdict.read_hash}   {verdict.true:>6} {verdict.true_hash}"
            print(f"{verdict.judge:14} {verdict.what:32} {figures}   {mark}", flush=True)
    print("all equal" if not unequal else f"{unequal} not equal")
    return 1 if unequal else 0


def _all(folder: Path) -> Iterator[Verdict]:
    print(", ".join(f"{name} {version(name)}" for name in (sdk.JUDGE, fast.JUDGE)))
    print(f"{'judge':14} {'what':32} {'read':>6} {'hash':12}   {'true':>6} hash")
    yield from sdk.judge(folder)
    yield from fast.judge()


if __name__ == "__main__":
    sys.exit(main())
