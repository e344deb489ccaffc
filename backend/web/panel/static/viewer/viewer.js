/* The image being looked at: loading, zooming, panning, and the overlay kept on top of it. */

import { api } from "../state/api.js";
import { byId, fill, h } from "../page/dom.js";
import { Overlay } from "./overlay.js";
import { resultsOfPage, toRegions } from "./regions.js";
import { TileLayer } from "./tiles.js";
import { store, subscribe, update } from "../state/store.js";

const MOST_ZOOM = 40;
const PREVIEW_PX = 2048; // larger pictures come shrunk to it, and their own pixels as tiles
const PAN_STEP_PX = 60;

const stage = byId("stage");
const image = byId("image");
export const overlay = new Overlay(byId("overlay"));
const tiles = new TileLayer(byId("tiles"));
const view = { scale: 1, x: 0, y: 0 };
const picture = { width: 0, height: 0 }; // as large as it is, whatever the preview's size
let shownUrl = null;
let fitted = true;

export function startViewer() {
  subscribe(["task", "page"], showTask);
  subscribe(["display"], () => overlay.draw());
  subscribe(["project"], setRegions);
  image.addEventListener("load", onLoad);
  image.addEventListener("error", onError);
  byId("zoom-in").addEventListener("click", () => zoomBy(1.4));
  byId("zoom-out").addEventListener("click", () => zoomBy(1 / 1.4));
  byId("zoom-fit").addEventListener("click", fit);
  byId("previous-page").addEventListener("click", () => turnPage(-1));
  byId("next-page").addEventListener("click", () => turnPage(1));
  stage.addEventListener("wheel", onWheel, { passive: false });
  stage.addEventListener("keydown", onKey);
  stage.addEventListener("dblclick", fit);
  startPointers();
  new ResizeObserver(() => (fitted ? fit() : apply())).observe(stage);
}

export function stageMessage(...children) {
  fill(byId("stage-message"), ...children);
}

function turnPage(step) {
  const last = (store.task?.pages.length ?? 1) - 1;
  update({ page: Math.min(last, Math.max(0, store.page + step)) });
}

function showTask() {
  const { task, page } = store;
  byId("task-name").textContent = task ? task.name : "No task";
  const pages = task?.pages.length ?? 0;
  byId("page-switch").hidden = pages < 2;
  byId("page-number").textContent = pages > 1 ? `${page + 1} of ${pages}` : "";
  if (!task || pages === 0) {
    shownUrl = null;
    hideImage();
    overlay.setRegions([]);
    if (task) stageMessage(h("strong", {}, "This task has no image"), h("p", {}, "The labeling config names none of its data as an image."));
    return;
  }
  const url = api.imageUrl(store.key, task.task_id, page);
  if (url !== shownUrl) {
    shownUrl = url;
    fitted = true;
    hideImage();
    overlay.setRegions([]);
    stageMessage(h("p", {}, "Loading the image…"));
    image.alt = task.name;
    image.src = url;
  } else if (!image.hidden) {
    setRegions();
  }
}

function hideImage() {
  image.hidden = true;
  picture.width = 0;
  tiles.setPicture(null);
}

async function onLoad() {
  const url = shownUrl;
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const size = Math.max(width, height) < PREVIEW_PX ? [width, height] : await trueSize(url, width, height);
  if (url !== shownUrl) return;
  [picture.width, picture.height] = size;
  if (picture.width > width) {
    const { key, task, page } = store;
    const tileUrl = (level, column, row) => api.tileUrl(key, task.task_id, page, level, column, row);
    tiles.setPicture({ ...picture, previewWidth: width, url: tileUrl });
  }
  stageMessage();
  image.hidden = false;
  if (fitted) fit();
  setRegions();
}

/** The size of the picture that a preview shows, from the head of the answer that the browser has just kept. */
async function trueSize(url, width, height) {
  try {
    const response = await fetch(url, { cache: "force-cache", credentials: "same-origin" });
    const [, trueWidth, trueHeight] = /^(\d+)x(\d+)$/.exec(response.headers.get("X-Image-Size"));
    return [Number(trueWidth), Number(trueHeight)];
  } catch {
    return [width, height];
  }
}

