"""What deploy/ brings is true of the program: commands, settings, metrics and paths exist, and the units verify.

Images are not built here; what a file says is checked as text, and its commands are run where they can be.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from cryptography.fernet import Fernet

from worker.cli import program
from worker.config import Settings
from worker.web.app import create_app
from worker.web.metrics import METRICS
from worker.wiring import Wiring

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = {setting.metadata["name"] for setting in fields(Settings)}
UNITS = sorted((DEPLOY / "systemd").iterdir())
COMPOSE = sorted(DEPLOY.glob("compose*.yaml"))
OF_COMPOSE = {"POSTGRES_PASSWORD", "WORKERS"}
BIN = Path(sys.executable).parent

by_name = {"ids": lambda path: str(path.relative_to(ROOT))}


def texts() -> list[Path]:
    return sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def exists(words: list[str]) -> bool:
    """Whether `b24sync WORDS...` is a command; what follows a command are its arguments."""
    command: click.Command = program
    for word in words:
        if not isinstance(command, click.Group):
            return True
        found = command.get_command(click.Context(command), word)
        if found is None:
            return False
        command = found
    return not isinstance(command, click.Group) or command.invoke_without_command


def celery_takes(arguments: list[str]) -> bool:
    """Whether Celery's own command line takes them; it is not started."""
    end = subprocess.run(
        [BIN / "celery", *arguments, "--help"],
        cwd=ROOT,
        env={**os.environ, "CELERY_BROKER_URL": "redis://127.0.0.1:1/0"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return end.returncode == 0


def runs(command: list[str]) -> bool:
    name, *arguments = command
    return celery_takes(arguments) if name.endswith("celery") else name.endswith("b24sync") and exists(arguments)


@pytest.mark.parametrize("path", texts(), **by_name)
def test_every_setting_named_is_a_setting(path: Path):
    named = set(re.findall(r"\b(?:B24SYNC_[A-Z_]+|DATABASE_URL|CELERY_BROKER_URL)\b", path.read_text(encoding="utf-8")))

    assert named <= SETTINGS


def test_the_readme_of_deploy_names_every_file():
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in texts() if path.name not in readme] == ["README.md"]


# --- Docker ---


@cache
def dockerfile() -> list[tuple[str, str]]:
    """(instruction, the rest) of each, lines joined, comments left out."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def copied() -> list[str]:
    """What the image is built from."""
    return [
        name for word, rest in dockerfile() if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    ]


def healthcheck() -> list[str]:
    (line,) = (rest for name, rest in dockerfile() if name == "HEALTHCHECK")
    command: list[str] = json.loads(line[line.index("CMD") + 3 :])
    return command


def test_the_image_runs_our_command_and_not_as_root():
    users = [rest for name, rest in dockerfile() if name == "USER"]
    (command,) = (json.loads(rest) for name, rest in dockerfile() if name == "CMD")

    assert users == ["b24sync"]
    assert runs(command)
    assert all(rest.startswith("python:3.13-slim") for name, rest in dockerfile() if name == "FROM")


def test_nothing_but_what_is_copied_gets_near_the_image():
    """Above all no `.env` and no data."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}

    assert ignored[1] == "*"
    assert allowed == set(copied())


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_of_the_image_judges_by_the_status(status: int, code: int):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/healthz"
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _, *arguments = [part.replace(":8624", f":{server.server_port}") for part in healthcheck()]
        end = subprocess.run([sys.executable, *arguments], capture_output=True, timeout=30, check=False)
        server.shutdown()

    assert end.returncode == code


def build_context(folder: Path) -> Path:
    """A folder with what the Dockerfile copies, and nothing else."""
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def test_what_is_copied_is_enough_to_build_the_package(tmp_path: Path):
    context = build_context(tmp_path)
    make = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "out",
        ".",
    ]
    end = subprocess.run(make, cwd=context, capture_output=True, text=True, timeout=120, check=False)

    assert end.returncode == 0, end.stderr
    assert [wheel.name.split("-")[0] for wheel in (context / "out").iterdir()] == ["b24sync"]


@pytest.mark.long
def test_the_install_line_of_the_image_works_in_a_clean_environment(tmp_path: Path):
    context = build_context(tmp_path)
    steps = [rest for name, rest in dockerfile() if name == "RUN" and "/opt/b24sync" in rest]
    for step in steps:
        line = step.replace("/opt/b24sync", str(tmp_path / "venv")).replace("python -m", f"{sys.executable} -m")
        end = subprocess.run(line, shell=True, cwd=context, capture_output=True, text=True, timeout=600, check=False)  # noqa: S602
        assert end.returncode == 0, end.stderr
    version = subprocess.run(
        [tmp_path / "venv" / "bin" / "b24sync", "--version"], capture_output=True, text=True, check=True
    )

    assert len(steps) == 2
    assert version.stdout.startswith("b24sync, version ")


