/* Display Settings: what is drawn, and from which score; the list of regions for eyes and screen readers. */

import { byId, fill, h, swatch } from "../page/dom.js";
import { plural, score } from "../page/format.js";
import { attributeText, isShown, labelText } from "../viewer/regions.js";
import { colorOf, store, subscribe, update } from "../state/store.js";
import { overlay } from "../viewer/viewer.js";

const SWITCHES = { predictions: "show-predictions", annotations: "show-annotations", shapes: "show-shapes", masks: "show-masks", labels: "show-labels" };
const MOST_LISTED = 300;
let listTimer = 0;

export function startDisplay() {
  for (const [name, id] of Object.entries(SWITCHES)) {
    byId(id).addEventListener("change", (event) => update({ display: { ...store.display, [name]: event.target.checked } }));
  }
  byId("threshold").addEventListener("input", (event) => setThreshold(Number(event.target.value)));
  byId("regions-box").addEventListener("toggle", drawRegions);
  subscribe(["project"], drawLegend);
  // The overlay follows the slider at once; the list of regions may lag a little.
  subscribe(["display", "regions"], () => {
    clearTimeout(listTimer);
    listTimer = setTimeout(drawRegions, 120);
  });
}

export function setThreshold(value) {
  const threshold = Math.min(1, Math.max(0.1, value));
  byId("threshold").value = String(threshold);
  byId("threshold-value").textContent = threshold.toFixed(2);
  update({ display: { ...store.display, threshold } });
}

function drawLegend() {
  const labels = store.project?.labels ?? [];
  fill(byId("legend"), ...labels.map(({ label }) => h("li", { title: label }, swatch(colorOf(label)), h("span", { class: "clip" }, label))));
}

/** What is said about the whole image stands beside it, open to see. */
function drawAnswers(answers) {
  byId("answers").hidden = !answers.length;
  fill(byId("answers"), ...answers.map((region) =>
    h("li", {},
      h("span", { class: "clip" }, `${region.kind.describe(region.shape)}: ${labelText(region)}`),
      h("span", { class: "number" }, region.source === "annotation" ? "annotation" : score(region.score)))));
}

function drawRegions() {
  const shown = (store.regions ?? []).filter((region) => isShown(region, store.display));
  drawAnswers(shown.filter((region) => region.kind.isAboutImage));
  byId("regions-summary").textContent = `${plural(shown.length, "region")} shown`;
  if (!byId("regions-box").open) return;
  fill(byId("regions"), ...shown.slice(0, MOST_LISTED).map((region) =>
    h("li", { onpointerenter: () => overlay.highlight(region.id), onpointerleave: () => overlay.highlight(null) },
      swatch(region.color),
      h("span", { class: "clip", title: attributeText(region) }, describe(region)),
      h("span", { class: "number" }, region.source === "annotation" ? "annotation" : score(region.score)))));
}

/** A region in words: its labels, its shape, and what is said of it. */
function describe(region) {
  const said = attributeText(region);
  return `${labelText(region)}, ${region.kind.describe(region.shape)}${said && `; ${said}`}`;
}