async function onError() {
  hideImage();
  overlay.setRegions([]);
  let reason = "The image cannot be loaded.";
  try {
    const response = await fetch(shownUrl);
    if (!response.ok) reason = (await response.json()).error || reason;
  } catch {
    reason = "The service does not answer.";
  }
  stageMessage(h("strong", {}, "No image"), h("p", {}, reason));
}

function setRegions() {
  const { task, page } = store;
  if (!task || image.hidden || !picture.width) return;
  const where = task.pages[page];
  const { width, height } = picture;
  const annotations = task.annotations
    .filter((annotation) => !annotation.was_cancelled)
    .flatMap((annotation) => toRegions(resultsOfPage(annotation.result, where), "annotation", width, height));
  const shownPrediction = task.prediction && !task.prediction.is_accepted ? task.prediction.result : [];
  const predictions = toRegions(resultsOfPage(shownPrediction, where), "prediction", width, height);
  overlay.setRegions([...annotations, ...predictions]);
  update({ regions: overlay.regions });
}

function fit() {
  if (!picture.width) return;
  const scale = fitScale();
  view.scale = scale;
  view.x = (stage.clientWidth - picture.width * scale) / 2;
  view.y = (stage.clientHeight - picture.height * scale) / 2;
  fitted = true;
  apply();
}

function fitScale() {
  return Math.min(stage.clientWidth / picture.width, stage.clientHeight / picture.height);
}

function apply() {
  const stretch = picture.width ? picture.width / image.naturalWidth : 1;
  image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale * stretch})`;
  image.style.imageRendering = view.scale > 4 ? "pixelated" : "auto";
  tiles.setView({ ...view });
  overlay.setView({ ...view });
}

function zoomBy(factor, centerX = stage.clientWidth / 2, centerY = stage.clientHeight / 2) {
  if (!picture.width) return;
  const scale = Math.min(MOST_ZOOM, Math.max(fitScale() / 2, view.scale * factor));
  const ratio = scale / view.scale;
  view.x = centerX - (centerX - view.x) * ratio;
  view.y = centerY - (centerY - view.y) * ratio;
  view.scale = scale;
  fitted = false;
  apply();
}

function pan(dx, dy) {
  view.x += dx;
  view.y += dy;
  fitted = false;
  apply();
}

function onWheel(event) {
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  const step = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
  zoomBy(Math.exp(-step / 400), event.clientX - box.left, event.clientY - box.top);
}

function onKey(event) {
  const steps = {
    ArrowLeft: [PAN_STEP_PX, 0], ArrowRight: [-PAN_STEP_PX, 0], ArrowUp: [0, PAN_STEP_PX], ArrowDown: [0, -PAN_STEP_PX],
  };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "=") zoomBy(1.4);
  else if (event.key === "-") zoomBy(1 / 1.4);
  else if (event.key === "0") fit();
  else if (steps[event.key]) pan(...steps[event.key]);
  else return;
  event.preventDefault();
}

/** One pointer pans, two pinch. */
function startPointers() {
  const pointers = new Map();
  const center = () => {
    const all = [...pointers.values()];
    return [all.reduce((sum, p) => sum + p.x, 0) / all.length, all.reduce((sum, p) => sum + p.y, 0) / all.length];
  };
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y) || 1;
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("dragging");
  });
  stage.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const [beforeX, beforeY] = center();
    const before = pointers.size === 2 ? spread() : 1;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const [afterX, afterY] = center();
    pan(afterX - beforeX, afterY - beforeY);
    if (pointers.size === 2) {
      const box = stage.getBoundingClientRect();
      zoomBy(spread() / before, afterX - box.left, afterY - box.top);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => {
      pointers.delete(event.pointerId);
      if (!pointers.size) stage.classList.remove("dragging");
    });
  }
}
