"""The files in `deploy/`: they parse, and name only what exists."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from deepclarity.pipelines.live.metrics import _Collector
from deepclarity.pipelines.live.stats import LiveStats, StatsSnapshot
from deepclarity.pipelines.live.supervisor import read_relays

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))


@pytest.fixture(scope="module")
def samples() -> set[str]:
    """The name of every sample that `/metrics` serves of a relay that has seen everything."""
    stats = LiveStats()
    stats.record_latency(0.1)
    snapshot = StatsSnapshot("a", source="rtsp://c/x", sink="rtsp://h/y", tier="turbo")
    snapshot.lanes, snapshot.kinds, snapshot.drops = {"pass": 1}, {"clean": 1}, {"late": 1}
    snapshot.queues, snapshot.histograms = (
        {"arriving": 1},
        stats.histograms() | {"stage_detect": stats.histograms()["age"]},
    )
    registry = CollectorRegistry()
    registry.register(_Collector(lambda: [snapshot]))
    families = re.findall(r"^# TYPE (\S+) (\S+)$", generate_latest(registry).decode(), re.MULTILINE)
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + end for name, kind in families for end in suffixes.get(kind, ("",))}


def used(text: str) -> set[str]:
    return set(re.findall(r"\bdeepclarity_[a-z_]+", text))


def test_the_alerts_name_only_metrics_that_exist(samples: set[str]) -> None:
    yaml = pytest.importorskip("yaml")
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    assert len(group["rules"]) >= 5
    for rule in group["rules"]:
        assert used(rule["expr"]) <= samples
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_the_board_names_only_metrics_that_exist(samples: set[str]) -> None:
    board = json.loads((DEPLOY / "grafana" / "deepclarity.json").read_text())
    expressions = [target["expr"] for chart in board["panels"] for target in chart["targets"]]
    assert len(expressions) > 10
    for expression in expressions:
        assert used(expression)
        assert used(expression) <= samples
    places = [(chart["gridPos"]["x"], chart["gridPos"]["y"]) for chart in board["panels"]]
    assert len(set(places)) == len(places)


def test_promtool_accepts_the_alerts() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    subprocess.run(["promtool", "check", "rules", DEPLOY / "alerts.yml"], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace("/opt/deepclarity/bin/deepclarity", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, unit.name in done.stderr) == (0, False), done.stderr


def services() -> dict[str, dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


def test_every_file_that_compose_mounts_exists() -> None:
    mounted = [volume.split(":")[0] for service in services().values() for volume in service.get("volumes", ())]
    assert len(mounted) >= 4
    assert [path for path in mounted if not (DEPLOY / path).exists()] == []


def test_the_gpu_variant_changes_services_that_exist() -> None:
    yaml = pytest.importorskip("yaml")
    changed = yaml.safe_load((DEPLOY / "compose.cuda.yaml").read_text())["services"]
    assert set(changed) == {name for name, service in services().items() if "build" in service}
    assert {service["build"]["args"]["VARIANT"] for service in changed.values()} == {"cu130"}


def commands() -> dict[str, list[str]]:
    """The `deepclarity` command of each service and unit."""
    found = {name: shlex.split(service["command"]) for name, service in services().items() if "build" in service}
    for unit in UNITS:
        (line,) = re.findall(r"^ExecStart=\S+ (.*)$", unit.read_text(), re.MULTILINE)
        found[unit.stem] = shlex.split(line)
    return found


def test_the_commands_have_options_that_exist() -> None:
    from deepclarity.cli.app import cli

    for name, (command, *arguments) in commands().items():
        parsed = cli.get_command(cli.make_context("deepclarity", [command]), command)
        assert parsed is not None, name
        parsed.make_context(command, arguments)


def test_the_relay_file_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA", "rtsp://user:secret@10.0.0.11/main")
    (relay,) = read_relays(DEPLOY / "relays.toml")
    assert relay.name == "camera"
    server = relay.job().server
    assert server is not None
    assert server.label == "rtsp://mediamtx:8554/clear"


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_image_runs_as_a_user_and_is_checked() -> None:
    names = [name for name, _ in instructions()]
    assert set(names) <= {
        "ARG", "FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
        "ENTRYPOINT", "CMD",
    }  # fmt: skip
    last = names[len(names) - names[::-1].index("FROM") :]
    assert dict(instructions())["USER"] not in ("root", "0")
    assert last.index("USER") < last.index("ENTRYPOINT")
    assert "HEALTHCHECK" in last
    assert "RUN" not in last[last.index("USER") :]


def test_the_image_gets_every_folder_of_the_project() -> None:
    """What is copied exists and is not kept out of the build context; every folder of packages is copied."""
    copied = [
        place for name, rest in instructions() if name == "COPY" and "--from" not in rest for place in rest.split()[:-1]
    ]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert [place for place in copied if not (ROOT / place).exists()] == []
    assert set(copied) <= allowed
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"].values()
    assert {folder.split("/")[0] for folder in folders} <= set(copied)


def test_the_install_script_is_one() -> None:
    subprocess.run(["sh", "-n", DEPLOY / "install.sh"], check=True, timeout=20)
