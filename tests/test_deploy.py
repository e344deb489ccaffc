"""What the Dockerfile, the compose files and the Kubernetes manifests promise, read from their text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from backend.settings import SETTINGS_TABLE

ROOT = Path(__file__).resolve().parent.parent
MANIFESTS = sorted(path for path in (ROOT / "deploy" / "kubernetes").glob("*.yaml"))
SETTING_NAMES = {name for line in SETTINGS_TABLE for name in (line.name, line.older_name) if name}
# Kinds that Kubernetes itself has no schema for.
FOREIGN_KINDS = {"Kustomization", "ScaledObject"}
# Read by the S3 client, not by us.
FOREIGN_VARIABLES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def _documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield f"{path.name}:{document['kind']}/{document.get('metadata', {}).get('name', '')}", document


DOCUMENTS = dict(_documents())
WORKLOADS = {key: value for key, value in DOCUMENTS.items() if value["kind"] in ("Deployment", "StatefulSet")}


def _compose(name: str = "docker-compose.yml") -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))


# -- Dockerfile ------------------------------------------------------------


def _final_stage() -> list[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    return lines[last:]


def test_image_runs_as_an_ordinary_user() -> None:
    (user,) = [line.split()[1] for line in _final_stage() if line.startswith("USER ")]
    assert int(user.split(":")[0]) >= 1000


def test_image_keeps_what_it_writes_in_its_volume() -> None:
    stage = "\n".join(_final_stage())
    assert "VOLUME /data" in stage
    assert re.search(r"\bDATA_DIR=/data\b", stage)
    assert re.search(r"\bHOME=/data\b", stage)


def test_image_has_a_health_check_and_listens_on_all_interfaces() -> None:
    stage = "\n".join(_final_stage())
    assert "/health" in stage
    assert "HOST=0.0.0.0" in stage


def test_image_installs_label_studio_ml_without_its_pins() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "pip install --no-deps -r requirements-label-studio-ml.txt" in text
    assert "label-studio-ml" not in re.findall(
        r'"([\w-]+)', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )


def test_everything_the_dockerfile_copies_passes_the_dockerignore() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        name.removeprefix("./")
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
        for name in line.split()
    }
    assert copied <= allowed
    assert all((ROOT / name).exists() for name in copied)


# -- compose ------------------------------------------------------------


@pytest.mark.parametrize("name", ["redis", "web", "worker"])
def test_compose_services_are_confined(name: str) -> None:
    service = _compose()["services"][name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert any(mount.startswith("/tmp") for mount in service["tmpfs"])


def test_compose_keeps_models_and_queue_in_volumes() -> None:
    compose = _compose()
    assert set(compose["volumes"]) == {"models", "redis", "label-studio"}
    assert (
        compose["services"]["web"]["volumes"] == compose["services"]["worker"]["volumes"] == ["models:/data"]
    )
    assert "--appendonly" in compose["services"]["redis"]["command"]


@pytest.mark.parametrize("name", ["redis", "worker", "label-studio"])
def test_compose_services_have_health_checks(name: str) -> None:
    assert _compose()["services"][name]["healthcheck"]["test"][0] == "CMD"


def test_compose_label_studio_may_call_us_and_starts_on_demand_only() -> None:
    service = _compose()["services"]["label-studio"]
    assert service["profiles"] == ["label-studio"]
    assert service["environment"]["ML_BLOCK_LOCAL_IP"] == "false"
    assert service["environment"]["SSRF_PROTECTION_ENABLED"] == "false"


def test_compose_publishes_on_this_machine_unless_told_otherwise() -> None:
    for service in _compose()["services"].values():
        assert all(port.startswith("${BIND:-127.0.0.1}:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", ["web", "worker"])
def test_compose_sets_only_settings_that_exist(name: str) -> None:
    assert set(_compose()["services"][name]["environment"]) <= SETTING_NAMES


@pytest.mark.parametrize("name", ["web", "worker"])
def test_compose_passes_on_every_setting_that_it_does_not_decide(name: str) -> None:
    decided = {"HOST", "PORT", "DATA_DIR", "TRAIN_WORKERS", "PREDICT_WORKERS"}
    environment = _compose()["services"][name]["environment"]
    assert SETTING_NAMES - decided <= set(environment)
    own = SETTING_NAMES - decided - {"REDIS_URL", "DEVICE"}
    assert all(environment[name] == f"${{{name}:-}}" for name in own)


def test_gpu_override_gives_worker_and_web_a_gpu() -> None:
    for name in ("web", "worker"):
        service = _compose("docker-compose.gpu.yml")["services"][name]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        assert service["build"]["args"]["TORCH_INDEX"] == ""  # not the CPU build that the Dockerfile names


# -- Kubernetes ------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [key for key, value in DOCUMENTS.items() if value["kind"] not in FOREIGN_KINDS]
)
def test_manifest_fits_the_schema(key: str) -> None:
    kubernetes_validate.validate(DOCUMENTS[key], kubernetes_validate.latest_version(), strict=True)


def test_kustomization_lists_every_manifest() -> None:
    resources = DOCUMENTS["kustomization.yaml:Kustomization/"]["resources"]
    assert sorted(resources) == [path.name for path in MANIFESTS if path.name != "kustomization.yaml"]


@pytest.mark.parametrize("key", WORKLOADS)
def test_pods_are_confined(key: str) -> None:
    pod = WORKLOADS[key]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("key", WORKLOADS)
def test_pods_have_probes_and_resources(key: str) -> None:
    for container in WORKLOADS[key]["spec"]["template"]["spec"]["containers"]:
        assert container["livenessProbe"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("key", WORKLOADS)
def test_selectors_find_their_pods(key: str) -> None:
    spec = WORKLOADS[key]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()


def test_manifests_set_only_settings_that_exist() -> None:
    names = set(DOCUMENTS["config.yaml:ConfigMap/backend"]["data"])
    names |= set(DOCUMENTS["config.yaml:Secret/backend"]["stringData"])
    for document in WORKLOADS.values():
        for container in document["spec"]["template"]["spec"]["containers"]:
            names |= {variable["name"] for variable in container.get("env", [])}
    assert names - FOREIGN_VARIABLES <= SETTING_NAMES


@pytest.mark.parametrize("queue", ["train", "predict"])
def test_workers_scale_with_the_length_of_their_queue(queue: str) -> None:
    scaled = DOCUMENTS[f"worker-{queue}.yaml:ScaledObject/worker-{queue}"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == f"worker-{queue}"
    assert scaled["minReplicaCount"] < scaled["maxReplicaCount"]
    (trigger,) = scaled["triggers"]
    assert trigger["metadata"]["listName"] == f"rq:queue:{queue}"
    deployment = WORKLOADS[f"worker-{queue}.yaml:Deployment/worker-{queue}"]
    assert queue in deployment["spec"]["template"]["spec"]["containers"][0]["args"]
