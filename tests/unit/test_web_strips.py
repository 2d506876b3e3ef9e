"""The picture of the last runs."""

from datetime import UTC, datetime

from worker.storage.models import SyncRun
from worker.web.strips import HEIGHT, WIDTH, strip, summary

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def run(*, rows: int = 0, seconds: float = 0.1, status: str = "ok", folded: int = 1) -> SyncRun:
    figures = {"inserted": rows, "updated": 0, "deleted": 0, "revived": 0, "folded": folded}
    return SyncRun(status=status, mode="full", seconds=seconds, started_at=NOW, finished_at=NOW, **figures)


def test_the_newest_run_stands_at_the_right_end():
    bars = strip([run(), run(status="failed")])

    assert [bar.status for bar in bars] == ["ok", "failed"]
    assert bars[-1].x + bars[-1].width == WIDTH
    assert bars[0].x + bars[0].width < bars[1].x


def test_a_longer_run_is_wider_and_one_that_wrote_more_is_taller():
    short, long = strip([run(), run(seconds=60, rows=50)])

    assert long.width > short.width
    assert long.height > short.height


def test_bars_stay_inside_the_picture():
    bars = strip([run(seconds=9999, rows=10**6)] * 500)

    assert all(bar.x >= 0 and bar.y >= 0 and bar.y + bar.height == HEIGHT for bar in bars)
    assert 5 < len(bars) < 500


def test_an_hour_of_quiet_runs_is_no_long_run():
    one, many = strip([run(seconds=1), run(seconds=12, folded=12)])

    assert one.width == many.width
    assert "12 quiet runs" in many.text


def test_the_picture_is_told_to_who_does_not_see_it():
    assert summary(strip([])) == "No runs yet"
    assert summary(strip([run(), run(), run(status="guarded")])) == "Last runs: 2 ok, 1 stopped by the guard"
