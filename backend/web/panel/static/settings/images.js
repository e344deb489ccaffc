/* Training Images: every image with a checkbox and its state; only the lines in sight exist. */

import { api } from "../state/api.js";
import { fill, h } from "../page/dom.js";
import { count, plural } from "../page/format.js";
import { store } from "../state/store.js";
import { Blocks } from "../lists/virtual.js";

const LINE_PX = 36;
const WORDS = { loaded: "loaded", not_loaded: "has labels, loaded before training", unlabelled: "no labels" };

export function imagesPart(draft) {
  const labelled = new Set();
  const chosen = new Set();
  let isReady = false;
  let counts = {};
  const summary = h("p", { class: "reason", role: "status", id: "images-summary" }, "Reading the images…");
  const space = h("div", { class: "virtual-space", role: "list", "aria-label": draft.field("task_ids").title });
  const box = h("div", { class: "virtual", tabindex: "0", role: "region", "aria-label": "List of training images" }, space);
  const blocks = new Blocks(async (offset, limit) => {
    const part = await api.trainingImages(store.key, offset, limit);
    counts = part.counts;
    return { rows: part.images, total: part.total };
  }, draw);

  function take() {
    const isAll = chosen.size === labelled.size;
    // All of them is kept as "all", so that images labelled later are used too.
    const problem = labelled.size && !chosen.size ? "Choose at least one training image." : null;
    draft.set("task_ids", isAll || !chosen.size ? null : [...chosen].sort((a, b) => a - b), problem);
    draw();
  }

  function selectAll() {
    for (const id of labelled) chosen.add(id);
    take();
  }

  function selectNone() {
    chosen.clear();
    take();
  }

  function draw(error) {
    if (error) {
      summary.textContent = error.message;
      return;
    }
    space.style.height = `${blocks.total * LINE_PX}px`;
    summary.textContent = isReady
      ? `${count(chosen.size)} of ${plural(labelled.size, "labelled image")} chosen; ${count(counts.loaded ?? 0)} loaded, ` +
        `${count(counts.not_loaded ?? 0)} to load, ${count(counts.unlabelled ?? 0)} without labels.`
      : "Reading the images…";
    const first = Math.max(0, Math.floor(box.scrollTop / LINE_PX) - 5);
    const last = Math.min(blocks.total - 1, Math.ceil((box.scrollTop + box.clientHeight) / LINE_PX) + 5);
    if (last < first) return;
    blocks.want(first, last);
    const focused = document.activeElement?.dataset?.task;
    const lines = [];
    for (let index = first; index <= last; index += 1) lines.push(line(index, blocks.row(index)));
    fill(space, ...lines);
    if (focused) space.querySelector(`[data-task="${focused}"]`)?.focus();
  }

  function line(index, image) {
    const element = h("div", { class: "image-line", role: "listitem", "aria-setsize": blocks.total, "aria-posinset": index + 1 });
    element.style.top = `${index * LINE_PX}px`;
    if (!image) return element;
    const canChoose = image.state !== "unlabelled";
    const control = h("input", {
      type: "checkbox", checked: chosen.has(image.task_id), disabled: !canChoose || !isReady, "data-task": image.task_id,
    });
    control.addEventListener("change", () => {
      if (control.checked) chosen.add(image.task_id);
      else chosen.delete(image.task_id);
      take();
    });
    fill(element,
      h("label", {}, control, h("span", { class: "clip" }, image.name), h("span", { class: "visually-hidden" }, WORDS[image.state])),
      h("span", { class: "reason" }, canChoose ? plural(image.annotations, "annotation") : ""),
      h("span", { class: "mark", "aria-hidden": "true", title: WORDS[image.state], dataset: { state: image.state } }));
    return element;
  }

  async function begin() {
    await blocks.reset();
    try {
      const { task_ids: ids } = await api.taskIds(store.key, "annotated");
      const saved = draft.value("task_ids");
      for (const id of ids) labelled.add(id);
      for (const id of saved ?? ids) if (labelled.has(id)) chosen.add(id);
      isReady = true;
      draw();
    } catch (error) {
      draw(error);
    }
  }

  box.addEventListener("scroll", () => requestAnimationFrame(() => draw()), { passive: true });
  begin();
  return [
    h("div", { class: "tool-row" },
      h("button", { type: "button", onclick: selectAll }, "Select All with Labels"),
      h("button", { type: "button", onclick: selectNone }, "Deselect All"),
      legend("loaded", "loaded"), legend("not_loaded", "labels, not loaded"), legend("unlabelled", "no labels")),
    summary,
    box,
  ];
}

function legend(state, text) {
  return h("span", { class: "row reason" }, h("span", { class: "mark", "aria-hidden": "true", dataset: { state } }), text);
}
