// <progress-chart>: how far a scan was and how fast it went, over time. The server draws it, so
// that it shows without scripts and after the end; while the scan runs, it is fetched anew.
import { part } from "../lib/page.js";

const GAP = 2000;

customElements.define("progress-chart", class extends HTMLElement {
  update(gap = GAP) {
    this.due ??= setTimeout(() => this.draw(), gap);
  }

  async draw() {
    this.due = undefined;
    if (document.hidden) return;
    try {
      this.replaceChildren(...(await part(this.dataset.from, "progress-chart")).childNodes);
    } catch {
      // The next change, or a reload, brings it.
    }
  }
});
