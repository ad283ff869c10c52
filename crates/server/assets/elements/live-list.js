// <live-list>: a list that the server renders, kept up to date: of scans, or with `data-scan` of
// what one of them found.
import { part } from "../lib/page.js";
import { subscribe } from "../lib/stream.js";
import { times } from "./habits.js";

const GAP = 1000;

customElements.define("live-list", class extends HTMLElement {
  connectedCallback() {
    if (this.stop) return;
    const soon = () => (this.due ??= setTimeout(() => this.refresh(), GAP));
    const { scan } = this.dataset;
    this.stop = subscribe("scans", (type, data) => {
      if (type === "scan" && scan && String(data.scan.id) !== scan) return;
      soon();
    });
    // What happened before it listened: where another tab reads the stream, there is no greeting.
    if (scan) soon();
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
