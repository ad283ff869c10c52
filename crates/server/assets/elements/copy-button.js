// <copy-button data-from="id">: copies the text of an element, or `data-text`.
import { announce, make } from "../lib/page.js";

customElements.define("copy-button", class extends HTMLElement {
  connectedCallback() {
    if (this.firstChild) return;
    const label = this.dataset.label ?? "Copy";
    const button = make("button", { type: "button", "aria-label": this.dataset.name ?? label }, label);
    let timer;
    button.addEventListener("click", async () => {
      const text = this.dataset.text ?? document.getElementById(this.dataset.from)?.textContent ?? "";
      const copied = await copy(text.trim());
      button.textContent = copied ? "Copied" : "Select it";
      announce(button.textContent, true);
      clearTimeout(timer);
      timer = setTimeout(() => (button.textContent = label), 1600);
    });
    this.append(button);
  }
});

/** Pages served without TLS to another machine have no clipboard; a selection works there too. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { class: "sr", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
