from __future__ import annotations

import base64
import io
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from backend.bootstrap.backend import build_backend
from backend.bootstrap.web import build_panel
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.regions.brush_rle import decode_brush_rle
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.score_map import ScoreMap
from backend.nn.detector.network import InstanceNetwork
from backend.service.engine.named_network import NetworkState
from backend.service.ports import ImageAccess
from backend.settings import Settings
from tests.tiny_sam import save_tiny_sam, save_tiny_sam_2
from tests.tiny_text_detectors import save_tiny_owl

CONFIG = parse_label_config(
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>'
    '<KeyPointLabels name="kp" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels></View>'
)


def picture_task(width: int, height: int) -> dict:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, "PNG")
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return {"id": 1, "data": {"image": address}}


def click(x: float, y: float, is_positive: bool = True) -> dict:
    return {
        "id": f"p{x}",
        "type": "keypointlabels",
        "from_name": "kp",
        "to_name": "image",
        "is_positive": is_positive,
        "original_width": 80,
        "original_height": 60,
        "value": {"x": x, "y": y, "width": 0.3, "labels": ["Cat"]},
    }


def answer_of(backend) -> np.ndarray:
    """Return the mask of a click; on a busy machine the first may be too late, and another one is not."""
    context = {"result": [click(50, 50)]}
    until = time.monotonic() + 60
    answer = {"result": []}
    while not answer["result"] and time.monotonic() < until:
        answer = backend.smart_tools.answer(picture_task(80, 60), CONFIG, context, "1.1", ImageAccess())
    (region,) = answer["result"]
    return decode_brush_rle(region["value"]["rle"]).reshape(60, 80)


def embedder(backend) -> str:
    (image_key,) = backend.smart_tools._encoded.encodings.keys()
    return image_key.embedder


@pytest.mark.parametrize(("save", "numbers_kept"), [(save_tiny_sam, 512), (save_tiny_sam_2, 2048)])
def test_a_sam_folder_answers_the_smart_tools_in_place_of_our_network(tmp_path, save, numbers_kept):
    sam = save(tmp_path / "sam")
    backend = build_backend(Settings.from_env({"DATA_DIR": str(tmp_path / "data"), "SAM_MODEL": str(sam)}))
    backend.smart_tools.warm_up()  # else importing the library may take longer than an answer
    context = {"result": [click(50, 50), click(10, 90, is_positive=False)]}
    answer = backend.smart_tools.answer(picture_task(80, 60), CONFIG, context, "1.1", ImageAccess())
    (region,) = answer["result"]
    mask = decode_brush_rle(region["value"]["rle"]).reshape(60, 80)
    assert mask[30, 40] and not mask[54, 8]
    shared = list((tmp_path / "data" / "cache" / "encodings").rglob("*"))
    sizes = [file.stat().st_size for file in shared if file.is_file()]
    assert max(sizes) > 80 * 60 * 3 + 2 * numbers_kept


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The hub library's cache folder, empty, on a machine that is offline and opens no socket."""

    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path / "hub"


def keep_in(hub_cache: Path, hub_id: str) -> Path:
    """Return the folder of the newest version of a repository, laid out as the library keeps it."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = hub_cache / ("models--" + hub_id.replace("/", "--"))
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot


def settled(backend) -> NetworkState:
    """Return which network answers once that is decided."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        state = backend.smart_tools.network_state()
        if state.licence is not None or state.problem is not None:
            return state
        time.sleep(0.02)
    pytest.fail("the chosen network was neither loaded nor given up")


def test_a_hub_id_answers_the_smart_tools_and_its_licence_is_printed(tmp_path, hub_cache, caplog):
    snapshot = save_tiny_sam(keep_in(hub_cache, "someone/tiny-sam"))
    (snapshot / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    settings = Settings.from_env({"DATA_DIR": str(tmp_path / "data"), "SAM_MODEL": "someone/tiny-sam"})
    backend = build_backend(settings)
    with caplog.at_level("INFO"):
        backend.smart_tools.warm_up()
        assert settled(backend) == NetworkState("SAM_MODEL someone/tiny-sam", licence="apache-2.0")
    assert "licence of its weights: apache-2.0" in caplog.text
    assert answer_of(backend)[30, 40]
    assert embedder(backend).startswith(str(snapshot.resolve()))


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("someone/not-here", "hub cannot be reached"),
        ("/no/such/folder", "no config.json"),
        ("sam", "hub id such as"),
        ("someone/pickled", "pickled weights are not read"),
    ],
)
def test_a_wrong_or_missing_network_says_so_and_our_own_answers(tmp_path, hub_cache, caplog, named, why):
    snapshot = keep_in(hub_cache, "someone/pickled")
    (snapshot / "config.json").write_text('{"model_type": "sam"}')
    (snapshot / "pytorch_model.bin").write_bytes(b"a pickle")
    backend = build_backend(Settings.from_env({"DATA_DIR": str(tmp_path / "data"), "SAM_MODEL": named}))
    backend.smart_tools.warm_up()
    state = settled(backend)
    assert state.chosen == f"SAM_MODEL {named}" and why in state.problem
    assert f"our own network answers the smart tools, not SAM_MODEL {named}" in caplog.text
    assert why in caplog.text
    (check,) = [check for check in build_panel(backend).diagnosis.run(None) if check.check == "smart_tools"]
    assert check.state == "warning" and why in check.found and "unset SAM_MODEL" in check.fix
    assert answer_of(backend)[30, 40]
    assert embedder(backend) == ""


