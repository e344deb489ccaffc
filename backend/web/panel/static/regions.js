/* Label Studio results as regions that can be drawn: geometry in pixels of the image shown, one entry per object. */

const RAD = Math.PI / 180;

/** The results of one page: those of its image tag, and of its place in a list of images. */
export function resultsOfPage(results, page) {
  return results.filter(
    (result) => result?.to_name === page.image_tag && (result.item_index ?? 0) === (page.item_index ?? 0),
  );
}

/** Join results that share an id (a plain shape and its labels) and return regions; what cannot be drawn is left out. */
export function toRegions(results, source, imageWidth, imageHeight) {
  const byId = new Map();
  results.forEach((result, number) => {
    if (!result || typeof result.value !== "object" || result.value === null) return;
    const id = String(result.id ?? `unnamed-${number}`);
    const region = byId.get(id) || { id, source, label: null, score: null, shape: null };
    region.label = region.label ?? firstLabel(result.value);
    region.score = region.score ?? (typeof result.score === "number" ? result.score : null);
    region.shape = region.shape ?? shapeOf(result, imageWidth, imageHeight);
    byId.set(id, region);
  });
  return [...byId.values()].filter((region) => region.shape !== null);
}

function firstLabel(value) {
  for (const [name, content] of Object.entries(value)) {
    if (name.endsWith("labels") && Array.isArray(content) && typeof content[0] === "string") return content[0];
  }
  return null;
}

/** As Label Studio's editor does, the shape is recognised from the value's members, not from the type. */
function shapeOf(result, imageWidth, imageHeight) {
  const { value } = result;
  const x = (percent) => (percent / 100) * imageWidth;
  const y = (percent) => (percent / 100) * imageHeight;
  if (Array.isArray(value.rle)) {
    return { kind: "brush", rle: value.rle, width: result.original_width, height: result.original_height, bitmap: null };
  }
  if (Array.isArray(value.points)) return polygon(value, x, y);
  if (![value.x, value.y].every(Number.isFinite)) return null;
  if (Number.isFinite(value.radiusX)) return ellipse(value, x, y);
  if (Number.isFinite(value.height)) return rectangle(value, x, y);
  return keyPoint(value, x, y);
}

function polygon(value, x, y) {
  const points = value.points.filter((point) => Array.isArray(point) && point.every(Number.isFinite));
  if (points.length < 2) return null;
  const path = new Path2D();
  points.forEach(([px, py], number) => (number ? path.lineTo(x(px), y(py)) : path.moveTo(x(px), y(py))));
  if (value.closed !== false) path.closePath();
  const top = points.reduce((best, point) => (point[1] < best[1] ? point : best));
  return { kind: "polygon", path, anchor: [x(top[0]), y(top[1])] };
}

/** A rectangle turns clockwise about its top left corner, in pixels. */
export function rectangleCorners(value, x, y) {
  const angle = (value.rotation || 0) * RAD;
  const [left, top, width, height] = [x(value.x), y(value.y), x(value.width), y(value.height)];
  const across = [width * Math.cos(angle), width * Math.sin(angle)];
  const down = [-height * Math.sin(angle), height * Math.cos(angle)];
  return [
    [left, top],
    [left + across[0], top + across[1]],
    [left + across[0] + down[0], top + across[1] + down[1]],
    [left + down[0], top + down[1]],
  ];
}

function rectangle(value, x, y) {
  const corners = rectangleCorners(value, x, y);
  const path = new Path2D();
  corners.forEach(([px, py], number) => (number ? path.lineTo(px, py) : path.moveTo(px, py)));
  path.closePath();
  return { kind: "rectangle", path, anchor: corners.reduce((best, corner) => (corner[1] < best[1] ? corner : best)) };
}

function ellipse(value, x, y) {
  const path = new Path2D();
  path.ellipse(x(value.x), y(value.y), x(value.radiusX), y(value.radiusY), (value.rotation || 0) * RAD, 0, 2 * Math.PI);
  return { kind: "ellipse", path, anchor: [x(value.x), y(value.y) - y(value.radiusY)] };
}

function keyPoint(value, x, y) {
  const path = new Path2D();
  path.arc(x(value.x), y(value.y), Math.max(2, x(value.width || 0.3)), 0, 2 * Math.PI);
  return { kind: "keypoint", path, anchor: [x(value.x), y(value.y)] };
}

/** Whether the display settings let a region through; one without a score is always shown. */
export function isShown(region, display) {
  if (region.shape.kind === "brush" ? !display.masks : !display.shapes) return false;
  if (region.source === "annotation") return display.annotations;
  return display.predictions && (region.score === null || region.score >= display.threshold - 1e-9);
}
