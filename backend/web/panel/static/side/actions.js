/* ML Actions: train, predict, accept, clear; each says why it cannot be used when it cannot. */

import { api } from "../state/api.js";
import { byId, enable, isEnabled, toast } from "../page/dom.js";
import { plural } from "../page/format.js";
import { isShown, resultsOfPage, toRegions } from "../viewer/regions.js";
import { canPredict, store, subscribe, update } from "../state/store.js";
import { rereadStrip } from "../lists/task_strip.js";

export function startActions() {
  subscribe(["live", "task", "busy", "display", "project", "key", "regions"], draw);
  on("train", train);
  on("predict-current", predictCurrent);
  on("predict-all", predictAll);
  on("accept", accept);
  on("clear", clear);
  on("undo", () => undo(store.key, store.taskId));
  draw();
}

function on(id, run) {
  const button = byId(id);
  button.addEventListener("click", () => {
    if (isEnabled(button)) run();
    else if (button.dataset.reason) toast(button.dataset.reason);
  });
}

function draw() {
  const { live, task, busy } = store;
  const noProject = store.key ? "" : "Choose a project first.";
  const unreachable = store.project?.problem ? "Label Studio cannot be reached; see Check connection." : "";
  const queue = live?.queue_problem ? `The queue is away: ${live.queue_problem}` : "";
  const basic = noProject || unreachable || (busy ? "One moment, an action is running." : "");
  const train = basic || queue || whyNotTrain();
  enable(byId("train"), train);
  const isTold = live?.training?.is_active || busy || !store.key; // the box below says it, with its progress
  reason("train-reason", train && !isTold ? train : workersNote());
  const untrained = live && !canPredict() ? "There is no trained model yet: train one first." : "";
  const noTask = task ? "" : "No image is shown.";
  enable(byId("predict-current"), basic || untrained || noTask);
  const isPredicting = live?.predicting?.is_active ? "A background prediction is running." : "";
  enable(byId("predict-all"), basic || queue || untrained || isPredicting);
  reason("predict-reason", !basic && untrained);
  const unshown = noTask || whyNotAccept();
  enable(byId("accept"), basic || unshown);
  enable(byId("clear"), basic || noTask || (hasPrediction() ? "" : "This image has no predictions."));
  drawAcceptNote();
}

function whyNotTrain() {
  const { live } = store;
  if (live?.training?.is_active) return "A training of this project is running.";
  const annotated = live?.statistics?.annotated_images;
  if (annotated === 0) return "Label at least one image in Label Studio first.";
  return "";
}

function workersNote() {
  return store.live?.workers?.workers === 0 ? "No worker is running, so jobs will wait; see Check connection." : "";
}

const hasPrediction = () => Boolean(store.task?.prediction);

function whyNotAccept() {
  const prediction = store.task?.prediction;
  if (!prediction) return "This image has no predictions: predict it first.";
  if (prediction.is_accepted) return "These predictions are accepted already.";
  if (!prediction.is_current_version) return "Made by an older version: predict this image again first.";
  if (!shownPredictions().length) return "No prediction is above the threshold.";
  return "";
}

/** The predicted regions that the display lets through, on every page of the task. */
export function shownPredictions() {
  const { task, display } = store;
  if (!task?.prediction || task.prediction.is_accepted) return [];
  const shown = { ...display, predictions: true };
  return predictedRegions(task).filter((region) => isShown(region, shown));
}

const regionsByTask = new WeakMap();

/** The predicted regions of all pages, made once for each view of a task: the slider asks at every step. */
function predictedRegions(task) {
  if (!regionsByTask.has(task)) {
    regionsByTask.set(task, task.pages.flatMap((page) =>
      toRegions(resultsOfPage(task.prediction.result, page), "prediction", 1, 1)));
  }
  return regionsByTask.get(task);
}

function drawAcceptNote() {
  const prediction = store.task?.prediction;
  byId("undo").hidden = !(store.task?.undo?.undo_seconds_left > 0);
  if (!prediction) return reason("accept-note", "");
  if (prediction.is_accepted) return reason("accept-note", "Accepted: they are an annotation in Label Studio now.");
  if (!prediction.is_current_version) {
    return reason("accept-note", `Predicted by the older version ${prediction.model_version}: predict again to accept.`);
  }
  const pages = store.task.pages.length;
  const tail = pages > 1 ? ` on ${pages} pages` : "";
  return reason("accept-note", `${plural(shownPredictions().length, "region")} to accept${tail}.`);
}

function reason(id, text) {
  byId(id).hidden = !text;
  byId(id).textContent = text || "";
}

/** Run one action at a time; its error becomes a message. */
async function act(name, run) {
  update({ busy: name });
  const button = byId(name);
  const text = button.textContent;
  button.setAttribute("aria-busy", "true");
  try {
    await run();
  } catch (error) {
    toast(error.message, { kind: "bad", seconds: 12 });
    if (error.status === 409) await reloadTask();
  } finally {
    button.removeAttribute("aria-busy");
    button.textContent = text;
    update({ busy: null });
  }
}

export async function reloadTask() {
  if (!store.key || store.taskId === null) return;
  const { taskId } = store;
  try {
    const task = await api.task(store.key, taskId);
    if (store.taskId === taskId) update({ task });
  } catch (error) {
    toast(error.message, { kind: "bad" });
  }
}

function showTask(task) {
  if (store.taskId === task.task_id) update({ task });
  rereadStrip();
}

function train() {
  return act("train", async () => {
    await api.train(store.key, {});
    toast("Training is queued.", { kind: "good" });
  });
}

function predictCurrent() {
  const { taskId } = store;
  return act("predict-current", async () => {
    byId("predict-current").textContent = "Predicting…";
    const task = await api.predict(store.key, taskId);
    showTask(task);
    byId("show-predictions").checked = true;
    update({ display: { ...store.display, predictions: true } });
    if (!task.prediction.result.length) toast("The model finds nothing on this image.");
  });
}

function predictAll() {
  return act("predict-all", async () => {
    await api.predictAll(store.key);
    toast("Predicting all tasks in the background.", { kind: "good" });
  });
}

function accept() {
  const { key, task, taskId } = store;
  return act("accept", async () => {
    const accepted = await api.accept(key, taskId, {
      prediction_id: task.prediction.prediction_id,
      model_version: task.prediction.model_version,
      region_ids: shownPredictions().map((region) => region.id),
      annotation_ids: task.annotations.map((annotation) => annotation.annotation_id),
    });
    await reloadTask();
    rereadStrip();
    toast(`${plural(accepted.regions, "region")} accepted as an annotation.`, { kind: "good" });
  });
}

function undo(key, taskId) {
  return act("accept", async () => {
    showTask(await api.undoAccept(key, taskId));
    toast("The annotation was taken back.");
  });
}

function clear() {
  const { key, taskId } = store;
  return act("clear", async () => {
    const { cleared } = await api.clear(key, taskId);
    await reloadTask();
    rereadStrip();
    toast(`${plural(cleared, "prediction")} cleared.`);
  });
}
