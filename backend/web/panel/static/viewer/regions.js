/* Label Studio results as regions that can be drawn: geometry in pixels of the image shown, one entry per object. */

import { answer, namesOf } from "../regions/answer.js";
import { kindOf } from "../regions/index.js";

const LABELS = "labels";

/** The results of one page: those of its image tag, and of its place in a list of images. */
export function resultsOfPage(results, page) {
  return results.filter(
    (result) => result?.to_name === page.image_tag && (result.item_index ?? 0) === (page.item_index ?? 0),
  );
}

/** Join what belongs together (a plain shape and its labels) and return regions; what cannot be drawn is left out.

    Results of one id are one region, unless they lie elsewhere: converters give one id to many shapes. What is said
    of a region, a result of its id, is one of its attributes; without such a region it is said of the image. */
export function toRegions(results, source, imageWidth, imageHeight) {
  const frame = {
    width: imageWidth,
    height: imageHeight,
    x: (percent) => (percent / 100) * imageWidth,
    y: (percent) => (percent / 100) * imageHeight,
  };
  const byId = new Map();
  const numbered = results
    .map((result, number) => ({ result, id: String(result?.id ?? `unnamed-${number}`) }))
    .filter(({ result }) => result && typeof result.value === "object" && result.value !== null);
  const isSaid = ({ result }) => answer.fits(result.value);
  for (const { result, id } of [...numbered.filter((one) => !isSaid(one)), ...numbered.filter(isSaid)]) {
    if (!byId.has(id)) byId.set(id, []);
    if (answer.fits(result.value) && attach(result, byId.get(id))) continue;
    const region = regionOf(result, byId.get(id), { id, source, frame });
    region.labels.push(...labelsOf(result.value, region.kind).filter((label) => !region.labels.includes(label)));
    region.score = region.score ?? (typeof result.score === "number" ? result.score : null);
  }
  return [...byId.values()].flat().filter((region) => region.shape !== null);
}

/** Add what a result says to the region of its id that it is about; false where there is none. */
function attach(result, regions) {
  const drawn = regions.filter((region) => region.shape !== null && !region.kind.isAboutImage);
  const kind = kindOf(result.value);
  const region = drawn.find((one) => one.kind === kind && liesAlike(one, kind, result.value)) ?? drawn[0];
  region?.attributes.push({ control: result.from_name, names: namesOf(result.value) });
  return Boolean(region);
}

/** Return the region that a result belongs to, of those of its id; if there is none, a new one is added to them. */
function regionOf(result, regions, common) {
  const { value } = result;
  const kind = kindOf(value) ?? null;
  const shape = kind?.outline(result, common.frame) ?? null;
  const known = shape === null ? regions.at(-1) : regions.find((region) => region.shape === null || liesAlike(region, kind, value));
  const region = known ?? { ...common, labels: [], attributes: [], score: null, shape: null };
  if (region.shape === null) Object.assign(region, { kind, shape, value });
  if (!known) regions.push(region);
  return region;
}

function liesAlike(region, kind, value) {
  return region.kind === kind && kind.fields.every((name) => isEqual(region.value[name] ?? 0, value[name] ?? 0));
}

function isEqual(one, other) {
  if (!Array.isArray(one) || !Array.isArray(other)) return one === other;
  return one.length === other.length && one.every((item, number) => isEqual(item, other[number]));
}

function labelsOf(value, kind) {
  if (kind?.labels) return kind.labels(value);
  const [, names] = Object.entries(value).find(([key, content]) => key.endsWith(LABELS) && Array.isArray(content)) ?? [];
  return (names ?? []).filter((name) => typeof name === "string");
}

/** Return the labels of a region in words. */
export function labelText(region) {
  return region.labels.join(", ") || "no label";
}

/** Return what is said of a region in words, "" for nothing. */
export function attributeText(region) {
  return region.attributes.map(({ control, names }) => `${control}: ${names.join(", ")}`).join("; ");
}

/** Whether the display settings let a region through; one without a score is always shown. */
export function isShown(region, display) {
  if (!region.kind.isAboutImage && (region.kind.isPainted ? !display.masks : !display.shapes)) return false;
  if (region.source === "annotation") return display.annotations;
  return display.predictions && (region.score === null || region.score >= display.threshold - 1e-9);
}
