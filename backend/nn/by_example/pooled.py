"""What a whole picture looks like, as one row of numbers: the picture encoder's features, pooled."""

from __future__ import annotations

import numpy as np

from backend.core.geometry.instances import FloatArray
from backend.core.prompting.windows import ByteArray
from backend.nn.by_example.features import CHANNELS, PictureEncoder

SIDE_PX = 256
"""The longer side of a picture as the encoder sees it: enough for its objects, and some ten milliseconds."""
WIDTH = 2 * CHANNELS


def pooled_features(encoder: PictureEncoder, picture: ByteArray) -> FloatArray:
    """Return float32 [WIDTH] of an RGB picture uint8 [H, W, 3]: each channel's mean, and its deviation.

    The deviation tells a picture with a few small objects from one of the same ground without any.
    """
    features = encoder.encode(picture, SIDE_PX / max(picture.shape[:2])).flatten(1)
    pooled = np.concatenate([features.mean(dim=1).numpy(), features.std(dim=1, correction=0).numpy()])
    return pooled.astype(np.float32)
