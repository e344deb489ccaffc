/* Numbers and times as people read them. */

export const score = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));

export const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export function moment(seconds) {
  return seconds ? new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "–";
}

const METRICS = {
  turned_map50: ["Turned boxes, mAP50", "How well boxes and their angles are found on held-out images, overlapping by half; 1 is perfect"],
  box_map50: ["Boxes, mAP50", "How well boxes are found on held-out images, overlapping by half; 1 is perfect"],
  box_map: ["Boxes, mAP", "How well boxes are found and how tightly they fit, overlaps of 0.50 to 0.95; 1 is perfect"],
  mask_map50: ["Areas, mAP50", "How well painted areas and outlines are found, overlapping by half; 1 is perfect"],
  mask_map: ["Areas, mAP", "How well areas are found and how exactly they fit, overlaps of 0.50 to 0.95; 1 is perfect"],
  choice_accuracy: ["Choices, accuracy", "The share of images whose likeliest choice or path is the one given; 1 is perfect"],
  scale_concordance: ["Ratings and Numbers", "How well predicted ratings and numbers agree with those given; 1 is perfect"],
  region_choice_accuracy: ["Choices of Regions, accuracy", "The share of found regions whose likeliest choice or path is the one given; 1 is perfect"],
  region_choice_map: ["Choices of Regions, mAP", "How well chances rank the found regions that a choice holds for, as a mean over multiple choices; 1 is perfect"],
  region_scale_concordance: ["Ratings and Numbers of Regions", "How well those predicted agree with those given, of found regions; 1 is perfect"],
  choice_map: ["Choices, mAP", "How well chances rank the images that a choice holds for, as a mean over multiple choices; 1 is perfect"],
  area_iou: ["Areas, IoU", "How much of what is painted and what is found they share, as a mean over labels; 1 is perfect"],
  precision: ["Right of what is found", "Precision: share of the regions found that are right, at the confidence threshold"],
  recall: ["Found of what is there", "Recall: share of the drawn objects that are found, at the confidence threshold"],
  f1: ["F1", "Balance of precision and recall; 1 is perfect"],
  objects: ["Held-out objects", "Objects drawn on the held-out images"],
  calibration_error: ["Score error", "How far scores lie from how often they are right; 0 is perfect"],
};

/** Metrics of a card in the order people ask for them. */
export function metricEntries(metrics) {
  const order = ["turned_map50", "box_map50", "mask_map50", "area_iou", "choice_accuracy", "choice_map", "recall", "precision", "box_map", "mask_map"];
  const rank = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
  return Object.entries(metrics ?? {}).filter(([, value]) => typeof value === "number").sort(([a], [b]) => rank(a) - rank(b));
}

export const metricName = (name) => METRICS[name]?.[0] ?? name.replaceAll("_", " ");

/** What a metric means, or null where its name must do. */
export const metricTip = (name) => METRICS[name]?.[1] ?? null;

export function figure(value) {
  if (typeof value !== "number") return "–";
  return Number.isInteger(value) ? count(value) : value.toFixed(3);
}