def test_without_such_a_folder_no_features_are_kept(tmp_path):
    backend = build_backend(Settings.from_env({"DATA_DIR": str(tmp_path / "data")}))
    answer_of(backend)
    assert embedder(backend) == ""


def test_after_the_warm_up_the_first_version_waits_for_no_library(tmp_path):
    architecture = Architecture("resnet18", 96, 1, (BOXES,))
    save_file(InstanceNetwork(architecture).state_dict(), tmp_path / "weights.safetensors")
    card = {
        "architecture": architecture.as_card(),
        "score_map": ScoreMap().as_card(),
        "labels": ["Cat"],
    }
    (tmp_path / "card.json").write_text(json.dumps(card))
    program = f"""
import sys
from pathlib import Path
from backend.bootstrap.backend import build_backend
from backend.bootstrap.web import build_panel
from backend.settings import Settings
versions = build_backend(Settings.from_env({{"DATA_DIR": {str(tmp_path / "data")!r}}})).models.loaded
versions.warm_up()
before = set(sys.modules)
versions.load_folder(Path({str(tmp_path)!r}))
print(sorted({{name.split(".")[0] for name in set(sys.modules) - before}} - {{"backend"}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"timm", "torch", "torchvision"}.isdisjoint(json.loads(done.stdout.replace("'", '"')))


def zero_shot_of(tmp_path, **environment):
    backend = build_backend(Settings.from_env({"DATA_DIR": str(tmp_path / "data"), **environment}))
    zero_shot = backend.models.zero_shot
    zero_shot.warm_up()
    until = time.monotonic() + 60
    while zero_shot.state == NetworkState(zero_shot.state.chosen) and time.monotonic() < until:
        time.sleep(0.02)
    return backend, zero_shot


def test_a_detector_by_hub_id_predicts_before_any_training_and_its_licence_is_printed(
    tmp_path, hub_cache, caplog
):
    snapshot = save_tiny_owl(keep_in(hub_cache, "someone/tiny-owl"))
    (snapshot / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    with caplog.at_level("INFO"):
        backend, zero_shot = zero_shot_of(tmp_path, ZERO_SHOT_MODEL="someone/tiny-owl")
    assert zero_shot.state == NetworkState("ZERO_SHOT_MODEL someone/tiny-owl", licence="apache-2.0")
    assert "licence of its weights: apache-2.0" in caplog.text
    assert backend.models.loaded.reported("1.1") == "zero-shot-someone-tiny-owl"
    assert zero_shot.predictor("1.1", CONFIG).labels == ("Cat",)


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("someone/not-here", "hub cannot be reached"),
        ("/no/such/folder", "no config.json"),
        ("someone/pickled", "pickled weights are not read"),
        ("someone/wordless", "what prepares its texts: tokenizer.json"),
    ],
)
def test_a_detector_that_cannot_be_used_says_so_and_the_service_goes_on(
    tmp_path, hub_cache, caplog, named, why
):
    pickled = keep_in(hub_cache, "someone/pickled")
    (pickled / "config.json").write_text('{"model_type": "owlv2"}')
    (pickled / "pytorch_model.bin").write_bytes(b"a pickle")
    wordless = keep_in(hub_cache, "someone/wordless")
    (wordless / "config.json").write_text('{"model_type": "grounding-dino"}')
    (wordless / "preprocessor_config.json").write_text("{}")
    save_file({}, wordless / "model.safetensors")
    backend, zero_shot = zero_shot_of(tmp_path, ZERO_SHOT_MODEL=named)
    assert why in zero_shot.state.problem and why in caplog.text
    (check,) = [check for check in build_panel(backend).diagnosis.run(None) if check.check == "zero_shot"]
    assert check.state == "warning" and why in check.found and "unset ZERO_SHOT_MODEL" in check.fix
    assert backend.models.loaded.reported("1.1") == "not-trained"
    assert zero_shot.predictor("1.1", CONFIG) is None


def test_without_the_setting_nothing_is_asked_for_and_the_library_is_not_imported(tmp_path):
    program = f"""
import sys
from backend.bootstrap.backend import build_backend
from backend.settings import Settings
models = build_backend(Settings.from_env({{"DATA_DIR": {str(tmp_path)!r}}})).models
models.zero_shot.warm_up()
print(models.loaded.reported("1.1"), models.zero_shot.name, "transformers" in sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["not-trained", "None", "False"]
