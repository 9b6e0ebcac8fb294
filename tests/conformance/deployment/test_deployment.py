"""What lies in `deploy/`, each held by its own linter, and its settings by the tables that processes read them with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conformance.go_tool import built, has_go
from tests.conformance.npm_tool import MissingError, installed

from twinplane.settings import CONTROL_PLANE, load_node_settings, load_process_settings

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
CHART = ROOT / "deploy" / "helm" / "twinplane"
NODE_VALUES = (
    "node.enabled=true,node.controlPlane.host=a1.us.cp0.example.com,node.controlPlane.telemetryHost=a1.us.tp0.example.com,"
    "node.certificateSecret=node"
)
ALL_VALUES = (
    f"{NODE_VALUES},node.trustedSecret=ca,node.autoscaling.enabled=true,networkPolicy.enabled=true,"
    "controlPlane.tls.secret=tls,controlPlane.settings.retention-days=30,node.settings.real_ip_recursive=on"
)


def _run(*words: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, **more)


@pytest.fixture(scope="module")
def helm() -> Path:
    if not has_go():
        pytest.skip("Go is not installed: helm cannot be built")
    return built(HERE / "helm", "helm.sh/helm/v3/cmd/helm")


def _rendered(helm: Path, values: str) -> list[dict[str, Any]]:
    done = _run(helm, "template", "release", CHART, "--kube-version", "1.30.0", "--set", values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def _containers(documents: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for document in documents:
        if document["kind"] in {"Deployment", "StatefulSet"}:
            pod = document["spec"]["template"]["spec"]
            yield pod, pod["containers"][0]


def _check_settings(role: str, environ: Mapping[str, str]) -> None:
    """The settings are known, and their values are read without a mistake."""
    if role == "control-plane":
        names = {f"TWINPLANE_{setting.name.upper().replace('-', '_')}" for setting in CONTROL_PLANE}
        assert not environ.keys() - names
        load_process_settings(CONTROL_PLANE, {}, environ)
    else:
        given = {"KONG_CLUSTER_CERT": "node.pem", "KONG_CLUSTER_CERT_KEY": "node.key", **environ}
        assert not [warning for warning in load_node_settings(None, given).warnings if "unknown" in warning]


@pytest.mark.parametrize("values", ["controlPlane.enabled=true", NODE_VALUES, ALL_VALUES])
def test_the_chart_is_faultless(helm: Path, values: str) -> None:
    done = _run(helm, "lint", "--strict", CHART, "--set", values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_chart_says_what_is_missing_or_wrong(helm: Path) -> None:
    done = _run(helm, "template", "release", CHART, "--kube-version", "1.30.0", "--set", "node.enabled=true")
    assert done.returncode != 0
    assert "node.controlPlane.host is needed" in done.stderr
    done = _run(helm, "template", "release", CHART, "--kube-version", "1.30.0", "--set", "node.replicas=none")
    assert "replicas" in done.stderr


def test_the_pods_run_with_as_little_as_they_need(helm: Path) -> None:
    found = list(_containers(_rendered(helm, ALL_VALUES)))
    assert len(found) == 2
    for pod, container in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert mounts <= volumes | {"data"}
        names = {port["name"] for port in container["ports"]}
        probed = [container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
        assert {(probe.get("httpGet") or probe["tcpSocket"])["port"] for probe in probed} <= names


def test_the_settings_of_the_pods_are_settings(helm: Path) -> None:
    for values in ("controlPlane.audit.enabled=false", ALL_VALUES):
        for _, container in _containers(_rendered(helm, values)):
            environ = {one["name"]: str(one["value"]) for one in container["env"]}
            _check_settings(container["args"][0], environ)


def test_services_lead_to_ports_that_exist(helm: Path) -> None:
    documents = _rendered(helm, ALL_VALUES)
    named = {port["name"] for _, container in _containers(documents) for port in container["ports"]}
    targets = {port["targetPort"] for one in documents if one["kind"] == "Service" for port in one["spec"]["ports"]}
    assert targets <= named


def test_the_image_is_faultless_and_runs_as_nobody_special() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is not installed")
    done = _run(hadolint, ROOT / "Dockerfile")
    assert done.returncode == 0, done.stdout
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    environ = dict(re.findall(r"^\s+(?:ENV )?((?:TWINPLANE|KONG)_\w+)=(\S+)", text, re.MULTILINE))
    assert environ
    _check_settings("control-plane", {name: value for name, value in environ.items() if name.startswith("TWINPLANE_")})
    _check_settings("data-plane", {name: value for name, value in environ.items() if name.startswith("KONG_")})


def test_the_image_is_built_from_files_that_exist() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert not [name for name in kept if not (ROOT / name).exists()]
    copied = re.findall(r"^COPY (requirements/\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert not [name for name in copied if not (ROOT / name).exists()]


def test_the_compose_file_is_faultless() -> None:
    try:
        dclint = installed(HERE / "compose", "dclint")
    except MissingError as error:
        pytest.skip(f"dclint cannot be had: {error}")
    done = _run(
        dclint,
        ROOT / "deploy" / "compose.yaml",
        *("--disable-rule", "service-keys-order", "--disable-rule", "top-level-properties-order"),
        *("--disable-rule", "require-quotes-in-ports", "--max-warnings", "0"),
    )
    assert done.returncode == 0, done.stdout


def test_the_compose_file_says_what_processes_understand() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    for service in services.values():
        environ = {name: str(value) for name, value in (service.get("environment") or {}).items()}
        _check_settings("data-plane", environ)
        assert service["read_only"] is True
        words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in service["command"]]
        parsed = _run(sys.executable, "-m", "twinplane", words[0], "--help")
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert all(option in parsed.stdout for option in options)


@pytest.mark.parametrize("name", ["twinplane-control-plane", "twinplane-node"])
def test_the_units_are_faultless_and_confined(tmp_path: Path, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (ROOT / "deploy" / "systemd" / f"{name}.service").read_text()
    program = tmp_path / "twinplane"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / f"{name}.service"
    unit.write_text(text.replace("/opt/twinplane/bin/twinplane", str(program)))
    environ = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = _run("systemd-analyze", "verify", "--man=no", unit, env=environ)
    assert done.returncode == 0, done.stderr
    assert str(unit.name) not in done.stderr
    done = _run("systemd-analyze", "security", "--offline=true", "--threshold=25", unit)
    assert done.returncode == 0, done.stdout


def test_every_dependency_is_locked_and_the_lists_agree() -> None:
    pins = {
        name: dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("dev.txt", "runtime.txt", "build.txt")
    }
    assert pins["runtime.txt"].items() <= pins["dev.txt"].items()
    assert pins["build.txt"].items() <= pins["dev.txt"].items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {re.split(r"[<>=!\[; ]", line)[0].lower() for line in project["project"]["dependencies"]}
    assert wanted <= pins["runtime.txt"].keys()