# --- Compose ---


def services(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    return found


def ours(path: Path) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in services(path).items() if service["image"] == "b24sync"}


@pytest.mark.parametrize("path", COMPOSE, **by_name)
def test_a_compose_file_starts_what_there_is(path: Path):
    for name, service in ours(path).items():
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert set(service["environment"]) <= SETTINGS
        assert "command" not in service or runs(service["command"]), name
        web = service.get("command", ["b24sync", "run"])[1] in {"run", "web"}
        assert web is not service.get("healthcheck", {}).get("disable", False), "only the web pages answer /healthz"
        assert ("B24SYNC_WEB_PASSWORD" in service["environment"]) is web
    wanted = set(re.findall(r"\$\{(\w+)", path.read_text(encoding="utf-8")))
    assert wanted <= SETTINGS | OF_COMPOSE


@pytest.mark.parametrize("path", COMPOSE, **by_name)
def test_a_container_may_do_little_and_is_open_to_this_machine_only(path: Path):
    for service in ours(path).values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    for service in services(path).values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_scaled_way_has_one_beat_and_waits_for_the_schema():
    found = ours(DEPLOY / "compose.scale.yaml")

    assert [name for name, service in found.items() if service["command"][-1] == "beat"] == ["beat"]
    assert found["migrate"]["command"] == ["b24sync", "db", "upgrade"]
    for name in set(found) - {"migrate"}:
        assert found[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert {"DATABASE_URL", "CELERY_BROKER_URL", "B24SYNC_ENCRYPTION_KEYS"} <= set(found[name]["environment"])


# --- systemd ---


def directives(path: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", UNITS, **by_name)
def test_a_unit_starts_what_there_is(path: Path):
    (line,) = directives(path, "ExecStart")

    assert runs([word.replace("%%", "%") for word in line.removeprefix("/opt/b24sync/bin/").split()])
    assert directives(path, "User") == ["b24sync"]


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    return found


@pytest.fixture(params=UNITS, **by_name)
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit as it would be installed, but for where the program lies; of a template, one instance."""
    unit = tmp_path / request.param.name.replace("@.", "@1.")
    text = request.param.read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/b24sync/bin/", f"{BIN}/"), encoding="utf-8")
    return unit


def test_systemd_has_nothing_to_say_of_a_unit(analyze: str, installed: Path):
    end = subprocess.run([analyze, "verify", installed], capture_output=True, text=True, timeout=60, check=False)

    assert (end.returncode, end.stdout, end.stderr) == (0, "", "")


def test_a_unit_is_hardened(analyze: str, installed: Path):
    """Exposure in tenths; without hardening it is 96."""
    judged = [analyze, "security", "--offline=true", "--threshold=15", "--no-pager", installed]
    end = subprocess.run(judged, capture_output=True, text=True, timeout=60, check=False)

    assert end.returncode == 0, end.stdout.splitlines()[-1:]


# --- In front, and watching ---


def test_nginx_treats_paths_that_there_are():
    with closing(Wiring(Settings.load({}))) as wiring:
        served = {rule.rule for rule in create_app(wiring).url_map.iter_rules()}
    conf = (DEPLOY / "nginx" / "b24sync.conf").read_text(encoding="utf-8")

    assert set(re.findall(r"location = (\S+)", conf)) <= served
    assert set(re.findall(r"proxy_pass (\S+);", conf)) == {f"http://{Settings.load({}).redirect_uri.split('/')[2]}"}
    assert conf.count("proxy_set_header Host $host") == conf.count("proxy_pass")


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every rule and every panel."""
    for group in yaml.safe_load((DEPLOY / "prometheus" / "b24sync.rules.yml").read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads((DEPLOY / "grafana" / "b24sync.json").read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_a_rule_or_a_panel_asks_for_metrics_and_labels_that_there_are(where: str, expression: str):
    named = re.findall(r"(b24sync_\w+)(?:\{([^}]*)\})?", expression)

    assert named or expression.startswith("up{")
    for metric, selector in named:
        assert metric in METRICS, f"{where}: {metric}"
        assert set(re.findall(r"(\w+)\s*[=!]", selector or "")) <= set(METRICS[metric].labels), f"{where}: {expression}"


def test_every_metric_that_tells_of_trouble_is_watched():
    watched = " ".join(expression for _, expression in expressions())

    assert {name for name in METRICS if name not in watched} == {
        "b24sync_token_pairs_total",
        "b24sync_records_fetched_total",
        "b24sync_rows_unchanged_total",
        "b24sync_records_rejected_total",
        "b24sync_refreshes_total",
    }


def test_the_line_that_makes_a_key_makes_one():
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^openssl rand.*$", readme, re.MULTILINE)
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (Debian: openssl)")
    made = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=30, check=True)  # noqa: S602

    Fernet(made.stdout.strip())
