/* Polygons: a line through points, closed unless it says otherwise. */

import { drawPath, shapeThrough } from "./path.js";

export const polygon = {
  name: "polygon",
  isPainted: false,
  fields: ["points"],
  fits: (value) => Array.isArray(value.points),
  outline({ value }, { x, y }) {
    const points = value.points.filter((point) => Array.isArray(point) && point.every(Number.isFinite));
    return points.length < 2 ? null : shapeThrough(points.map(([px, py]) => [x(px), y(py)]), value.closed !== false);
  },
  draw: drawPath,
  describe: () => "polygon",
};
