"""Whatever a user may type, set or query is documented."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from functools import cache
from pathlib import Path

import click
import pytest

from tests.architecture.schema_page import VIEWS
from worker.cli import program
from worker.cli.program import COMMANDS
from worker.config import Settings
from worker.storage.models import Base
from worker.web.app import create_app
from worker.web.metrics import METRICS, Definition
from worker.wiring import Wiring

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]


@cache
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@cache
def documents() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


@pytest.fixture(params=dict(commands(program)).items(), ids=lambda pair: pair[0])
def command(request: pytest.FixtureRequest) -> tuple[str, click.Command]:
    pair: tuple[str, click.Command] = request.param
    return pair


def test_every_command_of_the_contract_is_there():
    assert set(COMMANDS) == {
        "demo",
        "connect",
        "run",
        "sync",
        "status",
        "rejected",
        "portals",
        "methods",
        "call",
        "record",
        "replay",
        "doctor",
        "db",
        "keys",
        "web",
    }


def test_a_command_has_help_with_an_example(command: tuple[str, click.Command]):
    name, it = command

    assert it.help
    assert re.search(rf"\b\n +Examples?:\n +b24sync {re.escape(name)}", it.help.replace("\b", "\\b")) or (
        f"b24sync {name}" in it.help and "Example" in it.help
    )


def test_the_lists_of_commands_are_not_cut_on_a_narrow_terminal():
    groups = [program, *(it for _, it in commands(program) if isinstance(it, click.Group))]

    for group in groups:
        context = click.Context(group, info_name="b24sync", terminal_width=80)
        cut = [line for line in group.get_help(context).splitlines() if line.endswith("...")]
        assert [line for line in cut if "ARGS" not in line] == []


def test_every_option_is_explained(command: tuple[str, click.Command]):
    for parameter in command[1].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_a_command_is_in_the_readme(command: tuple[str, click.Command]):
    assert re.search(rf"`(b24sync )?{re.escape(command[0])}\b", readme()), f"README.md does not show {command[0]!r}"


def test_every_option_is_in_the_readme(command: tuple[str, click.Command]):
    options = [option for parameter in command[1].params for option in parameter.opts if option.startswith("--")]

    for option in set(options) - {"--verbose", "--yes", "--help"}:
        assert option in readme(), f"README.md does not show {option} of {command[0]!r}"


@pytest.mark.parametrize("setting", [setting.metadata["name"] for setting in fields(Settings)])
def test_a_setting_is_in_the_readme(setting: str):
    assert f"`{setting}`" in readme()


def test_every_setting_that_a_page_names_is_one():
    known = {setting.metadata["name"] for setting in fields(Settings)}

    for page in PAGES:
        named = set(re.findall(r"\bB24SYNC_[A-Z_]+\b", page.read_text(encoding="utf-8")))
        assert named <= known, page.name


def test_every_table_and_view_that_the_readme_lists_is_one():
    section = readme().split("\n## Tables\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section, re.MULTILINE)

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(Base.metadata.tables)
    assert set(VIEWS) <= set(re.findall(r"`(\w+)`", section))


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_a_table_is_documented(table: str):
    assert f"`{table}`" in documents() or f"{table}(" in documents()


@cache
def web_page() -> str:
    return (ROOT / "docs" / "web.md").read_text(encoding="utf-8")


def test_every_endpoint_is_documented_and_no_other():
    with closing(Wiring(Settings.load({}))) as wiring:
        app = create_app(wiring)
    served = {rule.rule for rule in app.url_map.iter_rules()} - {"/static/<path:filename>"}

    assert set(re.findall(r"^\| `(/[^`]*)` ", web_page(), re.MULTILINE)) == served


def test_every_metric_is_documented_and_no_other():
    rows = re.findall(r"^\| `(b24sync_\w+)` \| (.*?) \| (.*) \((counter|gauge)\) \|$", web_page(), re.MULTILINE)
    written = {
        name: Definition(kind, tuple(re.findall(r"`(\w+)`", labels)), meaning) for name, labels, meaning, kind in rows
    }

    assert written == METRICS


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_a_view_is_in_the_readme(view: str):
    assert f"`{view}`" in readme()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_is_one(page: Path):
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"`b24sync ([a-z]+)", text)
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    lines = re.findall(r"^b24sync(?:-as-service)? ([a-z]+)", blocks, re.MULTILINE)

    assert set(spans + lines) <= set(COMMANDS)


def test_every_link_between_the_pages_leads_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_readme_links_to_what_the_mirror_promises():
    assert {"docs/promises.md", "docs/chaos.md"} <= set(re.findall(r"\]\(([^)#]+)\)", readme()))


def test_no_secret_setting_is_part_of_the_repr():
    shown = repr(Settings.load({}))

    for setting in fields(Settings):
        assert (f"{setting.name}=" in shown) is not setting.metadata["secret"]
