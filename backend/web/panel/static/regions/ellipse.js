/* Ellipses: turned clockwise about their centre. */

import { drawPath } from "./path.js";

const RAD = Math.PI / 180;

export const ellipse = {
  name: "ellipse",
  isPainted: false,
  fields: ["x", "y", "radiusX", "radiusY", "rotation"],
  fits: (value) => Number.isFinite(value.radiusX),
  outline({ value }, { x, y }) {
    if (![value.x, value.y, value.radiusY].every(Number.isFinite)) return null;
    const [radiusX, radiusY] = [Math.abs(x(value.radiusX)), Math.abs(y(value.radiusY))];
    const path = new Path2D();
    path.ellipse(x(value.x), y(value.y), radiusX, radiusY, (value.rotation || 0) * RAD, 0, 2 * Math.PI);
    return { path, anchor: [x(value.x), y(value.y) - radiusY] };
  },
  draw: drawPath,
  describe: () => "ellipse",
};
