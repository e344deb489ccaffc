"""Letterbox: how one image lies in the network's input, there and back.

The image is scaled to fit and put into the top left corner; the rest, right or below, is grey. So frame `net`
differs from frame `orig` by a scale alone. Pixel i covers [i, i + 1) in both frames, the scale of each axis
is the one of the rounded size, and points, boxes, images and maps move by that same scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.instances import BoolArray, FloatArray, ImageSize, MaskPatch

PADDING_GREY = 114  # close to the mean of natural images, so that padding is no edge worth learning


@dataclass(frozen=True)
class Letterbox:
    """The place of an image of `size` (frame orig) in an input of `net_size` (frame net).

    inner_size: the part of the input that the image covers, from the top left corner.
    """

    size: ImageSize
    net_size: ImageSize
    inner_size: ImageSize

    @classmethod
    def fit(cls, size: ImageSize, net_size: int | ImageSize) -> Letterbox:
        """Return the letterbox that shows the whole image as large as possible; an int means a square input."""
        net = ImageSize(net_size, net_size) if isinstance(net_size, int) else net_size
        scale = min(net.width / size.width, net.height / size.height)
        inner = ImageSize(
            min(net.width, max(1, round(size.width * scale))),
            min(net.height, max(1, round(size.height * scale))),
        )
        return cls(size=size, net_size=net, inner_size=inner)

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Net pixels per orig pixel, along x and along y."""
        return self.inner_size.width / self.size.width, self.inner_size.height / self.size.height

    def image_to_net(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return uint8 [net height, net width, C] of an image, uint8 [H, W, C]."""
        self._check_shape(image.shape[:2])
        inner = (self.inner_size.width, self.inner_size.height)
        is_smaller = self.inner_size.width < self.size.width
        resized = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
        out = np.full(
            (self.net_size.height, self.net_size.width, image.shape[2]), PADDING_GREY, dtype=np.uint8
        )
        out[: inner[1], : inner[0]] = resized.reshape(inner[1], inner[0], image.shape[2])
        return out

    def points_to_net(self, points_xy_px: FloatArray) -> FloatArray:
        """Move points [..., 2] from orig to net."""
        return (points_xy_px * np.float32(self.scale_xy)).astype(np.float32)

    def points_to_orig(self, points_xy_px: FloatArray) -> FloatArray:
        """Move points [..., 2] from net to orig."""
        return (points_xy_px / np.float32(self.scale_xy)).astype(np.float32)

    def boxes_to_net(self, boxes_xyxy_px: FloatArray) -> FloatArray:
        """Move boxes [N, 4] from orig to net."""
        return (boxes_xyxy_px * np.float32(self.scale_xy * 2)).astype(np.float32)

    def boxes_to_orig(self, boxes_xyxy_px: FloatArray) -> FloatArray:
        """Move boxes [N, 4] from net to orig, cut to the image."""
        limit = np.float32((self.size.width, self.size.height) * 2)
        return np.clip(boxes_xyxy_px / np.float32(self.scale_xy * 2), 0, limit).astype(np.float32)

    def mask_to_net(self, mask: BoolArray) -> BoolArray:
        """Return bool [net height, net width]: net pixels at least half covered by a mask, bool [H, W]."""
        self._check_shape(mask.shape)
        inner = (self.inner_size.width, self.inner_size.height)
        is_smaller = self.inner_size.width < self.size.width
        cover = cv2.resize(
            mask.astype(np.float32), inner, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
        )
        out = np.zeros((self.net_size.height, self.net_size.width), dtype=np.bool_)
        out[: inner[1], : inner[0]] = cover.reshape(inner[1], inner[0]) >= 0.5
        return out

    def map_to_orig(
        self, grid: FloatArray, window_xyxy_px: tuple[int, int, int, int] | None = None
    ) -> FloatArray:
        """Return a map over the input as float32 [h, w] over a window of the image (all of it by default).

        grid float32 [gh, gw] covers the whole net square, whatever its resolution; interpolated linearly, not
        thresholded. window_xyxy_px: whole pixels in the orig frame, inside the image.
        """
        left, top, right, bottom = window_xyxy_px or (0, 0, self.size.width, self.size.height)
        scale_x, scale_y = self.scale_xy
        step_x = scale_x * grid.shape[1] / self.net_size.width
        step_y = scale_y * grid.shape[0] / self.net_size.height
        # Pixel centres: orig x + 0.5 lies at grid (x + 0.5) * step - 0.5.
        matrix = np.array(
            [[step_x, 0, (left + 0.5) * step_x - 0.5], [0, step_y, (top + 0.5) * step_y - 0.5]],
            dtype=np.float64,
        )
        moved: FloatArray = cv2.warpAffine(
            grid.astype(np.float32),
            matrix,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return moved

    def mask_to_orig(self, mask: BoolArray) -> BoolArray:
        """Return bool [H, W] of a mask over the input, bool [net height, net width]."""
        return self.map_to_orig(mask.astype(np.float32)) >= 0.5

    def patch_to_net(self, patch: MaskPatch) -> MaskPatch | None:
        """Return a patch of the image as a patch of the input; None where nothing of it is left."""
        return MaskPatch.from_full(self.mask_to_net(patch.full(self.size)))

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != (self.size.height, self.size.width):
            raise ValueError(f"made for {self.size.height}x{self.size.width} (rows x columns), got {shape}")
