"""Connects one account, syncs twice and sweeps; prints the figures of all three and this process's memory as JSON."""

import json
import resource
import sys

from worker.config import Settings
from worker.sync.portal import Wish
from worker.sync.report import Mode
from worker.wiring import Wiring


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    tokens = json.loads(sys.stdin.read())
    wiring = Wiring(Settings.load())
    portal_id = wiring.connector.with_tokens(tokens).portal_id
    before = peak_mb()
    rounds = []
    for mode in (None, None, Mode.RECONCILE):
        outcome = wiring.sync.run(portal_id, Wish(at_once=True, mode=mode))
        rounds.append([report.as_dict() for report in outcome.reports] if outcome else [])
    wiring.close()
    sys.stdout.write(json.dumps({"rounds": rounds, "memory_before_mb": before, "memory_growth_mb": peak_mb() - before}))


if __name__ == "__main__":
    main()
