"""The files of a version, as small as one can be."""

import numpy as np
from safetensors.numpy import save

CARD = {
    "architecture": {"backbone": "resnet18", "label_count": 2, "image_size_px": 416},
    "labels": ["Cat", "Dog"],
}
WEIGHTS = save({"w": np.arange(1000, dtype=np.float32)})
