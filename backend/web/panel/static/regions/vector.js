/* Vectors: a line through vertices, straight or curved; closed where it says so, or where its first vertex names its last. */

import { drawPath } from "./path.js";

const FREE_END_SHARE = 0.3; // how far along a curve its end without a control point is pulled

const isPlace = (point) => Number.isFinite(point?.x) && Number.isFinite(point?.y);

export const vector = {
  name: "vector",
  isPainted: false,
  fields: ["vertices", "closed"],
  fits: (value) => Array.isArray(value.vertices),
  outline({ value }, { x, y }) {
    const vertices = value.vertices.filter(isPlace);
    if (vertices.length < 2) return null;
    const isClosed = value.closed === true || vertices[0].prevPointId === vertices.at(-1).id;
    const place = (point) => [x(point.x), y(point.y)];
    const path = new Path2D();
    path.moveTo(...place(vertices[0]));
    const ends = isClosed ? [...vertices.slice(1), vertices[0]] : vertices.slice(1);
    ends.forEach((end, number) => addSide(path, vertices[number], end, place));
    if (isClosed) path.closePath();
    const anchor = vertices.map(place).reduce((best, point) => (point[1] < best[1] ? point : best));
    return { path, isClosed, anchor };
  },
  draw: drawPath,
  describe: () => "vector",
};

function addSide(path, start, end, place) {
  const leaving = start.isBezier && isPlace(start.controlPoint2) ? start.controlPoint2 : null;
  const arriving = end.isBezier && isPlace(end.controlPoint1) ? end.controlPoint1 : null;
  if (!leaving && !arriving) {
    path.lineTo(...place(end));
    return;
  }
  const along = (from, to) => ({ x: from.x + FREE_END_SHARE * (to.x - from.x), y: from.y + FREE_END_SHARE * (to.y - from.y) });
  path.bezierCurveTo(...place(leaving ?? along(start, end)), ...place(arriving ?? along(end, start)), ...place(end));
}
