// What every page does: theme, keys, times in the reader's zone, menus that close.
import { setText } from "../lib/page.js";
import { ago } from "../lib/text.js";

/** The switch in the bar works without a page load where scripts run. */
export function theme() {
  for (const form of document.querySelectorAll("form[data-theme-switch]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const root = document.documentElement;
      const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = isDark ? "light" : "dark";
      document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    });
  }
}

/** Moments as "5 min ago" with the whole in the tip, in the reader's zone; on paper the whole. */
export function times(root = document, printed = false) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const then = new Date(time.dateTime);
    if (isNaN(+then)) continue;
    const whole = then.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    time.title = `${whole} (${time.dateTime})`;
    setText(time, !printed && time.dataset.whole === undefined ? ago(+then, Date.now()) : whole);
  }
}

addEventListener("beforeprint", () => times(document, true));
addEventListener("afterprint", () => times());

const PLACES = { s: "/scans", h: "/hosts", c: "/compare", n: "/" };

export function keys() {
  const sheet = document.getElementById("keys");
  document.querySelector("[data-keys]")?.addEventListener("click", () => sheet.showModal());
  if (document.documentElement.dataset.keys === "off") return;
  let waits = 0;
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, dialog[open]");
    if (event.key === "Escape") {
      const drawer = document.querySelector("dialog.drawer[open]");
      if (drawer) drawer.close();
      else for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
      return;
    }
    // In the map `n` is the next open port.
    const inMap = event.target.matches("canvas") && event.key.toLowerCase() === "n";
    if (typing || inMap || event.ctrlKey || event.metaKey || event.altKey) return;
    if (Date.now() - waits < 1500 && PLACES[event.key]) {
      location.href = PLACES[event.key];
      return;
    }
    waits = 0;
    const press = (selector) => {
      const found = document.querySelector(selector);
      if (!found) return false;
      if (found.matches("summary")) found.parentElement.open = true;
      found.focus();
      found.select?.();
      return true;
    };
    const actions = {
      g: () => (waits = Date.now()),
      "?": () => sheet.showModal(),
      "/": () => press("[data-find]"),
      n: () => (location.href = "/"),
      e: () => press("[data-export] > summary"),
      m: () => press("port-map canvas"),
      t: () => press("result-table table"),
    };
    if (actions[event.key]?.() !== undefined) event.preventDefault();
  });
}

export function menus() {
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
}

/** Forms of the API's page: the answer is shown below. */
export function trials() {
  for (const form of document.querySelectorAll("form[data-try]")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const fields = new FormData(form);
      let path = form.dataset.try;
      const query = new URLSearchParams();
      for (const [name, value] of fields) {
        if (name === "body" || value === "") continue;
        if (path.includes(`{${name}}`)) path = path.replace(`{${name}}`, encodeURIComponent(value));
        else query.set(name, value);
      }
      const out = form.parentElement.querySelector("output pre");
      const body = fields.get("body");
      out.parentElement.hidden = false;
      try {
        const method = form.dataset.method;
        const response = await fetch(path + (query.size ? `?${query}` : ""), {
          method, body: body || undefined, headers: { accept: "application/json", "content-type": "application/json" },
        });
        const text = await response.text();
        setText(out, `${response.status} ${response.statusText}\n\n${pretty(text).slice(0, 20000)}`);
      } catch (error) {
        setText(out, error.message);
      }
    });
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

