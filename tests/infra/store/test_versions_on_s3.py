"""The stores against a server that speaks the real S3 protocol."""

import multiprocessing

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from safetensors.numpy import save

from backend.core.versions.card import VersionCard
from backend.errors import StoreError, VersionError
from backend.infra.store.checkpoint_copies import CheckpointCopies
from backend.infra.store.documents import JsonDocuments
from backend.infra.store.objects import open_object_store
from backend.infra.store.versions import StoredVersions

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
CARD = VersionCard("v1", ("a",), facts={"architecture": {"backbone": "resnet18", "label_count": 1}})


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def objects(server, monkeypatch, tmp_path):
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="models")
    return open_object_store(f"s3://models/{tmp_path.name}")


def test_objects_and_documents(objects, tmp_path):
    documents = JsonDocuments(objects)
    assert documents.read("projects/7/settings.json") is None and documents.list("projects/") == []
    documents.write("projects/7/settings.json", {"a": 1})
    documents.write("projects/7/settings.json", {"a": 2})
    assert documents.read("projects/7/settings.json") == {"a": 2}
    assert objects.names("projects") == ["7"] and objects.size_bytes("projects/7/settings.json") == 8
    objects.get_file("projects/7/settings.json", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b'{"a": 2}'
    documents.delete("projects/7/settings.json")
    documents.delete("projects/7/settings.json")
    assert documents.read("projects/7/settings.json") is None


def test_versions_travel_between_machines_that_share_no_disk(objects, tmp_path):
    weights = save({"w": np.arange(5000, dtype=np.float32)})
    (tmp_path / "weights.safetensors").write_bytes(weights)
    trainer = StoredVersions(objects, tmp_path / "trainer")
    web = StoredVersions(open_object_store(objects.location), tmp_path / "web")
    trainer.publish("7", "v1", tmp_path, CARD, activate=True)
    assert web.current("7") == "v1"
    assert (web.local_folder("7", "v1") / "weights.safetensors").read_bytes() == weights
    with pytest.raises(StoreError, match="already"):
        trainer.publish("7", "v1", tmp_path, CARD, activate=True)
    trainer.publish("7", "v2", tmp_path, CARD, activate=False)
    trainer.delete("7", "v2")
    assert [listed.card.version for listed in web.list("7")] == ["v1"]
    objects.put_bytes("projects/7/versions/v1/weights.safetensors", weights[:-1] + b"?")
    with pytest.raises(VersionError, match="SHA-256"):
        StoredVersions(objects, tmp_path / "late").local_folder("7", "v1")


def test_a_checkpoint_travels_to_another_machine(objects, tmp_path):
    here, there = tmp_path / "here.pt", tmp_path / "there.pt"
    here.write_bytes(b"x" * 6_000_000)  # more than one part of an upload
    trainer = CheckpointCopies(objects)
    trainer.finish("train-1", here, within_s=60)
    other = CheckpointCopies(open_object_store(objects.location))
    other.fetch("train-1", there)
    assert there.read_bytes() == here.read_bytes()
    assert other.job_ids() == ["train-1"]
    other.drop("train-1")
    assert other.job_ids() == []


def test_a_forked_worker_reads_what_its_parent_had_open(objects):
    objects.put_bytes("a", b"x")
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(objects.get_bytes("a")))
    child.start()
    assert answers.get(timeout=30) == b"x"
    child.join()
    assert objects.get_bytes("a") == b"x"


def test_a_bucket_that_is_not_there_is_a_plain_error(objects):
    with pytest.raises(StoreError, match="cannot write a"):
        open_object_store("s3://no-such-bucket/x").put_bytes("a", b"x")
