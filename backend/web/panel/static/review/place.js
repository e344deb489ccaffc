/* One place of an image, cut out and drawn over: what stands there beside what is proposed. */

import { h } from "../page/dom.js";
import { colorOf } from "../state/store.js";
import { toRegions } from "../viewer/regions.js";

const SIDE_PX = 220;
const MARGIN = 0.6;
const LEAST_SHARE = 0.12;

/** Return a figure that draws some results over the part of an image around a place, once the image is there.

    source: a promise of the image. bounds: x1, y1, x2, y2 as shares of its sides. words: what the figure shows. */
export function placeFigure({ source, bounds, results, caption, words }) {
  const canvas = h("canvas", { width: SIDE_PX, height: SIDE_PX, role: "img", "aria-label": words });
  const figure = h("figure", { class: "place" }, canvas, h("figcaption", {}, caption));
  draw(canvas, source, bounds, results).catch(() => {
    figure.append(h("span", { class: "reason" }, "The image cannot be shown."));
  });
  return figure;
}

async function draw(canvas, source, bounds, results) {
  const image = await source;
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const [left, top, side] = windowAround(bounds, width, height);
  const ratio = window.devicePixelRatio || 1;
  canvas.width = SIDE_PX * ratio;
  canvas.height = SIDE_PX * ratio;
  const scale = (SIDE_PX * ratio) / side;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, -left * scale, -top * scale);
  context.drawImage(image, 0, 0);
  for (const region of toRegions(results, "annotation", width, height)) {
    const color = region.labels.length ? colorOf(region.labels[0]) : "#7a8296";
    await region.kind.prepare?.(region.shape, color, region.frame);
    region.kind.draw(context, region.shape, {
      color, scale: scale / ratio, isPrediction: false, isHighlighted: true, frame: region.frame,
    });
    region.kind.release?.(region.shape);
  }
}

/** Return left, top and side of a square around a place, in pixels of the image. */
function windowAround([x1, y1, x2, y2], width, height) {
  const [across, down] = [(x2 - x1) * width, (y2 - y1) * height];
  const side = Math.max(Math.max(across, down) * (1 + 2 * MARGIN), LEAST_SHARE * Math.min(width, height));
  return [((x1 + x2) / 2) * width - side / 2, ((y1 + y2) / 2) * height - side / 2, side];
}

const images = new Map();
const MOST_IMAGES = 12;

/** Return a promise of an image; the last few are kept, since neighbours in a list often share theirs. */
export function loadedImage(url) {
  if (!images.has(url)) {
    images.set(url, new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.onerror = () => {
        images.delete(url);
        reject(new Error("the image cannot be loaded"));
      };
      image.src = url;
    }));
    if (images.size > MOST_IMAGES) images.delete(images.keys().next().value);
  }
  return images.get(url);
}
