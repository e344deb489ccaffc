/* Brush regions: masks in pixels of the image they were painted on, decoded and coloured once by a worker. */

import { paintMask } from "./masks.js";

const ALPHA = 0.5;
const HIGHLIGHTED_ALPHA = 0.85;

export const brush = {
  name: "brush",
  isPainted: true,
  fields: ["rle"],
  fits: (value) => Array.isArray(value.rle),
  outline: ({ value, original_width: width, original_height: height }) => ({
    rle: value.rle, width, height, area: null, bitmap: null, anchor: null,
  }),
  async prepare(shape, color, frame) {
    const { area, bitmap } = await paintMask(shape.rle, shape.width, shape.height, color);
    Object.assign(shape, { area, bitmap });
    if (area) shape.anchor = [(area.left / shape.width) * frame.width, (area.top / shape.height) * frame.height];
  },
  draw(context, { bitmap, area, width, height }, { isHighlighted, frame }) {
    if (!bitmap) return;
    const [stretchX, stretchY] = [frame.width / width, frame.height / height];
    context.globalAlpha = isHighlighted ? HIGHLIGHTED_ALPHA : ALPHA;
    context.drawImage(bitmap, area.left * stretchX, area.top * stretchY, area.width * stretchX, area.height * stretchY);
    context.globalAlpha = 1;
  },
  release: (shape) => shape.bitmap?.close(),
  describe: () => "brush",
};
