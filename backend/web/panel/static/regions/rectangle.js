/* Rectangles: turned clockwise about their top left corner, in pixels. */

import { drawPath, shapeThrough } from "./path.js";

const RAD = Math.PI / 180;

export const rectangle = {
  name: "rectangle",
  isPainted: false,
  fields: ["x", "y", "width", "height", "rotation"],
  fits: (value) => Number.isFinite(value.height) && !("radiusX" in value),
  outline({ value }, { x, y }) {
    if (![value.x, value.y, value.width].every(Number.isFinite)) return null;
    const angle = (value.rotation || 0) * RAD;
    const [left, top, width, height] = [x(value.x), y(value.y), x(value.width), y(value.height)];
    const across = [width * Math.cos(angle), width * Math.sin(angle)];
    const down = [-height * Math.sin(angle), height * Math.cos(angle)];
    return shapeThrough([
      [left, top],
      [left + across[0], top + across[1]],
      [left + across[0] + down[0], top + across[1] + down[1]],
      [left + down[0], top + down[1]],
    ]);
  },
  draw: drawPath,
  describe: () => "rectangle",
};
