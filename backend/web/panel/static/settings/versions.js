/* Save / Load Model: versions listed, activated, pinned, deleted, compared; one file out, one file in. */

import { api } from "../state/api.js";
import { fill, h, toast } from "../page/dom.js";
import { figure, metricEntries, metricName, metricTip, moment, plural } from "../page/format.js";
import { store } from "../state/store.js";

export function versionsPart() {
  const list = h("div", { id: "versions" });
  const comparison = h("div", { id: "comparison", role: "status" });
  const picked = [];

  async function refresh() {
    try {
      const { versions, current } = await api.versions(store.key);
      fill(list, ...(versions.length
        ? versions.map((card) => versionBox(card, card.version === current))
        : [h("p", { class: "reason" }, "No model has been trained or loaded yet.")]));
    } catch (error) {
      fill(list, h("p", { class: "note" }, error.message));
    }
  }

  function versionBox(card, isCurrent) {
    const name = card.version;
    const pick = h("input", { type: "checkbox", checked: picked.includes(name), "aria-label": `Compare ${name}` });
    pick.addEventListener("change", () => {
      const at = picked.indexOf(name);
      if (at >= 0) picked.splice(at, 1);
      if (pick.checked) picked.push(name);
      while (picked.length > 2) picked.shift();
      compare();
      refresh();
    });
    const images = card.counts?.images;
    const metrics = metricEntries(card.metrics).slice(0, 4);
    return h("div", { class: "version", dataset: { version: name, current: String(isCurrent) } },
      h("div", { class: "version-head" },
        h("code", {}, name),
        isCurrent ? h("span", { class: "status", dataset: { state: "good" } }, "serves") : null,
        card.pinned ? h("span", { class: "status" }, "pinned") : null),
      h("div", { class: "numbers" },
        h("span", {}, card.is_trained === false ? "no training" : moment(card.created_at)),
        h("span", {}, card.params?.backbone ?? ""),
        images ? h("span", {}, plural(images, "image")) : null,
        ...metrics.map(([metric, value]) => h("span", { "data-tip": metricTip(metric) }, `${metricName(metric)} ${figure(value)}`))),
      card.tiles?.tiling ? h("p", { class: "reason" }, card.tiles.reason) : null,
      card.activation_reason && !isCurrent ? h("p", { class: "reason" }, card.activation_reason) : null,
      h("div", { class: "tool-row" },
        isCurrent ? null : button("Activate", () => api.activate(store.key, name), "It serves from now on."),
        ...(card.is_trained === false ? [] : fileButtons(card, isCurrent)),
        h("label", { class: "check-line" }, pick, "Compare")));
  }

  function fileButtons(card, isCurrent) {
    const name = card.version;
    return [
      h("a", { class: "button", href: api.reportUrl(store.key, name), target: "_blank", rel: "noopener", "data-tip": "How good it is on images that it has not learned from, on one page to keep or send" }, "Report"),
      h("a", { class: "button", href: api.versionFileUrl(store.key, name), download: "", "data-tip": "Download this model as one file" }, "Save Trained Model"),
      button(card.pinned ? "Unpin" : "Pin", () => api.pin(store.key, name, !card.pinned), card.pinned ? "No longer pinned." : "Kept however old it gets."),
      isCurrent ? null : deleteButton(name),
    ];
  }

  function button(text, run, done) {
    return h("button", { type: "button", onclick: () => change(run, done) }, text);
  }

  function deleteButton(name) {
    const ask = h("button", { type: "button", class: "danger" }, "Delete");
    ask.addEventListener("click", () => {
      if (ask.textContent === "Delete") ask.textContent = "Delete for good?";
      else change(() => api.deleteVersion(store.key, name), `Version ${name} is deleted.`);
    });
    ask.addEventListener("blur", () => { ask.textContent = "Delete"; });
    return ask;
  }

  async function change(run, done) {
    try {
      await run();
      toast(done, { kind: "good" });
    } catch (error) {
      toast(error.message, { kind: "bad", seconds: 12 });
    }
    await refresh();
  }

  async function compare() {
    if (picked.length < 2) {
      fill(comparison, picked.length ? h("p", { class: "reason" }, "Choose a second version to compare with.") : null);
      return;
    }
    const [before, after] = [...picked].sort((a, b) => byAge(a).localeCompare(byAge(b)));
    try {
      fill(comparison, ...comparisonParts(await api.compare(store.key, before, after)));
    } catch (error) {
      fill(comparison, h("p", { class: "note" }, error.message));
    }
  }

  const answer = h("div", { role: "status" });
  refresh();
  return [loadRow(answer, refresh), answer, comparison, list];
}

function loadRow(answer, refresh) {
  const file = h("input", { type: "file", id: "model-file", "data-tip": "A file that Save Trained Model made, also on another installation" });
  const load = h("button", { type: "button" }, "Load Existing Model");
  load.addEventListener("click", async () => {
    if (!file.files.length) {
      fill(answer, h("p", { class: "note" }, "Choose the model file first."));
      file.focus();
      return;
    }
    load.disabled = true;
    fill(answer, h("p", { class: "reason" }, "Checking the file…"));
    try {
      const { version, current } = await api.importVersion(store.key, file.files[0], true);
      fill(answer, h("p", { class: "note calm" }, version === current ? `Loaded: version ${version} serves now.` : `Loaded as version ${version}.`));
      file.value = "";
    } catch (error) {
      fill(answer, h("p", { class: "note" }, error.message));
    }
    load.disabled = false;
    await refresh();
  });
  return h("div", { class: "tool-row" }, h("label", { for: "model-file" }, "Model file"), file, load);
}

function comparisonParts(comparison) {
  const row = (metric) => h("tr", {},
    h("th", { scope: "row", "data-tip": metricTip(metric.name) }, metricName(metric.name)),
    h("td", { class: "number" }, figure(metric.before)),
    h("td", { class: "number" }, figure(metric.after)),
    h("td", { class: `number ${direction(metric.difference)}` }, change(metric.difference)));
  const group = (title, metrics) => (metrics.length
    ? h("tbody", {}, h("tr", {}, h("th", { scope: "rowgroup", colspan: 4, class: "group" }, title)), ...metrics.map(row))
    : null);
  return [
    h("p", { class: "note calm" }, comparison.sentence),
    h("table", { class: "comparison" },
      h("caption", { class: "visually-hidden" }, `Scores of ${comparison.before} and ${comparison.after}`),
      h("thead", {}, h("tr", {},
        h("td", {}), h("th", { scope: "col", class: "number" }, comparison.before),
        h("th", { scope: "col", class: "number" }, comparison.after), h("th", { scope: "col", class: "number" }, "Change"))),
      group("All labels", comparison.metrics),
      ...comparison.classes.map((entry) => group(entry.label, entry.metrics))),
    comparison.parameters.length
      ? h("p", { class: "reason" }, `Parameters: ${comparison.parameters.map((p) => `${p.name} ${p.before} → ${p.after}`).join(", ")}`)
      : null,
  ].filter(Boolean);
}

/** What sorts names of versions from old to new: what nobody trained was there first. */
const byAge = (name) => (name.startsWith("zero-shot-") ? "" : name);

const direction = (value) => (value === null || Math.abs(value) < 0.0005 ? "" : value > 0 ? "up" : "down");

function change(value) {
  if (value === null) return "–";
  return `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(3)}`;
}
