/* Elements made from data. Text only ever becomes text: nothing here parses HTML. */

export const byId = (id) => document.getElementById(id);

/** Make an element: h("p", {class: "reason", onclick: f, dataset: {kind: "bad"}}, "text", child). */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "checked" || name === "value" || name === "disabled" || name === "hidden" || name === "selected") {
      element[name] = value;
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== false));
}

/** Fill an element anew; the focus stays on what has the same data-name, or goes to the first button that is on. */
export function refill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const name = focused?.dataset.name;
  fill(element, ...children);
  if (!focused) return;
  const same = name ? element.querySelector(`[data-name="${CSS.escape(name)}"]:not(:disabled)`) : null;
  (same ?? element.querySelector("button:not(:disabled)"))?.focus();
}

/** An element that says what matters now to those who hear the page. */
export const announcer = () => h("p", { class: "visually-hidden", role: "status" });

/** Let an announcer say something; it is read aloud whenever it is filled, so only what is new fills it. */
export function announce(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Run what was asked for by a click; its error becomes a message. */
export async function attempt(run) {
  try {
    await run();
  } catch (error) {
    toast(error.message, { kind: "bad", seconds: 12 });
  }
}

/** A coloured square for a label; the colour comes from the labeling config, so an unknown one is ignored. */
export function swatch(color) {
  const square = h("span", { class: "swatch", "aria-hidden": "true" });
  square.style.backgroundColor = color;
  return square;
}

/** Switch a button on or off; an off one stays reachable by keyboard and says why. */
export function enable(button, reason) {
  button.setAttribute("aria-disabled", reason ? "true" : "false");
  button.dataset.reason = reason || "";
}

export const isEnabled = (button) => button.getAttribute("aria-disabled") !== "true";

export function toast(message, { kind = "", seconds = 6 } = {}) {
  const box = h("div", { class: "toast", dataset: { kind } }, h("span", {}, message));
  const remove = () => box.remove();
  box.append(h("button", { type: "button", class: "quiet icon", "aria-label": "Dismiss", onclick: remove }, "×"));
  byId("toasts").append(box);
  const timer = setTimeout(remove, seconds * 1000);
  box.addEventListener("pointerenter", () => clearTimeout(timer));
}
