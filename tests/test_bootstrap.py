from __future__ import annotations

import base64
import io
import json
import subprocess
import sys

import numpy as np
from PIL import Image
from safetensors.torch import save_file

from backend.bootstrap.backend import build_backend
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.regions.brush_rle import decode_brush_rle
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.score_map import ScoreMap
from backend.nn.detector.network import InstanceNetwork
from backend.service.ports import ImageAccess
from backend.settings import Settings
from tests.tiny_sam import save_tiny_sam

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


def test_a_sam_folder_answers_the_smart_tools_in_place_of_our_network(tmp_path, caplog):
    sam = save_tiny_sam(tmp_path / "sam")
    backend = build_backend(
        Settings.from_env({"DATA_DIR": str(tmp_path / "data"), "SAM_MODEL_DIR": str(sam)})
    )
    backend.smart_tools.warm_up()  # else importing the library may take longer than an answer
    context = {"result": [click(50, 50), click(10, 90, is_positive=False)]}
    answer = backend.smart_tools.answer(picture_task(80, 60), CONFIG, context, "1.1", ImageAccess())
    (region,) = answer["result"]
    mask = decode_brush_rle(region["value"]["rle"]).reshape(60, 80)
    assert mask[30, 40] and not mask[54, 8]
    shared = list((tmp_path / "data" / "cache" / "encodings").rglob("*"))
    sizes = [file.stat().st_size for file in shared if file.is_file()]
    features_bytes = 32 * 4 * 4 * 2
    assert max(sizes) > 80 * 60 * 3 + features_bytes


def test_without_such_a_folder_no_features_are_kept(tmp_path):
    backend = build_backend(Settings.from_env({"DATA_DIR": str(tmp_path / "data")}))
    context = {"result": [click(50, 50)]}
    backend.smart_tools.answer(picture_task(80, 60), CONFIG, context, "1.1", ImageAccess())
    (image_key,) = backend.smart_tools._encoded.encodings.keys()
    assert image_key.embedder == ""


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
