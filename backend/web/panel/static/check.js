/* Check connection: every link of the chain, with the fix beside a broken one. */

import { api } from "./state/api.js";
import { byId, fill, h } from "./page/dom.js";
import { plural } from "./page/format.js";
import { store } from "./state/store.js";

const WORDS = { ok: ["OK", "good"], warning: ["Note", "warn"], failed: ["Broken", "bad"], skipped: ["Skipped", ""] };
const MARKS = { ok: ["✓", "covered: "], warning: ["!", "not covered: "], failed: ["×", "broken: "], skipped: ["–", "left out: "] };

export function startCheck() {
  byId("open-check").addEventListener("click", open);
}

async function open() {
  const dialog = byId("check");
  const body = h("div", { class: "dialog-body", tabindex: "0", role: "region", "aria-label": "Results", "aria-live": "polite" });
  const again = h("button", { type: "button", onclick: () => run(body) }, "Check again");
  fill(dialog,
    h("div", { class: "dialog-head" },
      h("h2", { id: "check-title" }, "Check connection"),
      h("button", { type: "button", class: "quiet icon", "aria-label": "Close", onclick: () => dialog.close() }, "×")),
    body,
    h("div", { class: "dialog-foot" }, again, h("button", { type: "button", onclick: () => dialog.close() }, "Close")));
  dialog.showModal();
  await run(body);
}

async function run(body) {
  fill(body, h("p", { class: "reason" }, "Testing every link…"));
  try {
    const { checks } = await api.check(store.key);
    const isBroken = checks.some((entry) => entry.state === "failed");
    fill(body,
      h("p", { class: isBroken ? "note bad" : "note calm" }, summary(checks)),
      h("ul", {}, ...checks.map(line)));
  } catch (error) {
    fill(body, h("p", { class: "note" }, error.message));
  }
}

function summary(checks) {
  const number = (state) => checks.filter((entry) => entry.state === state).length;
  const [broken, notes] = [number("failed"), number("warning")];
  if (broken) return `${broken} of ${plural(checks.length, "link")} ${broken === 1 ? "is" : "are"} broken; the fix stands beside each.`;
  return notes ? `No link is broken; ${plural(notes, "note")} below.` : "Every link holds.";
}

function line(entry) {
  const [word, state] = WORDS[entry.state];
  return h("li", { class: "check-item", dataset: { check: entry.check, state: entry.state } },
    h("span", { class: "status", dataset: { state } }, word),
    h("b", {}, entry.title),
    h("span", { class: "found" }, entry.found),
    entry.items.length ? h("ul", { class: "check-parts" }, ...entry.items.map(part)) : null,
    entry.fix && entry.state !== "ok" ? h("span", { class: "fix" }, h("b", {}, "Fix: "), entry.fix) : null);
}

/** One label or control tag: covered or not, and why. */
function part({ name, state, why }) {
  const [mark, word] = MARKS[state];
  return h("li", { dataset: { state } },
    h("span", { class: "part-mark", "aria-hidden": "true" }, mark),
    h("span", { class: "visually-hidden" }, word),
    h("b", {}, name), " ", h("span", {}, why));
}
