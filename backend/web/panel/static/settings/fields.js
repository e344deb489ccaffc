/* One row of a form: label, control, explanation, and the problem right beneath the control. */

import { byId, h } from "../page/dom.js";

/** Make a row around a control. */
export function fieldRow({ name, title, control, explanation, origin }) {
  const id = `field-${name}`;
  control.id = id;
  const problem = h("span", { class: "problem", id: `${id}-problem`, role: "alert", hidden: true });
  control.setAttribute("aria-describedby", `${id}-explain ${id}-problem`);
  return h("div", { class: "field" },
    h("label", { for: id }, title),
    control,
    h("span", { class: "explain", id: `${id}-explain` }, explanation, origin ? h("span", { class: "origin" }, origin) : null),
    problem);
}

/** Mark the control of a field wrong, or right where the text is empty; a field that is not shown is left alone. */
export function markField(name, text) {
  const problem = byId(`field-${name}-problem`);
  if (!problem) return;
  problem.textContent = text || "";
  problem.hidden = !text;
  byId(`field-${name}`).setAttribute("aria-invalid", text ? "true" : "false");
}

/** Return why a typed number cannot be used, or null. */
export function numberProblem(field, text) {
  const value = Number(text);
  const range = `${plain(field.minimum)} to ${plain(field.maximum)}`;
  const kind = field.type === "integer" ? "a whole number" : "a number";
  if (String(text).trim() === "" || !Number.isFinite(value)) return `Type ${kind} from ${range}.`;
  if (field.type === "integer" && !Number.isInteger(value)) return `Type ${kind} from ${range}, not ${text}.`;
  if (value < field.minimum || value > field.maximum) return `${field.title} must be ${range}, not ${text}.`;
  return null;
}

export const plain = (value) => (value > 0 && value < 0.001 ? value.toFixed(5) : String(value));
