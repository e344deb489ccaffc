/* Draws the regions over the image. Nothing is decoded or built while drawing: a slider step costs one redraw. */

import { CanvasLayer } from "./canvas_layer.js";
import { isShown, labelText } from "./regions.js";
import { rgbOf } from "../regions/masks.js";
import { colorOf, store } from "../state/store.js";

const LABEL_PX = 18;
const FONT = "600 12px system-ui, sans-serif";

export class Overlay extends CanvasLayer {
  constructor(canvas) {
    super(canvas);
    this.regions = [];
    this.highlighted = null;
    this.generation = 0;
  }

  /** Take other regions; masks appear as the worker finishes them. */
  setRegions(regions) {
    for (const region of this.regions) region.kind.release?.(region.shape);
    this.generation += 1;
    const generation = this.generation;
    this.regions = regions;
    for (const region of regions) {
      region.color = region.labels.length ? colorOf(region.labels[0]) : "#7a8296";
      region.text = textOf(region);
      region.textColor = readableOn(region.color);
      if (region.kind.prepare) this.prepare(region, generation);
    }
    this.draw();
  }

  async prepare(region, generation) {
    await region.kind.prepare(region.shape, region.color, region.frame);
    if (generation === this.generation) this.draw();
    else region.kind.release?.(region.shape);
  }

  highlight(id) {
    this.highlighted = id;
    this.draw();
  }

  paint(ratio) {
    const { context, view } = this;
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
    region.kind.draw(this.context, region.shape, {
      color: region.color,
      scale: this.view.scale,
      isPrediction: region.source === "prediction",
      isHighlighted: region.id === this.highlighted,
      frame: region.frame,
    });
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
  const label = labelText(region);
  return region.score === null ? label : `${label} ${region.score.toFixed(2)}`;
}

function readableOn(color) {
  const [red, green, blue] = rgbOf(color);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 150 ? "#000" : "#fff";
}
