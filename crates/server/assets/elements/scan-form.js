// <scan-form>: the form that starts a scan, checked while it is filled in. The server reads it
// as the shell would and renders what it thinks of it; what differs is taken over, so that the
// words are the same with scripts and without.
import { part, setText } from "../lib/page.js";

const PAUSE = 150;

customElements.define("scan-form", class extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    /** Fields that the reader was at: only their errors are shown. */
    this.touched = new Set([...this.querySelectorAll("[aria-invalid]")].map((control) => control.name));
    this.form.addEventListener("input", (event) => {
      this.touched.add(event.target.name);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.check(), PAUSE);
    });
    this.form.range.addEventListener("focus", () => {
      this.form.querySelector("#ports-custom").checked = true;
    });
    // A page that is come back to has the fields as they were left.
    addEventListener("pageshow", (event) => event.persisted && this.check());
  }

  async check() {
    // A later question may be answered before this one.
    const asked = (this.asked = (this.asked ?? 0) + 1);
    let fresh;
    try {
      fresh = await part(`/?${new URLSearchParams(new FormData(this.form))}`, "scan-form");
    } catch {
      if (asked === this.asked) setText(this.querySelector("#estimate"), "The server does not answer.");
      return;
    }
    if (asked !== this.asked) return;
    for (const place of this.form.querySelectorAll(".error[id]")) {
      const control = this.form.elements[place.id.replace("-error", "")];
      const found = fresh.querySelector(`#${place.id}`);
      const shown = control.value && this.touched.has(control.name) ? found.textContent : "";
      if (place.textContent !== shown) place.replaceChildren(...(shown ? found.childNodes : []));
      if (shown && control.setAttribute) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute?.("aria-invalid");
    }
    for (const id of ["estimate", "all-ports", "command", "curl"]) {
      setText(this.querySelector(`#${id}`), fresh.querySelector(`#${id}`).textContent);
    }
    // The number of probes that was asked about may be another now.
    if (this.querySelector("#sure")) this.querySelector("#go").replaceWith(fresh.querySelector("#go"));
    this.querySelector("#warnings").replaceWith(fresh.querySelector("#warnings"));
  }
});
