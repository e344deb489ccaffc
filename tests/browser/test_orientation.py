"""Which orientations a browser follows, and that images are decoded just so: labels are drawn in browsers."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from backend.infra.images.decode import decode_rgb
from tests.infra.images.oriented import files

_PIXELS_OF = """
async (url) => {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, [...data]];
}
"""


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize(
    ("media_type", "content"), [pytest.param(kind, content, id=name) for name, kind, content, _ in files()]
)
def test_images_lie_as_in_the_browser(page, media_type, content):
    url = f"data:{media_type};base64,{base64.b64encode(content).decode()}"
    width, height, values = page.evaluate(_PIXELS_OF, url)
    shown = np.array(values, np.uint8).reshape(height, width, 4)[:, :, :3]
    decoded = decode_rgb(content, 10_000)
    assert decoded.shape == shown.shape
    assert np.abs(decoded.astype(int) - shown).max() <= 12  # decoders of lossy formats round differently
