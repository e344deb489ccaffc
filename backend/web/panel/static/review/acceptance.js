/* Accept by precision: how much would be right often enough, accepting it, and taking a batch back. */

import { api } from "../state/api.js";
import { announce, announcer, attempt, byId, fill, h, refill } from "../page/dom.js";
import { plural } from "../page/format.js";
import { store } from "../state/store.js";

const ASK_AGAIN_MS = 1000;
const ASK_AFTER_ERROR_MS = 4000;
const USUAL = 0.95;

export function startAcceptance() {
  byId("open-acceptance").addEventListener("click", open);
}

async function open() {
  const dialog = byId("acceptance");
  const view = { key: store.key, dialog, precision: USUAL, asked: 0, drawn: "", body: h("div"), said: announcer() };
  const output = h("output", { for: "acceptance-precision" }, words(USUAL));
  const slider = h("input", { type: "range", id: "acceptance-precision", min: 0.8, max: 0.99, step: 0.01, value: USUAL });
  slider.addEventListener("input", () => {
    view.precision = Number(slider.value);
    output.textContent = words(view.precision);
    refresh(view);
  });
  fill(dialog,
    h("div", { class: "dialog-head" },
      h("h2", { id: "acceptance-title" }, "Accept by precision"),
      h("button", { type: "button", class: "quiet icon", "aria-label": "Close", onclick: () => dialog.close() }, "×")),
    h("div", { class: "dialog-body", tabindex: "0", role: "region", "aria-label": "What would be accepted" },
      h("div", { class: "slider" }, h("label", { for: "acceptance-precision" }, "Accept all that is right at least"), output, slider),
      view.body, view.said));
  dialog.showModal();
  await refresh(view);
}

const words = (precision) => `${Math.round(100 * precision)} %`;

/** Ask what would be accepted now; an answer that a later question has overtaken is not drawn. */
async function refresh(view) {
  view.asked += 1;
  const asked = view.asked;
  try {
    const found = await api.acceptance(view.key, view.precision);
    if (asked !== view.asked) return;
    draw(view, found);
    if (found.job?.is_active) refreshSoon(view, ASK_AGAIN_MS);
  } catch (error) {
    if (asked !== view.asked) return;
    view.drawn = "";
    refill(view.body, h("p", { class: "note bad" }, error.message));
    announce(view.said, error.message);
    refreshSoon(view, ASK_AFTER_ERROR_MS);
  }
}

function refreshSoon(view, milliseconds) {
  const { asked } = view;
  setTimeout(() => {
    if (asked === view.asked && view.dialog.open && view.body.isConnected) refresh(view);
  }, milliseconds);
}

/** Draw what was found, where it differs from what is drawn. */
function draw(view, found) {
  const drawn = JSON.stringify(found);
  if (drawn === view.drawn) return;
  view.drawn = drawn;
  const { survey, batches, job } = found;
  const isBusy = Boolean(job?.is_active);
  const count = h("button", { type: "button", "data-name": "count", disabled: isBusy, onclick: () => act(view, () => api.countAcceptance(view.key)),
    "data-tip": "Predict every task without annotation, in the background" }, survey ? "Count again" : "Count");
  const accept = h("button", { type: "button", "data-name": "accept", class: "primary", disabled: isBusy || !survey?.is_current || !survey.tasks_accepted,
    onclick: () => act(view, () => api.acceptAtPrecision(view.key, view.precision)) },
  survey ? `Accept ${plural(survey.tasks_accepted, "picture")}` : "Accept");
  refill(view.body,
    progress(job),
    survey ? surveyed(survey) : h("p", { class: "reason" }, "Count first: every task without annotation is predicted, and images that the version did not learn from say how often it is right."),
    h("div", { class: "tool-row" }, count, accept),
    batches.length ? h("h3", { class: "field-group" }, "Accepted so far") : null,
    batches.length ? h("ul", { class: "batches", "aria-label": "Accepted so far" }, ...batches.map((batch) => batchLine(view, batch, isBusy))) : null);
  announce(view.said, spoken(found));
}

/** What is said aloud: not each task that is done, but the start and the end. */
function spoken({ survey, job }) {
  if (job?.status === "failed") return job.error ?? "The job failed.";
  if (job?.is_active) return "In progress";
  return survey ? inShort(survey).join("") : "Nothing is counted yet.";
}

/** What would be accepted, and the rest about it. */
function inShort(survey) {
  const mistakes = survey.mistakes_expected;
  return [
    `${plural(survey.tasks_accepted, "picture")} with ${plural(survey.regions_accepted, "region")}`,
    ` can be accepted whole; expect about ${mistakes < 10 ? mistakes : Math.round(mistakes)} mistakes among them. `
    + `${plural(survey.tasks_doubtful, "picture")} with something doubtful keep their predictions; in ${survey.tasks_empty} nothing was found.`,
  ];
}

function progress(job) {
  if (job?.status === "failed") return h("p", { class: "note bad" }, job.error ?? "The job failed.");
  if (!job?.is_active) return null;
  return h("div", { class: "job" },
    h("span", {}, job.total ? `${job.done} of ${plural(job.total, "task")}` : "Starting"),
    h("progress", { max: job.total ?? 1, value: job.done ?? 0, "aria-label": "Progress" }),
    h("div", { class: "row" }, h("button", { type: "button", "data-name": "stop", onclick: () => attempt(() => api.stop(job.job_id, "keep")) }, "Stop")));
}

function surveyed(survey) {
  const [accepted, rest] = inShort(survey);
  return h("div", { class: "block" },
    survey.is_current ? null : h("p", { class: "note" }, `Counted with version ${survey.version}; another one serves now. Count again.`),
    h("p", { id: "acceptance-summary" },
      h("b", {}, accepted), rest),
    h("table", {},
      h("caption", { class: "reason" }, `By what ${plural(survey.held_out_images, "image")} say that the version did not learn from`),
      h("thead", {}, h("tr", {}, ...["Label", "From score", "Right there", "Expected"].map((name, k) =>
        h("th", { scope: "col", class: k ? "number" : "" }, name)))),
      h("tbody", {}, ...survey.labels.map((row) => h("tr", {},
        h("th", { scope: "row" }, row.label),
        h("td", { class: "number" }, row.score === null ? "none" : row.score.toFixed(2)),
        h("td", { class: "number" }, row.score === null ? "" : `${row.right} of ${row.objects}`),
        h("td", { class: "number" }, row.score === null ? "" : `${(100 * row.precision).toFixed(1)} %`))))));
}

function batchLine(view, batch, isBusy) {
  const when = new Date(batch.made_at * 1000).toLocaleString();
  const notes = [
    batch.passed_over ? `${batch.passed_over} annotated meanwhile` : "",
    batch.kept ? `${batch.kept} kept, since they were edited` : "",
  ].filter(Boolean).map((note) => `, ${note}`).join("");
  return h("li", { class: "version", dataset: { batch: batch.batch_id, state: batch.state } },
    h("div", { class: "version-head" },
      h("b", {}, `${plural(batch.tasks, "picture")} at ${words(batch.precision)}`),
      h("span", { class: "status", dataset: { state: batch.state === "undone" ? "" : "good" } }, batch.state),
      batch.state === "undone" ? null : h("button", { type: "button", "data-name": `undo-${batch.batch_id}`, disabled: isBusy,
        onclick: () => act(view, () => api.undoBatch(view.key, batch.batch_id)) }, "Undo all")),
    h("span", { class: "reason" }, `${when}, ${plural(batch.regions, "region")}${notes} · ${batch.batch_id}`));
}

async function act(view, run) {
  await attempt(run);
  await refresh(view);
}
