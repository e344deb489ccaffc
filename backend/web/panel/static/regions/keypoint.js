/* Key points: a disc as wide as the value says, and never too small to see. */

import { drawPath } from "./path.js";

const LEAST_RADIUS_PX = 2;
const USUAL_WIDTH_PCT = 0.3;

export const keyPoint = {
  name: "keypoint",
  isPainted: false,
  fields: ["x", "y"],
  fits: (value) => Number.isFinite(value.x) && !("height" in value) && !("radiusX" in value),
  outline({ value }, { x, y }) {
    if (!Number.isFinite(value.y)) return null;
    const path = new Path2D();
    path.arc(x(value.x), y(value.y), Math.max(LEAST_RADIUS_PX, x(value.width || USUAL_WIDTH_PCT)), 0, 2 * Math.PI);
    return { path, anchor: [x(value.x), y(value.y)] };
  },
  draw: drawPath,
  describe: () => "keypoint",
};
