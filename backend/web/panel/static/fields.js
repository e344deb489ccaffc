/* One row of a form: label, control, explanation, and the problem right beneath the control. */

import { byId, h } from "./dom.js";

const TITLES = {
  epochs: "Epochs",
  batch_size: "Batch size",
  learning_rate: "Learning rate",
  image_size: "Image size",
  enable_detection: "Detection head",
  enable_segmentation: "Segmentation head",
  pretrained: "Pretrained backbone",
  backbone: "Backbone architecture",
  confidence_threshold: "Confidence threshold",
  nms_threshold: "NMS threshold",
  start_from: "Start from",
};

export const titleOf = (name) => TITLES[name] ?? name;

/** Make a row around a control; returns the row and a function that marks the control wrong or right. */
export function fieldRow({ name, title, control, explanation, origin }) {
  const id = `field-${name}`;
  control.id = id;
  const problem = h("span", { class: "problem", id: `${id}-problem`, role: "alert", hidden: true });
  control.setAttribute("aria-describedby", `${id}-explain ${id}-problem`);
  const row = h("div", { class: "field" },
    h("label", { for: id }, title),
    control,
    h("span", { class: "explain", id: `${id}-explain` }, explanation, origin ? h("span", { class: "origin" }, origin) : null),
    problem);
  const mark = (text) => {
    control.setAttribute("aria-invalid", text ? "true" : "false");
    problem.textContent = text || "";
    problem.hidden = !text;
  };
  return { row, mark };
}

/** Show what the service refused at the fields it names. */
export function markRefused(errors) {
  for (const [name, text] of Object.entries(errors)) {
    const problem = byId(`field-${name}-problem`);
    if (problem) {
      problem.textContent = text;
      problem.hidden = false;
      byId(`field-${name}`).setAttribute("aria-invalid", "true");
    }
  }
}

export function originText(draft, name) {
  const origin = draft.settings.origins[name];
  return origin && origin !== "default" ? `now from: ${origin}` : "";
}

/** Return why a typed number cannot be used, or null. */
export function numberProblem(field, text) {
  const value = Number(text);
  const range = `${plain(field.minimum)} to ${plain(field.maximum)}`;
  const kind = field.type === "integer" ? "a whole number" : "a number";
  if (String(text).trim() === "" || !Number.isFinite(value)) return `Type ${kind} from ${range}.`;
  if (field.type === "integer" && !Number.isInteger(value)) return `Type ${kind} from ${range}, not ${text}.`;
  if (value < field.minimum || value > field.maximum) return `${titleOf(field.name)} must be ${range}, not ${text}.`;
  return null;
}

export const plain = (value) => (value < 0.001 ? value.toFixed(5) : String(value));
