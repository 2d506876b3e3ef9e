"""`b24sync record` and `b24sync replay` as people use them."""

import json
import stat
from pathlib import Path

import pytest

from tests.integration.mirror import ENTITIES
from tests.integration.stage import Stage

FIRST = '{"b24sync_recording": 1, "at": "2026-11-23T12:00:00Z"}\n'


def test_record_and_replay_are_commands(connected: Stage, tmp_path: Path):
    out = tmp_path / "acme.jsonl"

    written = connected.invoke("record", "1", "--out", str(out))

    assert written.exit_code == 0, written.output
    assert written.stdout == ""
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert connected.rows().keys().isdisjoint(ENTITIES)
    told = connected.json("replay", str(out), "--json")["runs"]
    figures = json.loads(out.read_text().splitlines()[-1])["reports"]
    assert [{name: run[name] for name in figures[0]} for run in told] == figures
    assert told[0]["fetched"] == len(connected.portal.world.users)
    assert connected.rows().keys().isdisjoint(ENTITIES)


def test_a_recording_is_kept_in_the_database_that_was_named(connected: Stage, tmp_path: Path):
    out = tmp_path / "acme.jsonl"
    connected.json("sync", "--json")
    before = connected.rows()
    connected.invoke("record", "1", "--out", str(out))

    own = connected.invoke("replay", str(out), "--database", f"sqlite:///{connected.folder / 'b24sync.db'}")

    assert own.exit_code == 0, own.output
    after = connected.rows()
    assert after["portals"] == before["portals"] + 1
    assert after["tasks"] == 2 * before["tasks"]


def test_a_file_that_is_there_is_not_overwritten(connected: Stage, tmp_path: Path):
    out = tmp_path / "mine.txt"
    out.write_text("precious")

    end = connected.invoke("record", "1", "--out", str(out))

    assert end.exit_code == 2
    assert "name a new file" in end.stderr
    assert out.read_text() == "precious"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON\n",
        "[1]\n",
        '{"b24sync_recording": 99}\n',
        FIRST,
        FIRST.replace("Z", ""),
        FIRST + '{"call": "profile", "params": {}, "answer": []}\n',
        FIRST + '{"request": 1, "at": 7}\n',
    ],
)
def test_what_is_no_recording_is_refused_in_one_sentence(connected: Stage, tmp_path: Path, text: str):
    path = tmp_path / "other.jsonl"
    path.write_text(text)

    end = connected.invoke("replay", str(path))

    assert end.exit_code == 2
    assert len(end.stderr.splitlines()) == 1
    assert "is no recording of b24sync" in end.stderr


def test_a_call_that_was_never_recorded_ends_the_replay_with_a_reason(connected: Stage, tmp_path: Path):
    out = tmp_path / "acme.jsonl"
    connected.invoke("record", "1", "--out", str(out))
    kept = [line for line in out.read_text().splitlines(keepends=True) if '"calendar.section.get"' not in line]
    out.write_text("".join(kept))

    end = connected.invoke("replay", str(out), "--json")

    assert end.exit_code == 1
    assert "no answer to this call" in end.stdout
