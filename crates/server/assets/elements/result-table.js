// <result-table>: the table of results that the server rendered, taken over. Only the rows in
// sight are elements, so that 65,535 rows scroll as 20 do. While rows arrive, the row that the
// reader points at, works on or looks at first stays where it is.
import { clock, visible } from "../lib/text.js";
import { make, setText } from "../lib/page.js";
import { reasonOf, stateOf } from "../lib/rows.js";

const COLUMNS = ["host", "port", "proto", "state", "reason", "service", "product", "time"];
/** Up to so many rows all are elements, so that the browser's own search finds them. */
const PLAIN = 19;
const SPARE = 1;
/** So many rows are printed; beyond them the plain pages are the better thing to print. */
const PRINTED = 5000;

customElements.define("result-table", class extends HTMLElement {
  /** Takes the table over. @param {import("../lib/rows.js").Rows} rows */
  attach(rows) {
    this.rows = rows;
    this.view = [];
    this.active = -1;
    this.hover = -1;
    this.sort = { key: this.dataset.sort || "host", down: this.dataset.order === "desc" };
    this.table = this.querySelector("table");
    this.body = this.table.tBodies[0];
    this.scroller = this.querySelector(".scroller");
    this.classList.add("virtual");
    this.table.setAttribute("role", "grid");
    this.table.tabIndex = 0;
    this.above = make("tr", { class: "gap", "aria-hidden": "true" }, make("td", { colspan: COLUMNS.length }));
    this.below = this.above.cloneNode(true);
    this.pool = [];
    this.body.replaceChildren(this.above, this.below);
    this.measure();
    this.scroller.addEventListener("scroll", () => this.paint(), { passive: true });
    addEventListener("resize", () => {
      this.measure();
      this.paint();
    });
    this.printed = 0;
    addEventListener("beforeprint", () => this.print(PRINTED));
    addEventListener("afterprint", () => this.print(0));
    this.table.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("pointermove", (event) => (this.hover = this.placeOf(event.target)));
    this.body.addEventListener("pointerleave", () => (this.hover = -1));
    for (const head of this.table.tHead.rows[0].cells) {
      const link = head.querySelector("a");
      link?.addEventListener("click", (event) => {
        event.preventDefault();
        const key = head.dataset.key;
        this.sort = { key, down: this.sort.key === key && !this.sort.down };
        this.dispatchEvent(new CustomEvent("sort", { detail: this.sort }));
      });
    }
  }

  measure() {
    this.height = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
    this.head = this.table.tHead.offsetHeight > 1 ? this.table.tHead.offsetHeight : 0;
  }

  /** Shows these rows, in this order; a negative number is the head of a host's group. */
  show(view) {
    const anchor = this.anchor();
    const before = anchor === undefined ? 0 : this.view.indexOf(anchor);
    const kept = this.active >= 0 ? this.view[this.active] : undefined;
    this.view = view;
    if (kept !== undefined) this.active = view.indexOf(kept);
    for (const head of this.table.tHead.rows[0].cells) {
      const mine = head.dataset.key === this.sort.key;
      head.setAttribute("aria-sort", mine ? (this.sort.down ? "descending" : "ascending") : "none");
    }
    this.table.setAttribute("aria-rowcount", String(view.length + 1));
    this.layout();
    if (anchor !== undefined) {
      const after = view.indexOf(anchor);
      if (after >= 0 && after !== before) this.scroller.scrollTop += (after - before) * this.height;
    }
    this.hover = -1;
    this.paint(true);
  }

  /** The row that is to stay where it is. */
  anchor() {
    if (this.hover >= 0) return this.view[this.hover];
    const first = Math.floor(this.scroller.scrollTop / this.height);
    if (this.active >= first && this.active < first + this.fits()) return this.view[this.active];
    return this.scroller.scrollTop > 0 ? this.view[first] : undefined;
  }

  fits() {
    return Math.ceil(Math.max(0, this.scroller.clientHeight - this.head) / this.height);
  }

  layout() {
    const size = Math.min(this.view.length, Math.max(PLAIN, this.fits() + SPARE, this.printed));
    while (this.pool.length < size) {
      const cells = COLUMNS.map((name) => make("td", { class: `c-${name}${name === "host" || name === "port" ? " mono" : ""}`, role: "gridcell" }));
      const row = make("tr", { role: "row" }, ...cells);
      this.below.before(row);
      this.pool.push({ row, cells, shown: null });
    }
    while (this.pool.length > size) this.pool.pop().row.remove();
  }

  /** Makes elements of so many rows, for paper. */
  print(most) {
    this.printed = most;
    this.layout();
    this.paint(true);
  }

  paint(force = false) {
    const size = this.pool.length;
    const most = Math.max(0, this.view.length - size);
    const first = this.printed ? 0 : Math.min(most, Math.max(0, Math.floor(this.scroller.scrollTop / this.height)));
    if (!force && first === this.first) return;
    this.first = first;
    this.above.style.height = `${first * this.height}px`;
    this.below.style.height = `${(this.view.length - first - size) * this.height}px`;
    this.pool.forEach((slot, i) => this.fill(slot, first + i));
    const active = this.pool[this.active - first];
    if (active && this.active >= 0) this.table.setAttribute("aria-activedescendant", active.row.id);
    else this.table.removeAttribute("aria-activedescendant");
  }

  fill(slot, place) {
    const number = this.view[place];
    const { row, cells } = slot;
    row.id = `row-${place}`;
    row.classList.toggle("active", place === this.active);
    row.setAttribute("aria-rowindex", String(place + 2));
    const key = `${number} ${this.rows.version}`;
    if (slot.shown === key) return;
    slot.shown = key;
    const isHead = number < 0;
    row.classList.toggle("group", isHead);
    if (isHead) {
      const host = this.rows.hosts[-number - 1];
      setText(cells[0], [host.address, ...host.names.map((name) => visible(name, 60))].join("  "));
      for (const cell of cells.slice(1)) setText(cell, "");
      cells[3].className = "c-state";
      return;
    }
    const rows = this.rows;
    const host = rows.hosts[rows.host[number]];
    const code = rows.code[number];
    const state = stateOf(code);
    const port = rows.portNumber(number);
    setText(cells[0], host.names.length ? `${host.address} ${visible(host.names[0], 60)}` : host.address);
    setText(cells[1], String(port));
    setText(cells[2], rows.protocol(number));
    setText(cells[3], state);
    cells[3].className = `c-state state ${state === "open|filtered" ? "maybe" : state}`;
    setText(cells[4], reasonOf(code));
    setText(cells[5], visible(rows.shownService(number), 60));
    setText(cells[6], visible(rows.product(number), 120));
    setText(cells[7], rows.at[number] ? clock(rows.at[number]) : "");
  }

  placeOf(target) {
    const row = target.closest("tr");
    const slot = this.pool.findIndex((slot) => slot.row === row);
    return slot < 0 ? -1 : this.first + slot;
  }

  click(event) {
    const place = this.placeOf(event.target);
    if (place < 0) return;
    this.move(place, false);
    this.open();
  }

  key(event) {
    if (event.target !== this.table || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, this.fits() - 1);
    const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) {
      event.preventDefault();
      this.move(this.active + moves[event.key]);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open();
    }
  }

  move(place, scroll = true) {
    this.active = Math.max(0, Math.min(this.view.length - 1, place));
    if (scroll) {
      const top = this.active * this.height;
      const room = this.scroller.clientHeight - this.head - this.height;
      if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
      else if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - room;
    }
    this.paint(true);
  }

  open() {
    const row = this.view[this.active];
    if (row === undefined || row < 0) return;
    this.dispatchEvent(new CustomEvent("open-row", { detail: { row, place: this.active } }));
  }
});
