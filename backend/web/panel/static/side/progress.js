/* Progress: what more labelled images would bring, asked for anew when another version is there. */

import { byId, fill, h, svg } from "../page/dom.js";
import { count } from "../page/format.js";
import { ledgerParts } from "./ledger.js";
import { api } from "../state/api.js";
import { store, subscribe } from "../state/store.js";

const WIDTH = 300;
const HEIGHT = 120;
const LEFT = 30;
const BOTTOM = 18;
const TOP = 6;

let drawnFor = null;

export function startProgress() {
  subscribe(["live", "key"], refresh);
}

async function refresh() {
  const { key, live } = store;
  const state = key && live
    ? JSON.stringify([key, live.model?.version, live.model?.card?.created_at, live.statistics?.annotated_images, live.statistics?.total])
    : null;
  if (state === drawnFor) return;
  drawnFor = state;
  byId("progress-card").hidden = !state;
  if (!state) return;
  const [curve, ledger] = await Promise.allSettled([api.learningCurve(key), api.ledger(key)]);
  if (drawnFor !== state) return;
  fill(byId("learning-curve"), ...(curve.status === "fulfilled" ? curveParts(curve.value) : [refusal(curve.reason)]));
  fill(byId("ledger"), ...(ledger.status === "fulfilled" ? ledgerParts(ledger.value) : [refusal(ledger.reason)]));
}

const refusal = (error) => h("p", { class: "reason" }, error.message);

function curveParts(curve) {
  if (curve.missing) return [h("p", { class: "reason" }, curve.missing)];
  return [curveChart(curve), h("p", { class: "reason" }, `${curve.measure} by images learned from; the band holds 80 of 100 versions.`), aheadTable(curve)];
}

function aheadTable({ images, now, ahead }) {
  const row = (title, forecast) => h("tr", {},
    h("th", { scope: "row" }, title),
    h("td", { class: "number" }, share(forecast.middle)),
    h("td", { class: "number" }, `${share(forecast.low)} to ${share(forecast.high)}`));
  return h("table", { id: "ahead" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Images"), h("th", { scope: "col", class: "number" }, "Likely"), h("th", { scope: "col", class: "number" }, "Range"))),
    h("tbody", {}, row(`${count(images)} now`, now), ...ahead.map((forecast) => row(`${count(forecast.images - images)} more`, forecast))));
}

function curveChart({ measure, images, versions, drawn, ahead }) {
  const counts = drawn.map((one) => one.images);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const values = [...drawn.flatMap((one) => [one.low, one.high]), ...versions.map((one) => one.measure)];
  const floor = Math.floor(Math.min(...values) * 10) / 10;
  const roof = Math.min(1, Math.ceil(Math.max(...values) * 10) / 10);
  const x = (number) => LEFT + ((number - least) / Math.max(most - least, 1)) * (WIDTH - LEFT - 8);
  const y = (value) => HEIGHT - BOTTOM - ((value - floor) / Math.max(roof - floor, 0.1)) * (HEIGHT - BOTTOM - TOP);
  const path = (pairs) => `M${pairs.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join("L")}`;
  const last = ahead.at(-1);
  const chart = svg("svg", {
    class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": `${measure}: ${count(last.images)} images would bring ${share(last.low)} to ${share(last.high)}`,
  });
  for (const value of [floor, (floor + roof) / 2, roof]) {
    chart.append(svg("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }), label(LEFT - 4, y(value) + 3, value.toFixed(2), "end"));
  }
  for (const number of [least, images, most]) chart.append(label(x(number), HEIGHT - 4, count(number), number === most ? "end" : "middle"));
  chart.append(
    svg("path", { class: "band", d: `${path([...drawn.map((one) => [x(one.images), y(one.high)]), ...drawn.toReversed().map((one) => [x(one.images), y(one.low)])])}Z` }),
    svg("path", { class: "metric", d: path(drawn.map((one) => [x(one.images), y(one.middle)])) }),
    svg("line", { class: "now", x1: x(images), x2: x(images), y1: TOP, y2: HEIGHT - BOTTOM }),
    ...versions.map((one) => svg("circle", { class: "point", cx: x(one.images), cy: y(one.measure), r: 3 }, titled(`${one.version}: ${share(one.measure)}`))),
  );
  return chart;
}

function label(x, y, text, anchor) {
  const element = svg("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

function titled(text) {
  const element = svg("title");
  element.textContent = text;
  return element;
}

const share = (value) => value.toFixed(2);
