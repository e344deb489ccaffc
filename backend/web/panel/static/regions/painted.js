/* What kinds with painted masks share: a shape is {mask, width, height, area, bitmap, anchor}. */

import { paintMask } from "./masks.js";

const ALPHA = 0.5;
const HIGHLIGHTED_ALPHA = 0.85;

/** Return how a kind is drawn whose value holds its mask under a field that the worker decodes. */
export function paintedKind(field) {
  return {
    outline: ({ value, original_width: width, original_height: height }) => ({
      mask: { [field]: value[field] }, width, height, area: null, bitmap: null, anchor: null,
    }),
    async prepare(shape, color, frame) {
      const { area, bitmap } = await paintMask(shape.mask, shape.width, shape.height, color);
      Object.assign(shape, { area, bitmap });
      if (area) shape.anchor = [(area.left / shape.width) * frame.width, (area.top / shape.height) * frame.height];
    },
    draw(context, { bitmap, area, width, height }, { isHighlighted, frame }) {
      if (!bitmap) return;
      const [stretchX, stretchY] = [frame.width / width, frame.height / height];
      context.globalAlpha = isHighlighted ? HIGHLIGHTED_ALPHA : ALPHA;
      context.drawImage(
        bitmap, area.left * stretchX, area.top * stretchY, area.width * stretchX, area.height * stretchY,
      );
      context.globalAlpha = 1;
    },
    release: (shape) => shape.bitmap?.close(),
  };
}
