/* Light or dark: the system's choice until somebody switches; the switch is remembered in this browser. */

import { byId } from "./dom.js";

const NAME = "panel-theme";

export function startTheme() {
  const saved = read();
  if (saved) document.documentElement.dataset.theme = saved;
  byId("theme").addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(NAME, next);
    } catch {
      // A browser that keeps nothing still switches for now.
    }
  });
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function read() {
  try {
    return localStorage.getItem(NAME);
  } catch {
    return null;
  }
}
