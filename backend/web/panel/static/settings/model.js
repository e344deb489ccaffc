/* Model Options: heads, backbone, where to start, and when trainings start and serve by themselves. */

import { api } from "../state/api.js";
import { fieldRow, markField, numberProblem, plain } from "./fields.js";
import { h, toast } from "../page/dom.js";
import { parameterRow, parameterRows } from "./rows.js";
import { store } from "../state/store.js";

const OTHER = "other";
const AUTO = "auto";

export function modelPart(draft) {
  return [
    ...parameterRows(draft, "model", { backbone: backboneRows, start_from: startRow }),
    h("h3", { class: "field-group" }, "Automatic training"),
    ...automaticRows(draft),
  ];
}

function backboneRows(draft, field) {
  const trained = store.live?.model?.card;
  const trainedOn = trained?.params?.backbone ?? null;
  const now = draft.value("backbone");
  const control = h("select", {}, h("option", { value: now, selected: true }, now));
  const own = h("input", { type: "text", value: now, autocomplete: "off", spellcheck: "false" });
  const note = h("p", { class: "note", role: "status", hidden: true });
  const warn = () => {
    const chosen = draft.value("backbone");
    note.hidden = !trainedOn || chosen === trainedOn || chosen === AUTO;
    note.textContent = `The saved model was trained with ${trainedOn}: it no longer fits ${chosen}, so the next training starts from scratch.`;
  };
  const row = parameterRow(draft, field, control, "Times are those of a training step, resnet18 being 1.");
  const ownRow = fieldRow({
    name: "backbone-own", title: "Name in timm", control: own,
    explanation: "Any timm network with feature maps, such as hrnet_w18.",
  });
  ownRow.hidden = true;
  const take = (name, problem = null) => {
    draft.set("backbone", name, problem);
    warn();
  };
  control.addEventListener("change", () => {
    ownRow.hidden = control.value !== OTHER;
    if (control.value !== OTHER) take(control.value);
    else own.focus();
  });
  own.addEventListener("input", () => {
    const problem = /^[\w.-]{1,200}$/.test(own.value) ? null : "Type the name of a timm network.";
    markField("backbone-own", problem);
    take(own.value, problem);
  });
  fillBackbones(control, now, ownRow);
  warn();
  return [row, ownRow, note];
}

async function fillBackbones(control, now, ownRow) {
  let families;
  try {
    ({ families } = await api.backbones());
  } catch (error) {
    toast(error.message, { kind: "bad" });
    return;
  }
  const listed = families.some((family) => family.backbones.some((backbone) => backbone.name === now));
  const isAuto = now === AUTO;
  control.replaceChildren(
    ...families.map((family) => h("optgroup", { label: family.family }, ...family.backbones.map((backbone) =>
      h("option", { value: backbone.name, selected: backbone.name === now },
        `${backbone.name} — ${backbone.size}, ${speedOf(backbone.relative_cost)}`)))),
    h("optgroup", { label: "Other" },
      h("option", { value: AUTO, selected: isAuto }, "auto — that of the start version, else a small one that comes along"),
      h("option", { value: OTHER, selected: !listed && !isAuto }, "another timm network…")),
  );
  ownRow.hidden = listed || isAuto;
}

function speedOf(cost) {
  if (cost < 0.95) return `faster (${cost}×)`;
  return cost <= 1.05 ? "fast (1×)" : `${cost < 3 ? "slower" : "slow"} (${cost}×)`;
}

function startRow(draft, field) {
  const now = draft.value("start_from");
  const known = ["scratch", "current"].includes(now);
  const control = h("select", {},
    h("option", { value: "scratch", selected: now === "scratch" }, "from scratch"),
    h("option", { value: "current", selected: now === "current" }, "the current model"),
    known ? null : h("option", { value: now, selected: true }, `version ${now}`));
  control.addEventListener("change", () => draft.set("start_from", control.value));
  return parameterRow(draft, field, control, "Going on from a model is quicker for small additions.");
}

function automaticRows(draft) {
  const auto = draft.other("auto_train");
  const isOn = h("input", { type: "checkbox", checked: auto !== null });
  const numbers = draft.settings.auto_train_fields.map((field) => {
    const value = String(auto?.[field.name] ?? field.default);
    return { field, name: `auto-${field.name}`, control: h("input", { type: "text", inputmode: "decimal", value, disabled: auto === null }) };
  });
  const take = () => {
    const problems = numbers.map(({ field, name, control }) => {
      control.disabled = !isOn.checked;
      const problem = isOn.checked ? numberProblem(field, control.value) : null;
      markField(name, problem);
      return problem;
    });
    const value = isOn.checked
      ? Object.fromEntries(numbers.map(({ field, control }) => [field.name, Number(control.value)]))
      : null;
    draft.setOther("auto_train", value, problems.find(Boolean) ?? null);
  };
  for (const control of [isOn, ...numbers.map((number) => number.control)]) control.addEventListener("input", take);
  const activation = h("select", {},
    h("option", { value: "better", selected: draft.other("activation") === "better" }, "if it is not worse"),
    h("option", { value: "newest", selected: draft.other("activation") === "newest" }, "always the newest"));
  activation.addEventListener("change", () => draft.setOther("activation", activation.value));
  const predict = h("input", { type: "checkbox", checked: draft.other("predict_after_training") });
  predict.addEventListener("change", () => draft.setOther("predict_after_training", predict.checked));
  return [
    fieldRow({ name: "auto-train", title: "Train automatically", control: isOn, explanation: "Start a training once enough has been labelled and nobody draws any more." }),
    ...numbers.map(({ field, name, control }) => fieldRow({
      name, title: field.title, control, explanation: `${field.explanation} ${plain(field.minimum)} to ${plain(field.maximum)}.`,
    })),
    fieldRow({ name: "activation", title: "New version serves", control: activation, explanation: "A version that is worse on the held-out images waits as a candidate, or serves anyway." }),
    fieldRow({ name: "predict-after", title: "Predict all afterwards", control: predict, explanation: "Predict all tasks in the background when a new version serves." }),
  ];
}
