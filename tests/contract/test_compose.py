"""docker-compose.yml and deploy/ agree with the pipeline: settings, commands, files, ports and secrets are real.

Nothing here needs Docker.  Kafka's variables are turned into its properties by the very program that does it in the
image, which comes with Kafka's jars, and a real broker is started with them.
"""

import functools
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import sinks.metrics
import streams.metrics
from streams.kafka.topics import ensure_topics
from streams.local import process
from streams.local.servers import HOST, free_port
from streams.settings import Settings
from tests.faults.harness.kafka import JAVA_OPTIONS
from tests.faults.harness.kafka_jars import jars
from tests.support.commands import BOUND_S
from tests.support.compose import (
    COMPOSE,
    LINK_KEYS,
    OURS,
    ROOT,
    SECRET,
    SERVICES,
    environment,
    interpolate,
    mounts,
    with_defaults,
)

PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
DOCKERFILE = re.sub(r"\\\n", "", (ROOT / "deploy/Dockerfile").read_text())
DECLARED = (streams.metrics.LAST_PROGRESS, sinks.metrics.LAST_COMMIT)  # importing them registered all the others


def test_there_is_every_part() -> None:
    """The production shape has its servers, the two jobs and the five services."""
    assert {"kafka", "clickhouse", "prometheus", "alertmanager", "grafana"} | set(OURS) == set(SERVICES)
    assert set(OURS) == {"topics", "migrate", "worker", "sink", "notifier", "incidents", "comments", "collector"}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    """Every image names a version of at least two numbers, never a moving tag."""
    _, _, tag = with_defaults(SERVICES[name]["image"]).partition(":")
    assert re.match(r"v?\d+\.\d+", tag), SERVICES[name]["image"]


def test_the_images_the_dockerfile_builds_on_are_pinned() -> None:
    """The image is built from one pinned Python, ends as a user who is not root, and starts `nps`."""
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)[-1] not in ("root", "0")
    assert re.findall(r"^ENTRYPOINT (.+)", DOCKERFILE, re.MULTILINE) == ['["nps"]']


def test_what_the_dockerfile_copies_is_sent_to_the_build() -> None:
    """Each file that the image is built from exists and is let through by .dockerignore."""
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)", DOCKERFILE, re.MULTILINE)
        for name in shlex.split(line)[:-1]
    }
    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("name", OURS)
def test_commands_exist(name: str) -> None:
    """The real parser knows every command that a service starts."""
    nps = str(Path(sys.executable).with_name("nps"))
    argv = [nps, *OURS[name]["command"], "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=BOUND_S)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", OURS)
def test_the_environment_makes_settings(name: str) -> None:
    """The real settings take every name and value that a service is given, and see the servers beside it."""
    settings = Settings.from_env(environment(name))
    assert settings.brokers.partition(":")[0] in SERVICES
    assert settings.clickhouse_url == f"http://nps:{SECRET}@clickhouse:8123/nps"
    assert settings.program_path is not None
    assert str(settings.program_path) in {target for _, target in mounts(name)}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    """Nobody but this machine reaches a published port."""
    ports = [str(port) for port in SERVICES[name].get("ports", [])]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports), ports


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_written_down(name: str) -> None:
    """Passwords and keys come from the environment and have no default; those that must be set say so."""
    given: Mapping[str, object] = SERVICES[name].get("environment", {})
    for key, value in given.items():
        if re.search(r"PASSWORD|SECRET|TOKEN|_KEYS?$", key):
            assert re.fullmatch(r"\$\{\w+:(-|\?.+)\}", str(value)), key
        if password := re.search(r"://[^:/@]*:(.+)@", str(value)):
            assert re.fullmatch(r"\$\{\w+:\?.+\}", password[1]), key


