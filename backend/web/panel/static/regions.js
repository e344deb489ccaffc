/* Label Studio results as regions that can be drawn: geometry in pixels of the image shown, one entry per object. */

import { kindOf } from "./regions/index.js";

const LABELS = "labels";

/** The results of one page: those of its image tag, and of its place in a list of images. */
export function resultsOfPage(results, page) {
  return results.filter(
    (result) => result?.to_name === page.image_tag && (result.item_index ?? 0) === (page.item_index ?? 0),
  );
}

/** Join results that share an id (a plain shape and its labels) and return regions; what cannot be drawn is left out. */
export function toRegions(results, source, imageWidth, imageHeight) {
  const frame = {
    width: imageWidth,
    height: imageHeight,
    x: (percent) => (percent / 100) * imageWidth,
    y: (percent) => (percent / 100) * imageHeight,
  };
  const byId = new Map();
  results.forEach((result, number) => {
    if (!result || typeof result.value !== "object" || result.value === null) return;
    const id = String(result.id ?? `unnamed-${number}`);
    const region = byId.get(id) || { id, source, frame, label: null, score: null, kind: null, shape: null };
    region.label = region.label ?? firstLabel(result.value);
    region.score = region.score ?? (typeof result.score === "number" ? result.score : null);
    if (region.shape === null) {
      region.kind = kindOf(result.value) ?? null;
      region.shape = region.kind?.outline(result, frame) ?? null;
    }
    byId.set(id, region);
  });
  return [...byId.values()].filter((region) => region.shape !== null);
}

function firstLabel(value) {
  for (const [name, content] of Object.entries(value)) {
    if (name.endsWith(LABELS) && Array.isArray(content) && typeof content[0] === "string") return content[0];
  }
  return null;
}

/** Whether the display settings let a region through; one without a score is always shown. */
export function isShown(region, display) {
  if (region.kind.isPainted ? !display.masks : !display.shapes) return false;
  if (region.source === "annotation") return display.annotations;
  return display.predictions && (region.score === null || region.score >= display.threshold - 1e-9);
}
