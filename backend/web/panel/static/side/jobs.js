/* The running training and background prediction: progress, curves, stopping, and how they ended. */

import { api } from "../state/api.js";
import { trainingChart } from "./charts.js";
import { byId, fill, h, toast } from "../page/dom.js";
import { duration, figure, plural } from "../page/format.js";
import { loadTask } from "../lists/task_strip.js";
import { store, subscribe } from "../state/store.js";

const SHOW_ENDED_S = 86_400;
const LOG_EVERY_MS = 3000;
const announced = new Map();
const logs = new Map();
let askingToStop = null;

export function startJobs() {
  subscribe(["live"], draw);
  subscribe(["key"], () => {
    announced.clear();
    logs.clear();
    askingToStop = null;
    byId("training").hidden = true;
    byId("predicting").hidden = true;
  });
}

function draw() {
  const { training, predicting } = store.live ?? {};
  for (const job of [training, predicting]) announce(job);
  show(byId("training"), training, trainingParts);
  show(byId("predicting"), predicting, predictingParts);
}

/** Say it once when a job that was seen running has ended. */
function announce(job) {
  if (!job) return;
  const before = announced.get(job.job_id);
  announced.set(job.job_id, job.status);
  if (before && before !== job.status && !job.is_active) {
    toast(job.summary || `Job ${job.status}.`, { kind: job.status === "failed" ? "bad" : "good", seconds: 10 });
  }
}

function show(box, job, parts) {
  const isOld = job && !job.is_active && Date.now() / 1000 - (job.ended_at ?? 0) > SHOW_ENDED_S;
  box.hidden = !job || isOld;
  if (box.hidden) return;
  // The focus stays where it is while numbers change around it.
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  const wasOpen = new Set([...box.querySelectorAll("details[open]")].map((details) => details.dataset.part));
  box.dataset.state = job.status;
  fill(box, ...parts(job));
  for (const details of box.querySelectorAll("details")) details.open = wasOpen.has(details.dataset.part);
  if (focused) box.querySelector(`[data-name="${focused}"]`)?.focus();
}

function trainingParts(job) {
  const { progress } = job;
  const curve = job.details.curve ?? [];
  const epochs = progress.epochs ?? 0;
  const parts = [];
  if (job.is_active) {
    const epoch = progress.epoch ?? 0;
    const label = job.status === "queued" ? "Waiting for a worker" : capital(progress.step ?? "training");
    // Of all steps together; a job of an older release told its epochs only.
    const bar = Number.isFinite(progress.fraction) ? [progress.fraction, 1] : [epochs ? epoch : null, epochs];
    parts.push(
      progressBar("Training progress", ...bar),
      h("div", { class: "numbers" },
        h("b", {}, label),
        epochs ? h("span", {}, `epoch ${epoch} of ${epochs}`) : null,
        Number.isFinite(progress.loss) ? h("span", {}, `loss ${figure(progress.loss)}`) : null,
        Number.isFinite(progress.seconds_left) ? h("span", {}, `about ${duration(progress.seconds_left)} left`) : null),
    );
  } else parts.push(h("p", {}, job.summary ?? `Training ${job.status}.`));
  if (curve.length) parts.push(trainingChart(curve, epochs || curve.length));
  if (job.details.tiles) parts.push(h("p", { dataset: { part: "tiles" } }, `${capital(job.details.tiles)}.`));
  for (const warning of job.details.warnings ?? []) parts.push(h("p", { class: "warning" }, warning));
  parts.push(leftOut(job.left_out ?? []), disputed(job.details), leftAlone(job.details.left_alone ?? []));
  if (job.is_active) parts.push(stopRow(job, true));
  parts.push(logPart(job));
  return parts;
}

function predictingParts(job) {
  const { done = 0, total = null, pushed = 0, tiles = 0, tiles_total: tilesTotal = 0 } = job.progress;
  if (!job.is_active) return [h("p", {}, job.summary ?? `Predicting ${job.status}.`)];
  return [
    progressBar("Prediction progress", total ? done : null, total),
    h("div", { class: "numbers" },
      h("b", {}, job.status === "queued" ? "Waiting for a worker" : "Predicting"),
      total === null ? null : h("span", {}, `${done} of ${plural(total, "task")}`),
      tilesTotal ? h("span", { dataset: { part: "tiles" } }, `${tiles} of ${plural(tilesTotal, "tile")}`) : null,
      h("span", {}, `${pushed} written`)),
    job.details.waiting_for ? h("p", { class: "warning" }, `Waiting: ${job.details.waiting_for}`) : null,
    stopRow(job, false),
  ];
}

