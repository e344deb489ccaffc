/* Training Parameters and Inference Parameters: numbers and choices with range and explanation. */

import { fieldRow, numberProblem, originText, plain, titleOf } from "./fields.js";
import { h } from "./dom.js";

export function numbersPart(draft, names) {
  return names.map((name) => (draft.field(name).type === "choice" ? choiceRow(draft, name) : numberRow(draft, name)));
}

function numberRow(draft, name) {
  const field = draft.field(name);
  const control = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", value: String(draft.value(name)) });
  const { row, mark } = fieldRow({
    name, title: titleOf(name), control, origin: originText(draft, name),
    explanation: `${field.explanation} ${plain(field.minimum)} to ${plain(field.maximum)}, default ${plain(field.default)}.`,
  });
  control.addEventListener("input", () => {
    const problem = numberProblem(field, control.value);
    mark(problem);
    draft.set(name, problem ? control.value : Number(control.value), problem);
  });
  return row;
}

function choiceRow(draft, name) {
  const field = draft.field(name);
  const now = draft.value(name);
  const control = h("select", {}, ...field.choices.map((choice) =>
    h("option", { value: String(choice), selected: choice === now }, `${choice} px`)));
  control.addEventListener("change", () => draft.set(name, Number(control.value)));
  return fieldRow({
    name, title: titleOf(name), control, origin: originText(draft, name),
    explanation: `${field.explanation} Default ${field.default}.`,
  }).row;
}
