/* What predictions saved: hours over time, and what annotators did with the regions of each label. */

import { h, svg } from "../page/dom.js";
import { count, plural } from "../page/format.js";

const WIDTH = 300;
const HEIGHT = 64;
const ACTS = ["kept", "moved", "relabelled", "deleted", "added"];

export function ledgerParts(ledger) {
  if (!ledger.annotations) {
    return [h("p", { class: "reason" }, "No annotation has begun with a prediction yet, so nothing is known of what predictions save.")];
  }
  const share = ledger.hours_by_hand > 0 ? Math.round((100 * ledger.hours_saved) / ledger.hours_by_hand) : 0;
  return [
    h("div", { class: "figures" },
      h("div", { class: "figure" }, h("b", { id: "hours-saved" }, hours(ledger.hours_saved)), h("span", {}, "Saved by predictions")),
      h("div", { class: "figure" }, h("b", {}, `${share} %`), h("span", {}, "Of the work by hand"))),
    savedChart(ledger.over_time),
    h("table", { id: "acts" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Label"), ...ACTS.map((act) => h("th", { scope: "col", class: "number" }, act)))),
      h("tbody", {}, ...ledger.by_label.map((entry) => h("tr", {},
        h("th", { scope: "row" }, h("span", { class: "clip" }, entry.label)),
        ...ACTS.map((act) => h("td", { class: "number" }, count(entry.acts[act]))))))),
    ledger.acts.accepted
      ? h("p", { class: "reason", id: "accepted-regions" }, `${plural(ledger.acts.accepted, "region")} accepted by precision and edited by nobody since: saved, less the mistakes to expect.`)
      : null,
    ledger.acts.repaired
      ? h("p", { class: "reason", id: "repaired-regions" }, `${plural(ledger.acts.repaired, "region")} added by the second look: a click each.`)
      : null,
    ledger.incomplete
      ? h("p", { class: "reason" }, `Of ${plural(ledger.incomplete, "annotation")} the prediction is gone, so what was deleted there is not known.`)
      : null,
  ].filter(Boolean);
}

function savedChart(periods) {
  const most = Math.max(...periods.map((one) => Math.abs(one.hours_saved)), 1e-6);
  const least = Math.min(...periods.map((one) => one.hours_saved), 0);
  const base = least < 0 ? HEIGHT / 2 : HEIGHT - 2;
  const room = base - 2;
  const step = WIDTH / Math.max(periods.length, 4);
  const unit = periods[0].days === 1 ? "day" : "week";
  const total = periods.reduce((sum, one) => sum + one.hours_saved, 0);
  const chart = svg("svg", { class: "saved", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Saved by ${unit}: ${hours(total)} in ${plural(periods.length, unit)}` });
  chart.append(svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: base, y2: base }));
  periods.forEach((one, place) => {
    const height = (Math.abs(one.hours_saved) / most) * room;
    const bar = svg("rect", { class: one.hours_saved < 0 ? "lost" : "won", x: place * step + 2, width: step - 4, y: one.hours_saved < 0 ? base : base - height, height });
    const title = svg("title");
    title.textContent = `${new Date(one.starts_at * 1000).toLocaleDateString(undefined, { dateStyle: "medium" })}: ${hours(one.hours_saved)}, ${plural(one.annotations, "annotation")}`;
    bar.append(title);
    chart.append(bar);
  });
  return h("div", {}, chart, h("p", { class: "reason" }, `By ${unit}, ${new Date(periods[0].starts_at * 1000).toLocaleDateString(undefined, { dateStyle: "medium" })} to now.`));
}

function hours(value) {
  const minutes = Math.round(Math.abs(value) * 60);
  const text = minutes < 60 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
  return value < 0 && minutes ? `−${text}` : text;
}
