/* The strip of the project's tasks: as many tiles as are in sight, however many tasks there are. */

import { api } from "../state/api.js";
import { byId, fill, h, toast } from "../page/dom.js";
import { count, score } from "../page/format.js";
import { stageMessage } from "../viewer/viewer.js";
import { store, subscribe, update } from "../state/store.js";
import { Blocks } from "./virtual.js";

const TILE_PX = 132;
const SPARE_TILES = 3;

const strip = byId("strip");
const space = byId("strip-space");
let selected = 0;
let jumpsToFirst = false;
let counts = {};
let isComplete = true;
let revision = -1;
let rereadTimer = 0;

const blocks = new Blocks(async (offset, limit, signal) => {
  const key = store.key;
  const window = await api.tasks(key, { show: byId("filter").value, sort: byId("sort").value, offset, limit }, signal);
  counts = window.counts;
  isComplete = window.is_complete;
  revision = window.revision;
  clearTimeout(rereadTimer);
  if (!isComplete) rereadTimer = setTimeout(() => blocks.reset({ keep: true }), 1500);
  return { rows: window.tasks, total: window.total };
}, onRows);

export function startStrip() {
  for (const id of ["filter", "sort"]) {
    byId(id).addEventListener("change", () => {
      jumpsToFirst = true;
      restart();
    });
  }
  byId("previous").addEventListener("click", () => select(selected - 1));
  byId("next").addEventListener("click", () => select(selected + 1));
  strip.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  strip.addEventListener("keydown", onKey);
  strip.addEventListener("wheel", onWheel, { passive: false });
  document.addEventListener("keydown", onPageKey);
  new ResizeObserver(draw).observe(strip);
  subscribe(["key"], () => {
    revision = -1;
    restart();
  });
  subscribe(["live"], () => {
    const seen = store.live?.tasks_revision ?? revision;
    // 0: the process that tells the state has not read the tasks yet, as after a restart; asking makes it.
    const isUnread = seen === 0 && store.live?.label_studio?.reachable;
    if (revision >= 0 && (seen > revision || isUnread)) blocks.reset({ keep: true });
  });
}

/** Read the list again after an action changed a task. */
export function rereadStrip() {
  if (store.key) blocks.reset({ keep: true });
}

function restart() {
  selected = 0;
  strip.scrollLeft = 0;
  tiles.clear();
  space.replaceChildren();
  byId("strip-count").textContent = "Reading the tasks…";
  if (store.key) blocks.reset();
}

function onRows(error) {
  if (error) {
    if (store.labelStudio?.problem === null || store.project?.problem === null) toast(error.message, { kind: "bad" });
    return;
  }
  const shown = byId("filter");
  for (const option of shown.options) {
    const name = option.value[0].toUpperCase() + option.value.slice(1);
    option.textContent = counts[option.value] === undefined ? name : `${name} (${count(counts[option.value])})`;
  }
  const rest = isComplete ? "" : ", reading on…";
  byId("strip-count").textContent = `${count(blocks.total)} ${blocks.total === 1 ? "task" : "tasks"}${rest}`;
  space.style.width = `${blocks.total * TILE_PX + 8}px`;
  if (blocks.total === 0 && isComplete) emptyList();
  const at = store.taskId === null ? -1 : blocks.findIndex((row) => row.task_id === store.taskId);
  if (blocks.row(0) && (jumpsToFirst || store.taskId === null)) select(0);
  else if (at >= 0) selected = at;
  jumpsToFirst = false;
  draw();
}

function emptyList() {
  const isAll = byId("filter").value === "all";
  update({ taskId: null, task: null });
  stageMessage(
    h("strong", {}, isAll ? "This project has no tasks yet" : "No task passes this filter"),
    h("p", {}, isAll ? "Import images in Label Studio; they appear here by themselves." : "Choose another one below."),
  );
}

function select(index) {
  const at = Math.max(0, Math.min(blocks.total - 1, index));
  const row = blocks.row(at);
  selected = at;
  reveal(at);
  if (!row) {
    blocks.want(at, at).then(() => blocks.row(at) && select(at));
    return;
  }
  if (row.task_id !== store.taskId) loadTask(row.task_id);
  draw();
}

let loading = null;

/** Open a task by id, also one that no fetched row shows. */
export async function loadTask(taskId) {
  loading?.abort();
  loading = new AbortController();
  update({ taskId, page: 0 });
  const url = new URL(window.location.href);
  url.hash = `project=${store.key}&task=${taskId}`;
  history.replaceState(null, "", url);
  try {
    const task = await api.task(store.key, taskId, loading.signal);
    if (store.taskId === taskId) update({ task });
  } catch (error) {
    if (error.name === "AbortError") return;
    update({ task: null });
    stageMessage(h("strong", {}, "The task cannot be opened"), h("p", {}, error.message));
  }
}

