/* Statistics: what has been labelled, which model serves, what waits. */

import { byId, fill, h, swatch } from "../page/dom.js";
import { count, figure, metricEntries, metricName, metricTip, moment, plural } from "../page/format.js";
import { colorOf, store, subscribe } from "../state/store.js";

export function startStatistics() {
  subscribe(["live", "project", "key"], draw);
  draw();
}

function draw() {
  const { live } = store;
  const box = byId("statistics");
  if (!store.key) return fill(box, h("p", { class: "reason" }, "Choose a project to see its numbers."));
  if (!live) return fill(box, h("p", { class: "reason" }, "Asking…"));
  fill(box, labelled(live), model(live), machine(live));
}

function labelled({ statistics, label_studio: labelStudio }) {
  if (!statistics) {
    const text = labelStudio.problem ? "Labels cannot be counted while Label Studio is away." : "Counting the labels…";
    return h("div", { class: "block" }, h("p", { class: "reason" }, text));
  }
  const rows = statistics.labels.filter((entry) => entry.in_config || entry.shapes || entry.painted);
  return h("div", { class: "block" },
    h("div", { class: "figures" },
      h("div", { class: "figure" }, h("b", { id: "annotated-images" }, count(statistics.annotated_images)), h("span", {}, "Annotated Images")),
      h("div", { class: "figure" }, h("b", { id: "total-annotations" }, count(statistics.total)), h("span", {}, "Total Annotations"))),
    h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Label"), h("th", { scope: "col", class: "number" }, "Shapes"), h("th", { scope: "col", class: "number" }, "Painted"))),
      h("tbody", {}, ...rows.map((entry) => h("tr", {},
        h("td", {}, h("span", { class: "row" }, swatch(colorOf(entry.label)), h("span", { class: "clip" }, entry.label + (entry.in_config ? "" : " (not in the config)")))),
        h("td", { class: "number" }, count(entry.shapes)),
        h("td", { class: "number" }, count(entry.painted)))))),
    said("answer-counts", "Answer", "Images", (statistics.answers ?? []).map((entry) => [entry, entry.images])),
    said("attribute-counts", "Of a Region", "Regions", (statistics.attributes ?? []).map((entry) => [entry, entry.regions])));
}

/** How often each thing is said: of images, or of regions. */
function said(id, title, of, entries) {
  if (!entries.length) return null;
  return h("table", { id },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, title), h("th", { scope: "col", class: "number" }, of))),
    h("tbody", {}, ...entries.map(([entry, number]) => h("tr", {},
      h("td", {}, h("span", { class: "clip" }, `${entry.control}: ${entry.answer}`)),
      h("td", { class: "number" }, count(number))))));
}

function model({ model: status }) {
  if (!status.is_trained) {
    return h("div", { class: "block" },
      h("p", { class: "row" }, h("span", {}, "Model Status"), h("span", { class: "status", id: "model-status" }, "Not trained")),
      status.stand_in
        ? h("p", { class: "reason", id: "model-stand-in" }, `Predictions are made ${status.stand_in}. Training replaces them.`)
        : status.version ? h("p", { class: "reason" }, `Objects are found by the names of their labels: ${status.version}.`) : null);
  }
  const card = status.card ?? {};
  const metrics = metricEntries(card.metrics).slice(0, 6);
  return h("div", { class: "block" },
    h("p", { class: "row" }, h("span", {}, "Model Status"), h("span", { class: "status", id: "model-status", dataset: { state: "good" } }, "Trained ✓")),
    h("dl", { class: "facts" },
      ...fact("Version", status.version),
      ...fact("Date", moment(card.created_at)),
      ...fact("Backbone", card.params?.backbone ?? "–"),
      ...metrics.flatMap(([name, value]) => fact(metricName(name), figure(value), metricTip(name)))),
    status.problem ? h("p", { class: "reason", dataset: { kind: "bad" } }, status.problem) : null);
}

function machine({ workers, queue_problem: problem, lost }) {
  const text = problem
    ? h("span", { class: "status", dataset: { state: "bad" } }, "Queue away")
    : workers && workers.workers > 0
      ? h("span", { class: "status", dataset: { state: "good" } }, `${plural(workers.workers, "worker")}, ${workers.busy} busy`)
      : h("span", { class: "status", dataset: { state: "warn" } }, "No worker");
  return h("div", { class: "block" },
    h("p", { class: "row" }, h("span", {}, "Workers"), text, workers ? h("span", { class: "reason" }, `${plural(workers.waiting, "job")} waiting`) : null),
    problem ? h("p", { class: "reason", dataset: { kind: "bad" } }, problem) : null,
    lost ? h("p", { class: "reason", dataset: { kind: "bad" } }, lost) : null);
}

function fact(name, value, tip = null) {
  return [h("dt", { "data-tip": tip }, name), h("dd", {}, value ?? "–")];
}
