/* The rows of the training parameters: kind, range and words of each come with the settings. */

import { fieldRow, markField, numberProblem, plain } from "./fields.js";
import { h } from "../page/dom.js";

// A list has no row: the training images are chosen in a tab of their own.
const ROWS = { integer: numberRow, number: numberRow, choice: choiceRow, boolean: switchRow, text: textRow };

/** Return the rows of one tab; special: what draws a parameter that needs more than its kind's row, by name. */
export function parameterRows(draft, tab, special = {}) {
  const fields = draft.settings.fields.filter((field) => field.tab === tab);
  return fields.flatMap((field) => (special[field.name] ?? ROWS[field.type])?.(draft, field) ?? []);
}

/** Return the row of a parameter around a control; more: what is said beside its explanation. */
export function parameterRow(draft, field, control, more = "") {
  const origin = draft.settings.origins[field.name];
  return fieldRow({
    name: field.name, title: field.title, control, explanation: [field.explanation, more].filter(Boolean).join(" "),
    origin: origin && origin !== "default" ? `now from: ${origin}` : "",
  });
}

function numberRow(draft, field) {
  const value = String(draft.value(field.name));
  const control = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", value });
  control.addEventListener("input", () => {
    const problem = numberProblem(field, control.value);
    markField(field.name, problem);
    draft.set(field.name, problem ? control.value : Number(control.value), problem);
  });
  return parameterRow(draft, field, control, `${plain(field.minimum)} to ${plain(field.maximum)}, default ${plain(field.default)}.`);
}

function choiceRow(draft, field) {
  const now = draft.value(field.name);
  const control = h("select", {}, ...field.choices.map((choice) =>
    h("option", { value: String(choice), selected: choice === now }, String(choice))));
  control.addEventListener("change", () => draft.set(field.name, field.choices[control.selectedIndex]));
  return parameterRow(draft, field, control, `Default ${field.default}.`);
}

function switchRow(draft, field) {
  const control = h("input", { type: "checkbox", checked: draft.value(field.name) });
  control.addEventListener("change", () => draft.set(field.name, control.checked));
  return parameterRow(draft, field, control);
}

function textRow(draft, field) {
  const control = h("input", { type: "text", autocomplete: "off", spellcheck: "false", value: draft.value(field.name) });
  control.addEventListener("input", () => draft.set(field.name, control.value));
  return parameterRow(draft, field, control);
}
