/* Tooltips for mouse and keyboard; the same words are the control's description for screen readers. */

import { byId } from "./dom.js";

const DELAY_MS = 450;
let timer = 0;
let pressed = null;

export function startTooltips() {
  describe(document.body);
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) if (node.nodeType === 1) describe(node);
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("pointerover", (event) => later(event.target));
  document.addEventListener("focusin", (event) => event.target.matches(":focus-visible") && later(event.target));
  // What was just pressed has been understood; its words would only cover what the press brought about.
  document.addEventListener("pointerdown", (event) => { pressed = event.target.closest?.("[data-tip]") ?? null; }, true);
  for (const name of ["pointerout", "focusout", "pointerdown", "scroll"]) document.addEventListener(name, hide, true);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
}

function describe(root) {
  const all = [...(root.matches?.("[data-tip]") ? [root] : []), ...root.querySelectorAll("[data-tip]")];
  for (const element of all) {
    const target = element.matches("label") ? element.querySelector("input") ?? element : element;
    if (!target.hasAttribute("aria-description")) target.setAttribute("aria-description", element.dataset.tip);
  }
}

function later(target) {
  const element = target.closest?.("[data-tip]");
  clearTimeout(timer);
  if (element !== pressed) pressed = null;
  if (element && element !== pressed) timer = setTimeout(() => show(element), DELAY_MS);
}

function show(element) {
  const tooltip = byId("tooltip");
  const host = element.closest("dialog[open]") ?? document.body;
  if (tooltip.parentElement !== host) host.append(tooltip);
  tooltip.textContent = element.dataset.reason || element.dataset.tip;
  tooltip.hidden = false;
  const box = element.getBoundingClientRect();
  const own = tooltip.getBoundingClientRect();
  const below = box.bottom + 6 + own.height < window.innerHeight;
  tooltip.style.top = `${below ? box.bottom + 6 : Math.max(4, box.top - own.height - 6)}px`;
  tooltip.style.left = `${Math.max(4, Math.min(window.innerWidth - own.width - 4, box.left))}px`;
}

function hide() {
  clearTimeout(timer);
  byId("tooltip").hidden = true;
}
