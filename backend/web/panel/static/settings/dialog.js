/* ML Training Settings: five parts in tabs; values are checked at the field and saved together. */

import { api } from "../state/api.js";
import { byId, fill, h, toast } from "../page/dom.js";
import { markField } from "./fields.js";
import { imagesPart } from "./images.js";
import { modelPart } from "./model.js";
import { parameterRows } from "./rows.js";
import { setThreshold } from "../side/display.js";
import { store, update } from "../state/store.js";
import { versionsPart } from "./versions.js";

export function startSettings() {
  byId("open-settings").addEventListener("click", open);
}

/** What is being edited: changed parameters, other changed values, and the problem of each field. */
class Draft {
  constructor(settings) {
    this.settings = settings;
    this.params = {};
    this.others = {};
    this.problems = new Map();
    this.onChange = () => {};
  }

  value(name) {
    return name in this.params ? this.params[name] ?? this.field(name).default : this.settings.effective[name];
  }

  other(name) {
    return name in this.others ? this.others[name] : this.settings.saved[name];
  }

  field(name) {
    return this.settings.fields.find((field) => field.name === name);
  }

  set(name, value, problem = null) {
    if (problem) this.problems.set(name, problem);
    else this.problems.delete(name);
    this.params[name] = value;
    this.checkTogether(name);
    this.onChange();
  }

  /** Mark the parameters of which at least one has to be on, as long as all are off. */
  checkTogether(changed) {
    const { names, next_move: nextMove } = this.settings.at_least_one_on;
    if (!names.includes(changed)) return;
    const isAllOff = !names.some((name) => this.value(name));
    for (const name of names) {
      if (isAllOff) this.problems.set(name, nextMove);
      else this.problems.delete(name);
      markField(name, isAllOff ? nextMove : null);
    }
  }

  setOther(name, value, problem = null) {
    if (problem) this.problems.set(name, problem);
    else this.problems.delete(name);
    this.others[name] = value;
    this.onChange();
  }

  get isChanged() {
    return Object.keys(this.params).length + Object.keys(this.others).length > 0;
  }
}

const PARTS = [
  ["images", "Training Images", imagesPart],
  ["parameters", "Training Parameters", (draft) => parameterRows(draft, "training")],
  ["model", "Model Options", modelPart],
  ["inference", "Inference Parameters", (draft) => parameterRows(draft, "inference")],
  ["versions", "Save / Load Model", versionsPart],
];

async function open() {
  if (!store.key) {
    toast("Choose a project first.");
    return;
  }
  const dialog = byId("settings");
  const close = () => dialog.close();
  const body = h("div", { class: "dialog-body", tabindex: "0" });
  const head = h("div", { class: "dialog-head" },
    h("h2", { id: "settings-title" }, "ML Training Settings"),
    h("button", { type: "button", class: "quiet icon", "aria-label": "Close", onclick: close }, "×"));
  fill(dialog, head, body);
  dialog.showModal();
  fill(body, h("p", { class: "reason" }, "Reading the settings…"));
  try {
    const settings = await api.settings(store.key);
    update({ settings });
    build(dialog, head, new Draft(settings), close);
  } catch (error) {
    fill(body, h("p", { class: "note" }, error.message));
  }
}

function build(dialog, head, draft, close) {
  const status = h("p", { class: "reason", role: "status" });
  const save = h("button", { type: "button", class: "primary", id: "save-settings", onclick: () => saveDraft(draft, status, show) }, "Save");
  const reset = h("button", {
    type: "button", onclick: () => resetAll(draft, show),
    "data-tip": "Forget all saved parameters; defaults and the connection's Extra params count again",
  }, "Defaults");
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the settings" });
  const panels = PARTS.map(([name, title]) =>
    h("div", { class: "dialog-body", role: "tabpanel", id: `part-${name}`, "aria-labelledby": `tab-${name}`, tabindex: "0", hidden: true }));
  PARTS.forEach(([name, title], number) => tabs.append(h("button", {
    type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `part-${name}`, onclick: () => choose(number),
  }, title)));
  tabs.addEventListener("keydown", (event) => {
    const now = [...tabs.children].findIndex((tab) => tab.getAttribute("aria-selected") === "true");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    choose((now + step + PARTS.length) % PARTS.length);
    tabs.querySelector('[aria-selected="true"]').focus();
  });
  let chosen = 0;

  function choose(number) {
    chosen = number;
    [...tabs.children].forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === number));
      tab.tabIndex = index === number ? 0 : -1;
    });
    panels.forEach((panel, index) => { panel.hidden = index !== number; });
    if (!panels[number].childElementCount) fill(panels[number], ...[PARTS[number][2](draft, close)].flat());
  }

  /** Draw all parts anew from what is saved now. */
  function show(settings) {
    draft.settings = settings;
    draft.params = {};
    draft.others = {};
    draft.problems.clear();
    for (const panel of panels) fill(panel);
    choose(chosen);
    draft.onChange();
  }

  draft.onChange = () => {
    const [first] = draft.problems.values();
    save.disabled = !draft.isChanged || draft.problems.size > 0;
    status.textContent = first ?? (draft.isChanged ? "Not saved yet." : draft.settings.problem ?? "");
    status.dataset.kind = first || (!draft.isChanged && draft.settings.problem) ? "bad" : "";
  };
  fill(dialog, head, tabs, ...panels,
    h("div", { class: "dialog-foot" }, save, reset, h("button", { type: "button", onclick: close }, "Close"), status));
  choose(0);
  draft.onChange();
}

async function saveDraft(draft, status, show) {
  try {
    const settings = await api.saveSettings(store.key, { params: draft.params, ...draft.others });
    taken(settings, show);
    toast("Saved: every later training of this project uses these values.", { kind: "good" });
  } catch (error) {
    const problems = Object.values(error.errors);
    for (const [name, text] of Object.entries(error.errors)) markField(name, text);
    status.textContent = problems.length ? problems.join(" ") : error.message;
    status.dataset.kind = "bad";
  }
}

async function resetAll(draft, show) {
  const names = Object.fromEntries(Object.keys(draft.settings.saved.params).map((name) => [name, null]));
  try {
    taken(await api.saveSettings(store.key, { params: names }), show);
    toast("Saved parameters are forgotten.");
  } catch (error) {
    toast(error.message, { kind: "bad" });
  }
}

function taken(settings, show) {
  update({ settings });
  setThreshold(settings.effective.confidence_threshold);
  show(settings);
}
