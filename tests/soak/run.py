"""`make soak`: the whole soak on PostgreSQL and Redis, bounded to 20 minutes; its table goes into docs/soak.md."""

import os
import platform
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from redis import RedisError
from sqlalchemy import make_url

from tests.faults.brokers import NoneFree, redis_database
from tests.integration.conftest import POSTGRES, server_database
from tests.soak.soak import Figures, Plan, Soak

PAGE = Path(__file__).parents[2] / "docs" / "soak.md"

TEXT = """\
# The soak

`make soak` lets {portals} invented portals live for {minutes:.0f} minutes, with access tokens of {token_life} seconds,
while two `b24sync run` on one PostgreSQL and one Redis mirror them every {interval} seconds. {share:.0%} of all
requests go wrong (gateway pages, empty, cut and broken answers, resets, hangs of 3 s, refused tokens, rate limits, a
token server that fails or hangs), and every {kill_every:.0f} seconds one of the two daemons is killed with SIGKILL and
started again. Then nobody acts and nothing goes wrong any more, until the mirrors are equal.

This page is written by the run itself: {date}, Python {python}, {cores} cores that were shared with other work.

| | |
|---|---|
{table}

What the lines mean:

- **Differences**: every row of every mirror against what the portal really holds, after the quiet end.
- **Double refreshes**: token requests with a refresh token that had already been used up. A daemon that is killed
  between the token server's answer and its commit takes the only live pair with it: then a person must authorize again,
  and that is the line "pairs lost with a killed daemon".
- **Oldest data**: the longest that any resource of any portal was without a whole run, kills, restarts and the minute
  of a dead daemon's leases included.
- **Memory**: of the daemon that is not killed in the last part of the run, from the first to the last third of it.
"""


@click.command()
@click.option("--portals", default=50, show_default=True, help="How many portals.")
@click.option("--minutes", default=17.0, show_default=True, help="Of life, faults and kills.")
@click.option("--interval", default=30, show_default=True, help="Seconds between two runs of a portal.")
def main(portals: int, minutes: float, interval: int) -> None:
    """Soak, write the page, and fail where a promise was broken."""
    with ExitStack() as taken:
        try:
            broker_url = taken.enter_context(redis_database())
        except (NoneFree, RedisError) as error:
            sys.exit(f"no Redis to soak on: {error}")
        url, folder = taken.enter_context(server_database(POSTGRES)), Path(taken.enter_context(TemporaryDirectory()))
        plan = Plan(
            portals=portals,
            seconds=minutes * 60,
            interval=interval,
            token_life=60,
            fault_share=0.02,
            kill_every=60,
            acts_per_second=5,
            database_url=make_url(url).render_as_string(hide_password=False),
            broker_url=broker_url,
        )
        figures = Soak(plan, folder, tell=lambda text: click.echo(f"{datetime.now(UTC):%H:%M:%S} {text}")).run()
    PAGE.write_text(page(plan, figures), encoding="utf-8")
    click.echo(page(plan, figures))
    for line in [*figures.differences[:20], *figures.tracebacks[:5]]:
        click.echo(line, err=True)
    sys.exit(bool(figures.differences or figures.double_refreshes or figures.leases_left))


def page(plan: Plan, figures: Figures) -> str:
    """The page as it is published."""
    first, last = figures.memory[0][1], figures.memory[-1][1]
    lines = {
        "portals": plan.portals,
        "wall time, quiet end included": f"{figures.seconds / 60:.1f} min",
        "acts of people": figures.acts,
        "kills": figures.kills,
        "requests to portals": figures.requests,
        "faults met": figures.faults,
        "runs": ", ".join(f"{count} {status}" for status, count in sorted(figures.runs.items())),
        "rows written": figures.rows_written,
        "tokens refreshed": figures.refreshed,
        "token requests, failed ones included": figures.token_requests,
        "double refreshes": figures.double_refreshes,
        "pairs lost with a killed daemon": figures.lost_pairs,
        "oldest data": f"{figures.oldest:.0f} s",
        "equal after the end of trouble": f"{figures.settled_after:.0f} s",
        "leases left": figures.leases_left,
        "memory": f"{first:.0f} to {last:.0f} MB ({figures.memory_grown:+.1%})",
        "tracebacks in the logs": len(figures.tracebacks),
        "**differences**": len(figures.differences),
    }
    return TEXT.format(
        portals=plan.portals,
        minutes=plan.seconds / 60,
        token_life=plan.token_life,
        interval=plan.interval,
        share=plan.fault_share,
        kill_every=plan.kill_every,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)),
        table="\n".join(f"| {name} | {value} |" for name, value in lines.items()),
    )


if __name__ == "__main__":
    main()
