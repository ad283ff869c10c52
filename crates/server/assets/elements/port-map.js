// <port-map>: the 65,536 ports of a host as a picture of 256 by 256, port = 256 × row + column.
// A pointer or the arrow keys move a cell, which is read out; Enter or a click filters by it,
// Shift with arrows or dragging by the range from one cell to the other.
import { count, visible } from "../lib/text.js";
import { make, setText } from "../lib/page.js";
import { reasonOf, stateOf } from "../lib/rows.js";

const SIDE = 256;
const MOST_DOTS = 800;

customElements.define("port-map", class extends HTMLElement {
  connectedCallback() {
    if (this.canvas) return;
    this.bytes = new Uint8Array(SIDE * SIDE);
    this.cursor = 0;
    this.from = null;
    this.describe = () => "";
    const canvas = (attributes) => make("canvas", { width: SIDE, height: SIDE, ...attributes });
    this.canvas = canvas({ tabindex: 0, role: "img", "aria-label": "Map of ports", "aria-describedby": this.id + "-line" });
    // The cursor is drawn at the size of the screen, so that its ring is thin.
    this.over = canvas({ "aria-hidden": "true" });
    this.line = make("p", { class: "map-line small", id: this.id + "-line" });
    this.live = make("span", { class: "sr", role: "status" });
    this.append(make("div", { class: "map" }, this.canvas, this.over), this.line, this.live);
    this.canvas.addEventListener("pointermove", (event) => this.point(this.cell(event)));
    this.canvas.addEventListener("pointerleave", () => {
      this.from = null;
      this.point(null);
    });
    this.canvas.addEventListener("pointerdown", (event) => (this.from = this.cell(event)));
    this.canvas.addEventListener("pointerup", (event) => this.choose(this.cell(event)));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.point(null));
    const redraw = () => this.draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    new ResizeObserver(() => this.ring()).observe(this.canvas);
    this.point(null);
  }

  /** Shows a byte a port; `describe` says what is known of a port beyond that. */
  show(bytes, describe) {
    this.bytes = bytes;
    this.describe = describe;
    this.draw();
    if (this.at === undefined || this.at === null) this.point(null);
  }

  colours() {
    const style = getComputedStyle(this);
    const probe = make("i", { hidden: true });
    this.append(probe);
    const read = (name) => {
      probe.style.color = style.getPropertyValue(name) ? `var(${name})` : "gray";
      return getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    };
    const [open, filtered, maybe, closed, card] = ["--open", "--filtered", "--maybe", "--closed", "--sunk"].map(read);
    probe.remove();
    this.shades = [open, card];
    const mix = (a, b, share) => a.map((value, i) => Math.round(value * share + b[i] * (1 - share)));
    // By state: open at full strength; closed barely above the ground.
    return [open, mix(closed, card, 0.2), mix(filtered, card, 0.75), mix(maybe, card, 0.85)];
  }

  draw() {
    const picture = this.canvas.getContext("2d");
    const image = picture.createImageData(SIDE, SIDE);
    const colours = this.colours();
    const counts = [0, 0, 0, 0];
    this.open = [];
    for (let port = 0; port < SIDE * SIDE; port += 1) {
      const code = this.bytes[port];
      if (!code) continue;
      const state = (code - 1) >> 4;
      counts[state] += 1;
      if (state === 0) this.open.push(port);
      image.data.set([...colours[state], 255], port * 4);
    }
    picture.putImageData(image, 0, 0);
    this.summary = `${count(counts[0])} open, ${count(counts[1])} closed, ${count(counts[2])} filtered`
      + (counts[3] ? `, ${count(counts[3])} open or filtered` : "");
    this.canvas.setAttribute("aria-label", `Map of 65,536 ports: ${this.summary}. Arrow keys move, Enter filters.`);
    this.ring();
  }

  cell(event) {
    const box = this.canvas.getBoundingClientRect();
    const place = (at, start, size) => Math.max(0, Math.min(SIDE - 1, Math.floor(((at - start) / size) * SIDE)));
    return place(event.clientY, box.top, box.height) * SIDE + place(event.clientX, box.left, box.width);
  }

  words(port) {
    const code = this.bytes[port];
    if (!code) return `port ${port}: not asked`;
    const more = visible(this.describe(port), 60);
    return `port ${port}: ${stateOf(code)} (${reasonOf(code)})${more ? ` ${more}` : ""}`;
  }

  point(port) {
    this.at = port;
    const range = port !== null && this.from !== null && this.from !== port;
    setText(this.line, port === null ? this.summary ?? "Nothing is known yet"
      : range ? `ports ${Math.min(port, this.from)} to ${Math.max(port, this.from)}` : this.words(port));
    this.ring();
  }

  ring() {
    const size = this.canvas.clientWidth;
    if (!size) return;
    const scale = devicePixelRatio || 1;
    if (this.over.width !== Math.round(size * scale)) this.over.width = this.over.height = Math.round(size * scale);
    const over = this.over.getContext("2d");
    over.clearRect(0, 0, this.over.width, this.over.height);
    this.dots(over, scale);
    if (this.at === null || this.at === undefined) return;
    const unit = this.over.width / SIDE;
    const style = getComputedStyle(this);
    const [first, last] = this.from === null ? [this.at, this.at] : [Math.min(this.at, this.from), Math.max(this.at, this.from)];
    over.strokeStyle = style.color;
    over.fillStyle = style.color;
    for (let row = first >> 8; row <= last >> 8; row += 1) {
      const left = row === first >> 8 ? first & 255 : 0;
      const right = row === last >> 8 ? last & 255 : 255;
      over.globalAlpha = first === last ? 0 : 0.3;
      over.fillRect(left * unit, row * unit, (right - left + 1) * unit, unit);
    }
    over.globalAlpha = 1;
    over.lineWidth = 1.5 * scale;
    over.strokeRect((this.at & 255) * unit - 2 * scale, (this.at >> 8) * unit - 2 * scale, unit + 4 * scale, unit + 4 * scale);
  }

  /** A lone open port is one cell in 65,536: it gets a dot, so that the eye finds it. */
  dots(over, scale) {
    if (!this.open?.length || this.open.length > MOST_DOTS) return;
    const unit = this.over.width / SIDE;
    const [open, ground] = this.shades;
    for (const [radius, colour] of [[4, ground], [3, open]]) {
      over.fillStyle = `rgb(${colour})`;
      for (const port of this.open) {
        over.beginPath();
        over.arc(((port & 255) + 0.5) * unit, ((port >> 8) + 0.5) * unit, radius * scale, 0, 7);
        over.fill();
      }
    }
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -SIDE, ArrowDown: SIDE, PageUp: -SIDE * 16, PageDown: SIDE * 16, Home: -65536, End: 65536 };
    if (event.key in steps) {
      event.preventDefault();
      if (event.shiftKey && this.from === null) this.from = this.cursor;
      if (!event.shiftKey) this.from = null;
      this.cursor = Math.max(0, Math.min(65535, this.cursor + steps[event.key]));
      this.point(this.cursor);
      setText(this.live, this.line.textContent);
    } else if (event.key === "n" || event.key === "N") {
      this.next(event.key === "n" ? 1 : -1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.choose(this.cursor);
    } else if (event.key === "Escape") {
      this.from = null;
      this.point(this.cursor);
    }
  }

  /** The next open port. */
  next(step) {
    for (let i = 1; i <= 65536; i += 1) {
      const port = (this.cursor + step * i + 65536) & 65535;
      if (this.bytes[port] && (this.bytes[port] - 1) >> 4 === 0) {
        this.from = null;
        this.cursor = port;
        this.point(port);
        setText(this.live, this.line.textContent);
        return;
      }
    }
  }

  choose(port) {
    const [first, last] = this.from === null ? [port, port] : [Math.min(port, this.from), Math.max(port, this.from)];
    this.from = null;
    this.cursor = port;
    this.point(port);
    this.dispatchEvent(new CustomEvent("ports", { detail: first === last ? String(first) : `${first}-${last}` }));
  }
});
