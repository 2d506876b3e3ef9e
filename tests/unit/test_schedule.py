"""When beat says what."""

from datetime import timedelta

from worker.schedule import ALERT, beat_schedule


def test_alerts_are_looked_for_only_where_there_is_somebody_to_tell():
    minute = timedelta(minutes=1)

    assert ALERT not in {entry["task"] for entry in beat_schedule(minute).values()}
    assert ALERT in {entry["task"] for entry in beat_schedule(minute, alerts=True).values()}
