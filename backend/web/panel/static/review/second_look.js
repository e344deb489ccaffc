/* Second look: the places where annotations are probably wrong, each with what could be done about it. */

import { api } from "../state/api.js";
import { announce, announcer, attempt, byId, fill, h, refill, toast } from "../page/dom.js";
import { plural } from "../page/format.js";
import { store } from "../state/store.js";
import { loadedImage, placeFigure } from "./place.js";

const KINDS = {
  missing_object: "An object is missing",
  object_too_many: "An object is drawn where there is none",
  other_label: "An object has another label",
  badly_placed: "An object is badly placed",
  drawn_twice: "An object is drawn twice",
};
const AT_ONCE = 12;
const ASK_AGAIN_MS = 1000;
const ASK_AFTER_ERROR_MS = 4000;

export function startSecondLook() {
  byId("open-second-look").addEventListener("click", open);
}

async function open() {
  const dialog = byId("second-look");
  const view = {
    key: store.key, kind: "", show: "open", dialog,
    job: h("div"),
    said: announcer(),
    list: h("ul", { class: "findings", "aria-label": "Findings" }),
    summary: h("p", { class: "reason", role: "status" }),
    more: h("button", { type: "button", hidden: true }, "Show more"),
    pushes: h("input", { type: "checkbox", id: "second-look-pushes" }),
    asked: 0,
    timer: 0,
  };
  view.more.addEventListener("click", () => append(view));
  const select = (id, label, options, change) => h("label", {}, h("span", { class: "label-text" }, label), " ",
    h("select", { id, onchange: (event) => { change(event.target.value); restart(view); } },
      ...options.map(([value, text]) => h("option", { value }, text))));
  fill(dialog,
    h("div", { class: "dialog-head" },
      h("h2", { id: "second-look-title" }, "Second look"),
      h("button", { type: "button", class: "quiet icon", "aria-label": "Close", onclick: () => dialog.close() }, "×")),
    h("div", { class: "dialog-body", tabindex: "0", role: "region", "aria-label": "Findings" },
      h("div", { class: "tool-row" },
        h("button", { type: "button", onclick: () => look(view, "unseen"), "data-tip": "Images that the serving version did not learn from; takes seconds" }, "Look at unseen images"),
        h("button", { type: "button", onclick: () => look(view, "all"), "data-tip": "Every annotated image, with three versions trained for it; as long as two trainings" }, "Look at all images"),
        h("label", { class: "check-line" }, view.pushes, "Store as predictions of version second-look")),
      view.job, view.said,
      h("div", { class: "tool-row" },
        select("second-look-kind", "Show", [["", "Everything"], ...Object.entries(KINDS)], (value) => { view.kind = value; }),
        select("second-look-state", "State", [["open", "Open"], ["dismissed", "Dismissed"]], (value) => { view.show = value; })),
      view.summary, view.list, view.more));
  dialog.showModal();
  await restart(view);
}

async function look(view, images) {
  try {
    await api.takeSecondLook(view.key, images, view.pushes.checked);
    await watch(view);
  } catch (error) {
    toast(error.message, { kind: "bad", seconds: 12 });
  }
}

const isShown = (view) => view.dialog.open && view.list.isConnected;

/** Ask again soon how far the job is; one question waits at a time. */
function watchSoon(view, milliseconds = ASK_AGAIN_MS) {
  clearTimeout(view.timer);
  view.timer = setTimeout(() => watch(view).catch((error) => {
    fill(view.job, h("p", { class: "note bad" }, error.message));
    announce(view.said, error.message);
    if (isShown(view)) watchSoon(view, ASK_AFTER_ERROR_MS);
  }), milliseconds);
}

/** Show how far the job is until it ends, then list what it found. */
async function watch(view) {
  const { job } = await api.secondLook(view.key, { kind: "", show: "open", offset: 0, limit: 1 });
  drawJob(view, job);
  if (!isShown(view)) return;
  if (job?.is_active) watchSoon(view);
  else await restart(view);
}

function drawJob(view, job) {
  const failure = job?.status === "failed" ? job.error ?? "The second look failed." : "";
  const step = job?.step ? `Looking: ${job.step}` : "Waiting for a worker";
  announce(view.said, failure || (job?.is_active ? step : ""));
  if (failure) return refill(view.job, h("p", { class: "note bad" }, failure));
  if (!job?.is_active) return refill(view.job);
  return refill(view.job, h("div", { class: "job" },
    h("span", {}, step),
    h("progress", { max: 1, value: job.fraction ?? 0, "aria-label": "Second look" }),
    h("div", { class: "row" }, h("button", { type: "button", "data-name": "stop", onclick: () => attempt(() => api.stop(job.job_id, "discard")) }, "Stop"))));
}

