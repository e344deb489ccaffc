/* The switch of "Label next": whether Label Studio hands out the most useful pictures first. */

import { api } from "../state/api.js";
import { byId, toast } from "../page/dom.js";
import { rereadStrip } from "../lists/task_strip.js";
import { store, subscribe } from "../state/store.js";

const ASK_AGAIN_MS = 1500;
const ASK_AFTER_ERROR_MS = 6000;
const USUAL_NOTE = byId("label-next-note").textContent;

const box = byId("label-next");
let shown = null;
let isTurning = false;
let asked = 0;
let timer = 0;

export function startLabelNext() {
  box.addEventListener("change", turn);
  subscribe(["key"], () => {
    shown = null;
    box.checked = false;
    box.disabled = true;
    note(USUAL_NOTE);
    refresh();
  });
}

/** Ask how the switch stands, and again while the order is worked out; an answer about another project is not drawn. */
async function refresh() {
  const { key } = store;
  clearTimeout(timer);
  asked += 1;
  const mine = asked;
  if (!key) return;
  try {
    const found = await api.labelNext(key);
    if (mine === asked) draw(found);
  } catch (error) {
    if (mine !== asked) return;
    note(error.message, "bad");
    timer = setTimeout(refresh, ASK_AFTER_ERROR_MS);
  }
}

function draw(found) {
  const wasActive = Boolean(shown?.job?.is_active);
  shown = found;
  box.checked = found.is_on;
  box.disabled = false;
  const { job } = found;
  if (job?.is_active) {
    const done = job.step ? `${job.step}, ${Math.round(100 * (job.fraction ?? 0))} %` : "waiting for a worker";
    note(`The order is worked out: ${done}.`);
    timer = setTimeout(refresh, ASK_AGAIN_MS);
  } else if (job?.status === "failed") note(`The order could not be worked out: ${job.error ?? "see the log of its job"}`, "bad");
  else note(USUAL_NOTE);
  if (wasActive && !job?.is_active) rereadStrip();
}

async function turn() {
  if (isTurning) {
    box.checked = !box.checked;
    return;
  }
  const { key } = store;
  const isOn = box.checked;
  isTurning = true;
  try {
    await api.switchLabelNext(key, isOn, shown.score);
  } catch (error) {
    toast(error.message, { kind: "bad", seconds: 12 });
    if (key === store.key) box.checked = !isOn;
  } finally {
    isTurning = false;
  }
  if (key === store.key) await refresh();
}

function note(text, kind = "") {
  const place = byId("label-next-note");
  if (place.textContent !== text) place.textContent = text;
  place.dataset.kind = kind;
}
