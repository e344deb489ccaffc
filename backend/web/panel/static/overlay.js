/* Draws the regions over the image. Nothing is decoded or built while drawing: a slider step costs one redraw. */

import { paintMask, rgbOf } from "./masks.js";
import { isShown } from "./regions.js";
import { colorOf, store } from "./store.js";

const FILL = { annotation: 0.16, prediction: 0.1 };
const MASK = { annotation: 0.5, prediction: 0.5 };
const LABEL_PX = 18;
const FONT = "600 12px system-ui, sans-serif";

export class Overlay {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.regions = [];
    this.imageSize = [1, 1];
    this.view = { scale: 1, x: 0, y: 0 };
    this.highlighted = null;
    this.frame = 0;
    this.generation = 0;
  }

  /** Take other regions; masks appear as the worker finishes them. */
  setRegions(regions, imageWidth, imageHeight) {
    for (const region of this.regions) region.shape.bitmap?.close?.();
    this.generation += 1;
    const generation = this.generation;
    this.regions = regions;
    this.imageSize = [imageWidth, imageHeight];
    for (const region of regions) {
      region.color = region.label === null ? "#7a8296" : colorOf(region.label);
      region.text = textOf(region);
      region.textColor = readableOn(region.color);
      if (region.shape.kind === "brush") this.paint(region, generation);
    }
    this.draw();
  }

  async paint(region, generation) {
    const { shape } = region;
    const painted = await paintMask(shape.rle, shape.width, shape.height, region.color);
    if (generation !== this.generation) {
      painted.bitmap?.close();
      return;
    }
    shape.bitmap = painted.bitmap;
    shape.area = painted.area;
    if (painted.area) {
      const [width, height] = this.imageSize;
      shape.anchor = [(painted.area.left / shape.width) * width, (painted.area.top / shape.height) * height];
    }
    this.draw();
  }

  setView(view) {
    this.view = view;
    this.draw();
  }

  highlight(id) {
    this.highlighted = id;
    this.draw();
  }

  /** Ask for one redraw in the next frame, however often it is called before. */
  draw() {
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.drawNow();
      });
    }
  }

  drawNow() {
    const { canvas, context, view } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    const shown = this.regions.filter((region) => isShown(region, store.display));
    context.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
    for (const region of shown) this.drawShape(region);
    if (!store.display.labels) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = FONT;
    context.textBaseline = "middle";
    const drawn = new Map();
    for (const region of shown) this.drawLabel(region, drawn);
  }

  drawShape(region) {
    const { context, view } = this;
    const { shape } = region;
    const isHighlighted = region.id === this.highlighted;
    if (shape.kind === "brush") {
      if (!shape.bitmap) return;
      const stretchX = this.imageSize[0] / shape.width;
      const stretchY = this.imageSize[1] / shape.height;
      const { area } = shape;
      context.globalAlpha = isHighlighted ? 0.85 : MASK[region.source];
      context.drawImage(
        shape.bitmap, area.left * stretchX, area.top * stretchY, area.width * stretchX, area.height * stretchY,
      );
      context.globalAlpha = 1;
      return;
    }
    context.lineWidth = (isHighlighted ? 4 : 2) / view.scale;
    context.setLineDash(region.source === "prediction" ? [6 / view.scale, 4 / view.scale] : []);
    context.fillStyle = region.color;
    context.globalAlpha = isHighlighted ? 0.35 : FILL[region.source];
    context.fill(shape.path);
    context.globalAlpha = 1;
    context.strokeStyle = region.color;
    context.stroke(shape.path);
  }

  /** drawn: places of the labels so far by their text; the same words on top of each other are written once. */
  drawLabel(region, drawn) {
    const { context, view } = this;
    if (!region.shape.anchor || !region.text) return;
    region.textWidth ??= context.measureText(region.text).width;
    const x = Math.round(region.shape.anchor[0] * view.scale + view.x);
    const y = Math.round(region.shape.anchor[1] * view.scale + view.y) - 10;
    const width = region.textWidth + 10;
    const places = drawn.get(region.text) ?? [];
    const isCovered = places.some(([left, top]) => Math.abs(left - x) < width && Math.abs(top - y) < LABEL_PX);
    if (isCovered && region.id !== this.highlighted) return;
    drawn.set(region.text, [...places, [x, y]]);
    context.fillStyle = region.color;
    context.fillRect(x, y - LABEL_PX / 2, width, LABEL_PX);
    context.fillStyle = region.textColor;
    context.fillText(region.text, x + 5, y);
  }
}

function textOf(region) {
  const label = region.label ?? "no label";
  return region.score === null ? label : `${label} ${region.score.toFixed(2)}`;
}

function readableOn(color) {
  const [red, green, blue] = rgbOf(color);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 150 ? "#000" : "#fff";
}
