/* What kinds with an outline share: a shape is {path, anchor, isClosed}. */

const FILL = { annotation: 0.16, prediction: 0.1 };
const HIGHLIGHTED_FILL = 0.35;

/** Return the shape of a closed or open line through points in pixels; its label stands at the topmost one. */
export function shapeThrough(points, isClosed = true) {
  const path = new Path2D();
  points.forEach(([x, y], number) => (number ? path.lineTo(x, y) : path.moveTo(x, y)));
  if (isClosed) path.closePath();
  return { path, isClosed, anchor: points.reduce((best, point) => (point[1] < best[1] ? point : best)) };
}

/** Stroke the path of a shape, and fill it unless it is an open line; a prediction's line is dashed. */
export function drawPath(context, shape, { color, scale, isPrediction, isHighlighted }) {
  context.lineWidth = (isHighlighted ? 4 : 2) / scale;
  context.setLineDash(isPrediction ? [6 / scale, 4 / scale] : []);
  context.fillStyle = color;
  context.globalAlpha = isHighlighted ? HIGHLIGHTED_FILL : FILL[isPrediction ? "prediction" : "annotation"];
  if (shape.isClosed !== false) context.fill(shape.path);
  context.globalAlpha = 1;
  context.strokeStyle = color;
  context.stroke(shape.path);
}
