/* Check connection: every link of the chain, with the fix beside a broken one. */

import { api } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { store } from "./store.js";

const WORDS = { ok: ["OK", "good"], warning: ["Note", "warn"], failed: ["Broken", "bad"], skipped: ["Skipped", ""] };

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
    const broken = checks.filter((entry) => entry.state === "failed").length;
    fill(body,
      h("p", { class: broken ? "note" : "note calm" }, broken ? `${broken} of ${checks.length} links are broken.` : "No link is broken."),
      h("ul", {}, ...checks.map(line)));
  } catch (error) {
    fill(body, h("p", { class: "note" }, error.message));
  }
}

function line(entry) {
  const [word, state] = WORDS[entry.state];
  return h("li", { class: "check-item", dataset: { check: entry.check, state: entry.state } },
    h("span", { class: "status", dataset: { state } }, word),
    h("b", {}, entry.title),
    h("span", { class: "found" }, entry.found),
    entry.fix && entry.state !== "ok" ? h("span", { class: "fix" }, h("b", {}, "Fix: "), entry.fix) : null);
}