def test_a_missing_password_is_refused_by_name() -> None:
    """Without the password nothing starts, and the message names the variable."""
    with pytest.raises(KeyError, match="set CLICKHOUSE_PASSWORD"):
        interpolate(SERVICES["clickhouse"]["environment"]["CLICKHOUSE_PASSWORD"], {})
    with pytest.raises(KeyError, match="set GRAFANA_PASSWORD"):
        interpolate(SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"], {})


@pytest.mark.parametrize("name", SERVICES)
def test_dependencies_are_there_and_can_be_met(name: str) -> None:
    """A service waits for health only where there is a check, and for completion only of a job that runs once."""
    for other, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_services_come_back_and_jobs_do_not(name: str) -> None:
    """Whatever runs for ever is restarted and has time to stop; a job runs once."""
    job = name in ("topics", "migrate")
    assert SERVICES[name]["restart"] == ("no" if job else "unless-stopped")
    if name in OURS and not job:
        rebalance_s = Settings().rebalance_timeout_ms / 1000
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= rebalance_s


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_files_exist(name: str) -> None:
    """Files are mounted from the checkout, data from declared volumes."""
    for source, _ in mounts(name):
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_prometheus_scrapes_every_service_where_it_serves() -> None:
    """Each running service is a scrape target on the port that its settings say, open to the other containers."""
    found = {
        name: where["port"]
        for job in PROMETHEUS["scrape_configs"]
        for where in job.get("dns_sd_configs", [])
        for name in where["names"]
        if job["job_name"] == name
    }
    running = {name: Settings.from_env(environment(name)) for name in OURS if OURS[name]["restart"] != "no"}
    assert found == {name: settings.metrics_port for name, settings in running.items()}
    assert {settings.metrics_host for settings in running.values()} == {"0.0.0.0"}


def test_prometheus_finds_its_files() -> None:
    """The configuration file and the rules are where the command and the configuration look for them."""
    [folder] = [source for source, target in mounts("prometheus") if target == "/etc/prometheus"]
    [config] = [flag for flag in SERVICES["prometheus"]["command"] if flag.startswith("--config.file=/etc/prometheus/")]
    assert (ROOT / folder / config.rpartition("/")[2]).is_file()
    assert all(list((ROOT / folder).glob(pattern)) for pattern in PROMETHEUS["rule_files"])


def test_links_are_taken_by_the_keys_that_sign_them() -> None:
    """Worker and collector have the same keys, which must be given; nobody else has them."""
    keys = {name: environment(name).get("NPS_LINK_KEYS") for name in OURS}
    assert {name: given for name, given in keys.items() if given} == {"worker": LINK_KEYS, "collector": LINK_KEYS}
    with pytest.raises(KeyError, match="set LINK_KEYS"):
        interpolate(SERVICES["worker"]["environment"]["NPS_LINK_KEYS"], {})


def test_the_collector_is_published_where_it_listens() -> None:
    """Its port is open to the other containers and published to this machine alone."""
    settings = Settings.from_env(environment("collector"))
    assert settings.collector_host == "0.0.0.0"
    assert SERVICES["collector"]["ports"] == [f"{HOST}:{settings.collector_port}:{settings.collector_port}"]


def test_prometheus_sends_its_alerts_to_alertmanager() -> None:
    """At the port on which it listens, which is also one of its own targets, and its file is where it looks."""
    [managers] = [each["static_configs"] for each in PROMETHEUS["alerting"]["alertmanagers"]]
    [port] = SERVICES["alertmanager"]["ports"]
    assert managers == [{"targets": [f"alertmanager:{port.rpartition(':')[2]}"]}]
    scraped = [job for job in PROMETHEUS["scrape_configs"] if job["job_name"] == "alertmanager"]
    assert [job["static_configs"] for job in scraped] == [managers]
    [folder] = [source for source, target in mounts("alertmanager") if target == "/etc/alertmanager"]
    assert "--config.file=/etc/alertmanager/alertmanager.yml" in SERVICES["alertmanager"]["command"]
    assert (ROOT / folder / "alertmanager.yml").is_file()


def test_rules_speak_of_metrics_that_exist() -> None:
    """Every metric in a rule is declared by the pipeline, made by Prometheus itself, or recorded by another rule."""
    rules = list(all_rules())
    known = set(REGISTRY._names_to_collectors) | {"up"} | {rule["record"] for rule in rules if "record" in rule}
    for rule in rules:
        names = set(re.findall(r"\b(?:nps[:_][\w:]+|up)\b", rule["expr"]))
        assert names, rule
        assert names <= known, names - known


def test_alerts_say_who_and_what() -> None:
    """Every alert has a severity and a sentence."""
    alerts = [rule for rule in all_rules() if "alert" in rule]
    assert len(alerts) > 3
    assert all(rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"] for rule in alerts)


@pytest.mark.parametrize(
    ("metric", "ago_s", "code"),
    [
        ("nps_last_progress_seconds", 0.0, 0),
        ("nps_last_progress_seconds", 600.0, 1),
        ("nps_last_progress_seconds", None, 0),
        ("nps_sink_rows_total", None, 0),
    ],
    ids=["fresh", "stale", "stamps none", "another service"],
)
def test_health_is_progress(metric: str, ago_s: float | None, code: int) -> None:
    """The image's health check, run as it is written there, fails when the last progress is too long ago."""
    stamp = 0.0 if ago_s is None else time.time() - ago_s
    with metrics_server(f"# HELP nps_last_progress_seconds x\n{metric} {stamp}\n") as port:
        assert health(port) == code


def test_health_needs_an_answer() -> None:
    """A service whose metrics do not answer is not healthy; a job, which serves none, is not asked."""
    assert health(free_port()) == 1
    assert health(0) == 0


@pytest.mark.kafka
def test_kafka_starts_with_its_environment(tmp_path: Path) -> None:
    """Kafka takes the variables as the image's own program translates them, and the topics can be made."""
    outside = free_port()
    variables = on_this_machine(environment("kafka"), outside) | {"KAFKA_LOG_DIRS": str(tmp_path / "data")}
    folders = [f"--{which}-configs-dir={tmp_path}" for which in ("default", "mounted", "final")]
    properties = tmp_path / "server.properties"
    properties.touch()
    run = ["java", *JAVA_OPTIONS, "-cp", f"{jars()}/*"]
    subprocess.run(
        [*run, "kafka.docker.KafkaDockerWrapper", "setup", *folders],
        env={"PATH": os.environ["PATH"], **variables}, check=True, timeout=BOUND_S,
    )  # fmt: skip
    assert "auto.create.topics.enable=false\n" in properties.read_text()
    with (tmp_path / "log").open("wb") as log:
        broker = process.start([*run, "kafka.Kafka", str(properties)], log)
    try:
        report = ensure_topics(f"{HOST}:{outside}", {}, Settings().partitions, Settings().replication, BOUND_S)
    finally:
        process.kill(broker)
    assert (report.differences, report.notes) == ((), ()), (tmp_path / "log").read_text()


def test_kafka_keeps_its_data_in_its_volume() -> None:
    """The data folder is where the volume is mounted."""
    assert environment("kafka")["KAFKA_LOG_DIRS"] in {target for _, target in mounts("kafka")}


def test_kafka_is_advertised_where_it_is_published() -> None:
    """A client on this machine is sent back to the published port, which leads to the listener for the outside."""
    kafka = environment("kafka")
    [(host, published, inner)] = [port.split(":") for port in SERVICES["kafka"]["ports"]]
    assert f"OUTSIDE://{host}:{published}" in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"OUTSIDE://:{inner}" in kafka["KAFKA_LISTENERS"].split(",")
    assert f"{host}:{published}" == Settings().brokers


def on_this_machine(variables: Mapping[str, str], outside: int) -> dict[str, str]:
    """Kafka's variables with the container's name and ports exchanged for free ports of the loopback address."""
    listeners = {"INSIDE": free_port(), "OUTSIDE": outside, "CONTROLLER": free_port()}

    def local(value: str) -> str:
        return re.sub(r"(\w+)://[\w.]*:\d+", lambda found: f"{found[1]}://{HOST}:{listeners[found[1]]}", value)

    changed = {name: local(value) for name, value in variables.items()}
    return changed | {"KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@{HOST}:{listeners['CONTROLLER']}"}


def all_rules() -> Iterator[dict[str, Any]]:
    for path in sorted((ROOT / "deploy/prometheus/rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


@functools.cache
def health_command() -> tuple[str, ...]:
    [command] = re.findall(r"^HEALTHCHECK .*?CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    return tuple(json.loads(command))


def health(port: int) -> int:
    """Run the image's health check against a port of this machine."""
    python, *arguments = health_command()
    assert python == "python"
    env = {**os.environ, "NPS_METRICS_PORT": str(port)}
    return subprocess.run([sys.executable, *arguments], env=env, capture_output=True, check=False).returncode


class metrics_server:
    """Answers any request with one body, on a free port, for the length of a `with` block."""

    def __init__(self, body: str) -> None:
        class BatchHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = HTTPServer((HOST, 0), BatchHandler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> int:
        self._thread.start()
        return self._server.server_port

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
