// <scan-form>: the form that starts a scan, checked while it is filled in. The server reads it
// as the shell would, so that errors are the same words; the equal commands are shown beside it.
import { api, make, setText } from "../lib/page.js";
import { count, duration } from "../lib/text.js";

/** Fields of the API by the names of the form's controls that they are shown at. */
const PLACES = { targets: "target", ports: "range", timeout_ms: "timeout", concurrency: "threads", max_rate: "max_rate", exclude: "exclude", technique: "technique" };

customElements.define("scan-form", class extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.touched = new Set();
    this.form.addEventListener("input", (event) => {
      this.touched.add(event.target.name);
      this.choose();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.check(), 150);
    });
    this.form.addEventListener("focusout", (event) => {
      if (event.target.value) this.touched.add(event.target.name);
    });
    // A page that is come back to has the fields as they were left.
    addEventListener("pageshow", () => {
      this.choose();
      this.check();
    });
    this.form.range.addEventListener("focus", () => {
      this.form.querySelector('[name="ports"][value="custom"]').checked = true;
      this.check();
    });
  }

  /** The range is asked for only where it is used. */
  choose() {
    this.form.range.required = this.form.ports.value === "custom";
  }

  request() {
    const form = this.form;
    const number = (name) => (form[name].value.trim() === "" ? null : Number(form[name].value));
    const words = (name) => form[name].value.trim().split(/\s+/).filter(Boolean);
    return {
      targets: words("target"),
      exclude: words("exclude"),
      ports: form.ports.value === "custom" ? form.range.value.trim() : form.ports.value,
      technique: form.technique.value,
      timeout_ms: number("timeout"),
      concurrency: number("threads"),
      max_rate: number("max_rate"),
      discovery: form.discovery.checked ? "skip" : "auto",
      detect: form.detect.checked,
    };
  }

  async check() {
    const asked = (this.asked = (this.asked ?? 0) + 1);
    const request = this.request();
    let preview;
    try {
      preview = await (await api("/scans/preview", { method: "POST", body: JSON.stringify(request) })).json();
    } catch (error) {
      if (asked === this.asked) setText(document.getElementById("estimate"), error.message);
      return;
    }
    // A later question may have been answered before this one.
    if (asked === this.asked) this.show(preview, request);
  }

  show(preview, request) {
    for (const [field, name] of Object.entries(PLACES)) {
      const control = this.form.elements[name];
      const place = document.getElementById(`${name}-error`);
      if (!place) continue;
      const found = preview.errors.find((error) => error.field === field || error.field.startsWith(field + "["));
      const isEmpty = field === "targets" ? !request.targets.length : field === "ports" && !request.ports;
      const shown = found && !isEmpty && this.touched.has(name === "range" && request.ports === this.form.range.value.trim() ? "range" : name);
      setText(place, shown ? [found.message, found.hint].filter(Boolean).join(": ") : "");
      if (control instanceof HTMLInputElement) {
        if (shown) control.setAttribute("aria-invalid", "true");
        else control.removeAttribute("aria-invalid");
      }
    }
    const ready = !preview.errors.length;
    setText(document.getElementById("estimate"), ready ? this.words(preview) : "Fill in the target to see what will happen.");
    setText(document.getElementById("command"), ready ? preview.command : "portolan …");
    setText(document.getElementById("curl"), ready ? preview.curl : "curl …");
    const warnings = document.getElementById("warnings");
    warnings.replaceChildren(...preview.warnings.map((text) => make("li", {}, text)));
    warnings.hidden = !preview.warnings.length;
  }

  words({ addresses, names, ports, probes, seconds }) {
    const hosts = [addresses ? `${count(addresses)} ${addresses === 1 ? "address" : "addresses"}` : "",
      names?.length ? `${count(names.length)} ${names.length === 1 ? "name" : "names"} to look up` : ""].filter(Boolean).join(" and ");
    const what = `${hosts}, ${count(ports)} ${ports === 1 ? "port" : "ports"} each: ${count(probes)} probes`;
    if (!seconds) return `${what}.`;
    const [low, high] = [duration(seconds.low * 1000), duration(seconds.high * 1000)];
    return `${what}, about ${low === high ? low : `${low} to ${high}`}.`;
  }
});
