// <live-list>: a list of scans that the server renders, kept up to date.
import { part } from "../lib/page.js";
import { subscribe } from "../lib/stream.js";
import { times } from "./habits.js";

const GAP = 1000;

customElements.define("live-list", class extends HTMLElement {
  connectedCallback() {
    if (this.stop) return;
    this.stop = subscribe("scans", (type) => {
      if (type !== "scan" && type !== "deleted") return;
      this.due ??= setTimeout(() => this.refresh(), GAP);
    });
  }

  disconnectedCallback() {
    this.stop?.();
    this.stop = null;
  }

  async refresh() {
    this.due = undefined;
    // Not under the reader's hands, and not for nobody.
    if (document.hidden || this.contains(document.activeElement) || this.querySelector(":checked")) return;
    try {
      const fresh = await part(location.href, `#${this.id}`);
      this.replaceChildren(...fresh.childNodes);
      times(this);
    } catch {
      // The next event tries again.
    }
  }
});