function progressBar(label, value, most) {
  const bar = h("progress", { "aria-label": label });
  if (value !== null && most) {
    bar.max = most;
    bar.value = value;
  }
  return bar;
}

/** What was left out, and what was learned from although it is odd: how often, why, and what to do. */
function leftOut(entries) {
  if (!entries.length) return null;
  const number = entries.reduce((sum, entry) => (entry.is_learned ? sum : sum + entry.count), 0);
  return h("details", { dataset: { part: "left-out" } },
    h("summary", { "data-name": "left-out" }, number ? `${plural(number, "region or task", "regions and tasks")} left out` : "Odd labels were used"),
    h("ul", { class: "reasons" }, ...entries.map(({ reason, count, meaning, next_move: nextMove, tasks, tasks_count: number }) =>
      h("li", {}, h("p", {}, `${count} × ${meaning}. ${nextMove}`), tasks.length ? taskButtons(reason, tasks, number) : null))));
}

/** Tasks by id, each a button that opens it; number: how many there are beside those that are named. */
function taskButtons(name, tasks, number) {
  return h("div", { class: "row wrap tasks" },
    ...tasks.map((id) =>
      h("button", { type: "button", class: "quiet", "data-name": `${name}-${id}`, onclick: () => loadTask(id) }, `Task ${id}`)),
    number > tasks.length ? h("span", {}, `and ${number - tasks.length} more`) : null);
}

/** Tasks that annotators labelled differently, each a button that opens it. */
function disputed({ disputed_tasks: tasks = [], disputed_tasks_count: number = 0 }) {
  if (!number) return null;
  return h("details", { dataset: { part: "disputed" } },
    h("summary", { "data-name": "disputed" }, `Annotators disagree on ${plural(number, "task")}`),
    h("p", {}, "The newest drawing counts. Open a task to decide, and delete the annotation that is wrong."),
    taskButtons("disputed", tasks, number));
}

/** Control tags with which people draw in vain. */
function leftAlone(tags) {
  const drawing = tags.filter((tag) => tag.draws);
  if (!drawing.length) return null;
  return h("details", { dataset: { part: "left-alone" } },
    h("summary", { "data-name": "left-alone" }, `${plural(drawing.length, "tag")} not learned, or not all of it`),
    h("ul", {}, ...drawing.map(({ name, tag, why }) => h("li", {}, `${name} (${tag}): ${why}.`))));
}

/** The log, read when it is opened and again while the job runs and it stays open. */
function logPart(job) {
  const known = logs.get(job.job_id);
  const details = h("details", { dataset: { part: "log" } },
    h("summary", { "data-name": "log" }, "Log"),
    known?.lines ? h("pre", { class: "log", tabindex: "0" }, known.lines.join("\n") || "Nothing was logged yet.") : null);
  details.addEventListener("toggle", () => details.open && readLog(job));
  return details;
}

async function readLog(job) {
  const known = logs.get(job.job_id);
  if (known && (!job.is_active || Date.now() - known.readAt < LOG_EVERY_MS)) return;
  logs.set(job.job_id, { ...known, readAt: Date.now() });
  let { lines } = known ?? {};
  try {
    ({ lines } = await api.jobLog(job.job_id));
  } catch (error) {
    lines = [error.message];
  }
  logs.set(job.job_id, { lines, readAt: Date.now() });
  draw();
}

function stopRow(job, canKeep) {
  const button = (name, text, run, kind = "") => h("button", { type: "button", class: kind, "data-name": name, onclick: run }, text);
  if (!canKeep) return h("div", { class: "row" }, button("stop", "Cancel", () => stop(job, "discard")));
  if (askingToStop !== job.job_id) {
    return h("div", { class: "row" }, button("stop", "Stop", () => ask(job.job_id)));
  }
  const hasEpoch = (job.progress.epoch ?? 0) > 0;
  return h("div", { class: "row", role: "group", "aria-label": "Stop the training" },
    hasEpoch ? button("keep", "Keep best so far", () => stop(job, "keep"), "grow") : null,
    button("discard", "Discard", () => stop(job, "discard"), "danger grow"),
    button("go-on", "Go on", () => ask(null), "quiet"));
}

function ask(jobId) {
  askingToStop = jobId;
  draw();
  byId("training").querySelector(jobId ? '[data-name="keep"], [data-name="discard"]' : '[data-name="stop"]')?.focus();
}

async function stop(job, mode) {
  askingToStop = null;
  try {
    await api.stop(job.job_id, mode);
    toast(mode === "keep" ? "Stopping; what it has learned so far is kept." : "Stopping.");
  } catch (error) {
    toast(error.message, { kind: "bad" });
  }
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
