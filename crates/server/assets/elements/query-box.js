// <query-box>: the field of the query language. Says at once what cannot be read and where,
// completes the names of fields, and fires `query` when the text is a query.
import { FIELDS, parse, STATES } from "../lib/query.js";
import { make, setText, setWords } from "../lib/page.js";

const VALUES = { state: STATES, proto: ["tcp", "udp"], new: ["true", "false"], seen: ["1h", "1d", "7d"], changed: ["1d", "7d", "30d"], "tls.expires": ["<7d", "<30d"] };

customElements.define("query-box", class extends HTMLElement {
  connectedCallback() {
    this.input = this.querySelector("input");
    this.problem = document.getElementById(this.input.getAttribute("aria-describedby"));
    this.list = make("datalist", { id: this.input.id + "-list" });
    this.append(this.list);
    this.input.setAttribute("list", this.list.id);
    this.input.addEventListener("input", () => {
      this.complete();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.tell(), 80);
    });
    this.input.form?.addEventListener("submit", (event) => {
      if (!this.dataset.live) return;
      event.preventDefault();
      this.tell();
    });
  }

  get value() {
    return this.input.value;
  }

  set value(text) {
    this.input.value = text;
    this.tell();
  }

  /** Names of fields, and the values of those that have few. */
  complete() {
    const text = this.input.value;
    const before = text.slice(0, text.length - (/\S*$/.exec(text)?.[0].length ?? 0));
    const word = text.slice(before.length);
    const [field, typed] = word.replace(/^-/, "").split(/:|(?=[<>])/);
    const sign = word.startsWith("-") ? "-" : "";
    const options = typed === undefined
      ? FIELDS.filter((name) => name.startsWith(field)).map((name) => `${before}${sign}${name}:`)
      : (this.values(field)).filter((value) => value.startsWith(typed) && value !== typed).map((value) => `${before}${sign}${field}:${value}`);
    this.list.replaceChildren(...options.map((value) => make("option", { value })));
  }

  values(field) {
    return field === "tag" ? (this.dataset.tags ?? "").split(" ").filter(Boolean) : VALUES[field] ?? [];
  }

  tell() {
    try {
      parse(this.value);
    } catch (error) {
      this.input.setAttribute("aria-invalid", "true");
      setWords(this.problem, `${error.message}, at character ${error.offset + 1}`);
      return;
    }
    this.input.removeAttribute("aria-invalid");
    setText(this.problem, "");
    this.dispatchEvent(new CustomEvent("query", { detail: this.value.trim(), bubbles: true }));
  }
});