async function restart(view) {
  fill(view.list);
  await append(view, true);
}

/** How many of those shown the service still lists: what was dismissed since, or taken back, left its list. */
function stillListed(view) {
  const isListed = (item) => (item.dataset.state === "dismissed") === (view.show === "dismissed");
  return [...view.list.children].filter(isListed).length;
}

/** List more findings; an answer that a later question has overtaken is not drawn. */
async function append(view, isFirst = false) {
  view.asked += 1;
  const { asked } = view;
  let found;
  try {
    found = await api.secondLook(view.key, { kind: view.kind, show: view.show, offset: stillListed(view), limit: AT_ONCE });
  } catch (error) {
    if (asked === view.asked) view.summary.textContent = error.message;
    return;
  }
  if (asked !== view.asked) return;
  view.list.append(...found.findings.map((finding) => line(view, finding)));
  view.more.hidden = stillListed(view) >= found.total;
  view.summary.textContent = summary(view, found);
  if (isFirst) {
    drawJob(view, found.job);
    if (found.job?.is_active && isShown(view)) watchSoon(view);
  }
}

function summary(view, found) {
  if (found.made_at === null) return "Nobody has looked yet. Unseen images are those that the serving version did not learn from.";
  const who = found.version === null ? "versions trained for it" : `version ${found.version}`;
  const when = new Date(found.made_at * 1000).toLocaleString();
  const rest = found.left_out ? ` ${found.left_out} less likely ones are not listed.` : "";
  const what = view.show === "dismissed" ? "dismissed" : "listed";
  return `${plural(found.total, "place")} ${what}, in ${plural(found.images, "image")} compared by ${who} on ${when}.${rest}`;
}

function line(view, finding) {
  const item = h("li", { class: "finding", dataset: { finding: finding.finding_id, kind: finding.kind, state: finding.state } });
  drawLine(view, item, finding);
  return item;
}

function drawLine(view, item, finding) {
  item.dataset.state = finding.state;
  const source = loadedImage(api.imageUrl(view.key, finding.task_id, finding.page));
  const name = finding.labels.join(", ");
  const proposal = finding.proposed_label ?? "nothing";
  const removes = finding.kind === "object_too_many" || finding.kind === "drawn_twice";
  const figure = (results, caption, words) => placeFigure({ source, bounds: finding.bounds, results, caption, words });
  fill(item,
    h("div", { class: "places" },
      figure(finding.drawn, name ? `Drawn: ${name}` : "Drawn: nothing", `Task ${finding.task_id} as it is drawn`),
      figure(removes ? [] : finding.proposed, `Proposed: ${removes ? "nothing" : proposal}`, `Task ${finding.task_id} as it is proposed`)),
    h("div", { class: "finding-text" },
      h("b", {}, KINDS[finding.kind]),
      h("span", { class: "reason" }, `${Math.round(100 * finding.probability)} % likely · task ${finding.task_id}`),
      h("div", { class: "tool-row" }, ...actions(view, item, finding))));
}

function actions(view, item, finding) {
  const button = (text, action) =>
    h("button", { type: "button", onclick: () => decide(view, item, finding, action) }, text);
  const address = link(finding);
  const open = address && h("a", { class: "button", href: address, target: "_blank", rel: "noopener noreferrer" }, "Open in Label Studio");
  if (finding.state !== "open") {
    const word = finding.state === "taken" ? "Taken ✓" : "Dismissed";
    return [h("span", { class: "status", dataset: { state: "good" } }, word), button("Undo", "undo"), open];
  }
  return [finding.can_be_taken && button("Take the proposal", "take"), button("Dismiss", "dismiss"), open].filter(Boolean);
}

/** Return where Label Studio shows the place; null where nobody knows its address. */
function link(finding) {
  const address = store.project?.label_studio_url;
  if (!/^https?:/.test(address ?? "")) return null;
  const region = finding.region_id ? `&region=${encodeURIComponent(finding.region_id)}` : "";
  return `${address}?task=${finding.task_id}&annotation=${finding.annotation_id}${region}`;
}

async function decide(view, item, finding, action) {
  try {
    const { state } = await api.decideFinding(view.key, finding.finding_id, action);
    drawLine(view, item, { ...finding, state });
    item.querySelector("button")?.focus();
  } catch (error) {
    toast(error.message, { kind: "bad", seconds: 12 });
    item.append(h("p", { class: "note bad", role: "alert" }, error.message));
  }
}
