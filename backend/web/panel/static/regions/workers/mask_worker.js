/* Decodes masks away from the page, and paints each once, cut to its window. */

import { decodeBrushAlpha, windowOf } from "./brush_rle.js";
import { decodePngAlpha } from "./mask_png.js";

self.onmessage = async ({ data }) => {
  const { ticket, mask, width, height, rgb } = data;
  try {
    const alpha = mask.rle
      ? decodeBrushAlpha(mask.rle, width, height)
      : await decodePngAlpha(mask.imageDataURL, width, height);
    const area = windowOf(alpha, width, height);
    if (area === null) {
      self.postMessage({ ticket, area: null, bitmap: null });
      return;
    }
    const pixels = new Uint8ClampedArray(area.width * area.height * 4);
    for (let y = 0; y < area.height; y += 1) {
      let source = (area.top + y) * width + area.left;
      let target = y * area.width * 4;
      for (let x = 0; x < area.width; x += 1, source += 1, target += 4) {
        const opacity = alpha[source];
        if (opacity === 0) continue;
        pixels[target] = rgb[0];
        pixels[target + 1] = rgb[1];
        pixels[target + 2] = rgb[2];
        pixels[target + 3] = opacity;
      }
    }
    const bitmap = await createImageBitmap(new ImageData(pixels, area.width, area.height));
    self.postMessage({ ticket, area, bitmap }, [bitmap]);
  } catch (error) {
    self.postMessage({ ticket, error: String(error.message || error) });
  }
};
