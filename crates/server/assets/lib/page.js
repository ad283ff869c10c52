// What elements share: building elements from text, reading parts of our own pages, requests.

/**
 * Makes an element. Strings become text nodes: nothing is ever read as markup.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...(Node|string)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets text without touching the page where it is the same already. */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** A message in which what stands between backticks is marked, as the pages show it. */
export function setWords(element, text) {
  if (!element || element.textContent === text.replaceAll("`", "")) return;
  element.replaceChildren(...text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part)));
}

/** A part of another page of ours, as the server renders it. Its text was escaped there. */
export async function part(address, selector) {
  const response = await fetch(address, { headers: { accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const found = page.querySelector(selector) ?? page.querySelector("main");
  return document.adoptNode(found);
}

/** A request to the API; throws an error in words. */
export async function api(path, options = {}) {
  let response;
  try {
    response = await fetch("/api/v1" + path, {
      ...options,
      headers: { accept: "application/json", ...(options.body ? { "content-type": "application/json" } : {}), ...options.headers },
    });
  } catch {
    throw new Error("the server does not answer");
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Error([problem.detail ?? `${response.status} ${response.statusText}`, problem.hint].filter(Boolean).join(": "));
  }
  return response;
}

/** Shows elements in words that screen readers say, at most every five seconds. */
let said = 0;
let waiting = null;
export function announce(text, now = false) {
  const region = document.getElementById("live");
  if (!region) return;
  clearTimeout(waiting);
  const wait = now ? 0 : Math.max(0, said + 5000 - Date.now());
  waiting = setTimeout(() => {
    said = Date.now();
    setText(region, text);
  }, wait);
}
