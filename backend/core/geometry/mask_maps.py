"""What a detector keeps of one image, so that the mask of any box in it can be had later at little cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import ImageSize

HalfArray = npt.NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class MaskMaps:
    """Feature maps of the letterboxed image (frame net, of `net_size`), all float16.

    fine [C, H/4, W/4] and coarse [C, H/8, W/8] are features; semantic [L, H/4, W/4] are logits, one map per
    label of the detector.
    """

    net_size: ImageSize
    fine: HalfArray
    coarse: HalfArray
    semantic: HalfArray

    @property
    def nbytes(self) -> int:
        """Memory they take."""
        return self.fine.nbytes + self.coarse.nbytes + self.semantic.nbytes
