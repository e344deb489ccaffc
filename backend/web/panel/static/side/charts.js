/* The curves of a training, drawn from its epochs as they come. */

import { h, svg } from "../page/dom.js";
import { figure, metricName } from "../page/format.js";

const WIDTH = 300;
const HEIGHT = 84;
const EDGE = 6;

/** Return the metric to draw beside the loss: mAP50, else another mAP, else the first number. */
export function mainMetric(curve) {
  const names = new Set(curve.flatMap((point) => Object.keys(point)));
  names.delete("epoch");
  names.delete("loss");
  return [...names].find((name) => /map50|area_iou|choice_accuracy/i.test(name)) ?? [...names].find((name) => /map/i.test(name)) ?? [...names][0] ?? null;
}

export function trainingChart(curve, epochs) {
  const metric = mainMetric(curve);
  const last = curve.at(-1);
  const measured = metric ? curve.filter((point) => Number.isFinite(point[metric])) : [];
  const lastMeasured = measured.at(-1);
  const losses = curve.filter((point) => Number.isFinite(point.loss));
  const most = Math.max(...losses.map((point) => point.loss), 1e-6);
  const description = `Loss ${figure(last.loss)} after epoch ${last.epoch}${
    lastMeasured ? `, ${metricName(metric)} ${figure(lastMeasured[metric])}` : ""}`;
  const chart = svg("svg", {
    class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": description,
  });
  for (const share of [0, 0.5, 1]) {
    const y = EDGE + share * (HEIGHT - 2 * EDGE);
    chart.append(svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: y, y2: y }));
  }
  const x = (epoch) => (epochs > 1 ? ((epoch - 1) / (epochs - 1)) * WIDTH : WIDTH / 2);
  const y = (share) => HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE);
  chart.append(line("loss", losses.map((point) => [x(point.epoch), y(point.loss / most)])));
  if (measured.length) chart.append(line("metric", measured.map((point) => [x(point.epoch), y(clamp(point[metric]))])));
  return h(
    "div", {}, chart,
    h("div", { class: "chart-caption" },
      h("span", { class: "loss" }, `loss ${figure(last.loss)}`),
      lastMeasured && h("span", { class: "metric" }, `${metricName(metric)} ${figure(lastMeasured[metric])}`)),
  );
}

function line(name, points) {
  if (points.length === 1) points = [[points[0][0] - 2, points[0][1]], [points[0][0] + 2, points[0][1]]];
  return svg("polyline", { class: name, points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ") });
}

const clamp = (value) => Math.min(1, Math.max(0, value));