function reveal(index) {
  const left = index * TILE_PX;
  if (left < strip.scrollLeft) strip.scrollLeft = Math.max(0, left - TILE_PX);
  else if (left + TILE_PX > strip.scrollLeft + strip.clientWidth) {
    strip.scrollLeft = left + 2 * TILE_PX - strip.clientWidth;
  }
}

function onKey(event) {
  const perPage = Math.max(1, Math.floor(strip.clientWidth / TILE_PX) - 1);
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -perPage, PageDown: perPage, Home: -Infinity, End: Infinity };
  if (!(event.key in steps)) return;
  event.preventDefault();
  const step = steps[event.key];
  select(Number.isFinite(step) ? selected + step : step > 0 ? blocks.total - 1 : 0);
}

/** Left and right step through the tasks from anywhere that has no use of its own for them. */
function onPageKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.target.closest("input, select, textarea, dialog, [role=tablist], .stage, .strip, pre")) return;
  event.preventDefault();
  select(selected + step);
}

/** A wheel that only turns up and down scrolls the strip sideways, until its end. */
function onWheel(event) {
  if (Math.abs(event.deltaY) <= Math.abs(event.deltaX)) return;
  const before = strip.scrollLeft;
  strip.scrollLeft += event.deltaMode === 1 ? event.deltaY * 40 : event.deltaY;
  if (strip.scrollLeft !== before) event.preventDefault();
}

const tiles = new Map();

function draw() {
  const first = Math.max(0, Math.floor(strip.scrollLeft / TILE_PX) - SPARE_TILES);
  const last = Math.min(blocks.total - 1, Math.ceil((strip.scrollLeft + strip.clientWidth) / TILE_PX) + SPARE_TILES);
  for (const [index, tile] of tiles) {
    if (index < first || index > last) {
      tile.querySelector("img")?.removeAttribute("src");
      tile.remove();
      tiles.delete(index);
    }
  }
  if (last < first) return;
  blocks.want(first, last);
  for (let index = first; index <= last; index += 1) {
    const row = blocks.row(index);
    const signature = row ? JSON.stringify(row) : "";
    const isSelected = Boolean(row) && row.task_id === store.taskId;
    let tile = tiles.get(index);
    if (!tile || tile.signature !== signature) {
      const fresh = makeTile(index, row);
      fresh.signature = signature;
      if (tile) tile.replaceWith(fresh);
      else space.append(fresh);
      tiles.set(index, fresh);
      tile = fresh;
    }
    tile.setAttribute("aria-selected", String(isSelected));
    if (isSelected) strip.setAttribute("aria-activedescendant", tile.id);
  }
}

function makeTile(index, row) {
  const tile = h("div", {
    class: "tile", role: "option", id: `tile-${index}`, "aria-setsize": blocks.total, "aria-posinset": index + 1,
    "aria-selected": "false",
  });
  tile.style.left = `${index * TILE_PX + 4}px`;
  if (!row) {
    tile.setAttribute("aria-label", "loading");
    return tile;
  }
  tile.setAttribute("aria-label", `Task ${row.task_id}, ${row.name}, ${describe(row)}`);
  tile.title = `${row.name} (task ${row.task_id})${row.why ? `: ${row.why}` : ""}`;
  tile.addEventListener("click", () => select(index));
  const picture = h("img", { alt: "", loading: "lazy", decoding: "async", width: 120, height: 72 });
  if (row.pages) picture.src = api.thumbnailUrl(store.key, row.task_id);
  fill(tile, picture, h("div", { class: "tile-text" }, ...badges(row)));
  return tile;
}

function badges(row) {
  const found = [];
  found.push(row.annotations
    ? h("span", { class: "badge" }, `✓ ${row.annotations}`)
    : h("span", { class: "badge none" }, "–"));
  if (row.predicted_by) {
    const kind = row.predicted_by === "current" ? "badge predicted" : "badge older";
    found.push(h("span", { class: kind }, row.score === null ? "AI" : `AI ${score(row.score)}`));
  }
  return found;
}

function describe(row) {
  const parts = [row.annotations === 1 ? "1 annotation" : `${row.annotations} annotations`];
  if (row.predicted_by === "current") parts.push("predicted");
  if (row.predicted_by === "older") parts.push("predicted by an older version");
  if (row.score !== null) parts.push(`score ${score(row.score)}`);
  if (row.why) parts.push(row.why);
  return parts.join(", ");
}
