"""How a portal behaves, as `b24sync doctor` tells it: what is read a slower way and why; with --probe all there is."""

from collections.abc import Iterator

from worker.cli.console import App, ago, now
from worker.cli.findings import Finding, Verdict
from worker.resources.capabilities import slower
from worker.storage.capabilities import load_capabilities
from worker.storage.models import Account, Portal


def examine_behaviour(app: App, portal: Portal, account: Account, *, probe: bool) -> Iterator[Finding]:
    """What is known of the portal; with `probe` it is asked first. Raises B24SyncError when it does not answer."""
    if probe:
        for found in app.wiring.prober.probe(portal, account):
            yield Finding(Verdict.OK, f"{portal.domain}: {found.name} {found.value} ({found.evidence})")
    with app.wiring.ready_database.read() as session:
        known = load_capabilities(session, portal.id)
    if not known:
        cure = "the next run does it, or `b24sync doctor --probe`"
        yield Finding(Verdict.NOTE, f"{portal.domain} was not probed yet, so it is read the cautious way: {cure}")
        return
    at = ago(max(row.probed_at for row in known.values()), now())
    told = slower(known)
    for sentence in told:
        yield Finding(Verdict.NOTE, f"{portal.domain}, probed {at}: {sentence}")
    if not told:
        yield Finding(Verdict.OK, f"{portal.domain}, probed {at}: it behaves as its documentation says")
