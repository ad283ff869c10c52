// <live-scan>: the page of a scan. Holds its results, follows its events, and shows both in the
// table, the map, the chart and the figures, as far as the page has them.
import { announce, api, make, part, setText, setWords } from "../lib/page.js";
import { MOST_ROWS, Rows } from "../lib/rows.js";
import { subscribe, watch } from "../lib/stream.js";
import { parse, STATES, valuesOf, withTerm } from "../lib/query.js";
import { count, duration, percent, perSecond, plural, roundTrip } from "../lib/text.js";
import { times } from "./habits.js";

const MOST_HOSTS = 300;
const MAP_HOSTS = 500;
const PAGE = 10_000;
const MAP_GAP = 250;
const CHIP_GAP = 400;
/** What the server decides is asked again no sooner, in milliseconds. */
const DECIDE_GAP = 2000;
const OVER = ["done", "incomplete", "interrupted", "cancelled"];

customElements.define("live-scan", class extends HTMLElement {
  connectedCallback() {
    this.scan = this.dataset.id;
    this.guesses = new Map();
    this.rows = new Rows((port, protocol) => this.guesses.get(port + protocol * 65536) ?? "");
    this.table = this.querySelector("result-table");
    this.box = this.querySelector("query-box");
    this.map = this.querySelector("port-map");
    this.chart = this.querySelector("progress-chart");
    this.cost = 0;
    this.turn = {};
    this.asked = new Map();
    /** Results in each state, as the server counts them. */
    this.totals = this.dataset.counts.split(" ").map(Number);
    this.rendered = 0;
    this.rows.scanTags = this.dataset.tags.split(" ").filter(Boolean);
    this.table.attach(this.rows);
    this.box.dataset.live = "true";
    this.query = this.box.value.trim();
    this.group = this.querySelector("[name=group]");
    this.listen();
    this.load().then(() => {
      this.render();
      this.chips();
      this.drawMap();
      this.classList.add("ready");
    });
    if (!this.over()) this.follow();
  }

  listen() {
    this.box.addEventListener("query", (event) => this.filter(event.detail, false));
    this.table.addEventListener("sort", () => this.update());
    this.table.addEventListener("open-row", (event) => this.open(event.detail.row));
    this.group?.addEventListener("change", () => this.update());
    this.map.addEventListener("ports", (event) => {
      const host = this.rows.hosts.length > 1 && this.mapHost();
      this.setQuery(withTerm(`port:${event.detail}`, "host", host ? [host] : []));
    });
    document.getElementById("map-host")?.addEventListener("change", () => this.drawMap());
    addEventListener("popstate", () => {
      this.query = new URLSearchParams(location.search).get("q") ?? this.dataset.query;
      this.box.input.value = this.query;
      this.render();
    });
    this.addEventListener("click", (event) => {
      const chip = event.target.closest("a.chip[data-field]");
      if (chip && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
        event.preventDefault();
        this.toggle(chip.dataset.field, chip.dataset.value);
      }
      const clear = event.target.closest("[data-clear]");
      if (clear) {
        event.preventDefault();
        this.setQuery("");
      }
    });
    this.addEventListener("submit", (event) => {
      const action = event.target.dataset.action;
      if (!action) return;
      event.preventDefault();
      this.act(action, event.submitter);
    });
  }

  /** Cancel, pause and resume without a page load. */
  async act(action, button) {
    if (button) button.disabled = true;
    try {
      const scan = await (await api(`/scans/${this.scan}/${action}`, { method: "POST", body: "{}" })).json();
      const same = scan.state === this.dataset.state;
      await this.state(scan);
      if (same && button) button.disabled = false;
    } catch (error) {
      this.tell(error.message);
      if (button) button.disabled = false;
    }
  }

  tell(message) {
    const place = document.getElementById("action-error");
    setWords(place, message);
    place.hidden = !message;
  }

  follow() {
    if (this.stop) return;
    let greeted = false;
    this.stop = subscribe(`scan:${this.scan}`, (type, data) => {
      if (type === "hello" || type === "reset") {
        greeted = true;
        if (data.scan) this.state(data.scan);
        this.load();
      } else if (type === "update") {
        this.take(data);
      }
    });
    // Where another tab reads the stream already there is no greeting: what was found a moment
    // ago may have been on its way to the disk, and the scan may have ended meanwhile.
    setTimeout(() => {
      if (greeted) return;
      this.load();
      this.ask();
    }, 1500);
    if (this.watches) return;
    this.watches = true;
    const stale = document.getElementById("stale");
    watch((state) => {
      // A server that died meanwhile says nothing of a scan that it does not run any more.
      if (state === "live" && !stale.hidden) this.ask();
      stale.hidden = state !== "lost" || this.over();
    });
  }

  /** Asks for the state, where the stream may not have told it. */
  async ask() {
    try {
      this.state(await (await api(`/scans/${this.scan}`)).json());
    } catch (error) {
      this.tell(`The scan could not be read: ${error.message}`);
    }
  }

  take(data) {
    for (const host of data.hosts ?? []) for (const { name } of host.names ?? []) this.rows.name(host.host, name);
    for (const item of data.ports ?? []) this.rows.add(item);
    for (const range of data.rest ?? []) this.rows.addRange(range);
    for (const found of data.services ?? []) this.rows.service(found.host, found.port, found.protocol, found.service);
    if (data.problems?.length) this.problems(data.problems);
    if (data.progress) this.progress(data.progress);
    if (data.scan) this.state(data.scan);
    if (data.ports || data.rest || data.services || data.hosts) this.update();
  }

  /** Reads what the scan found so far. */
  async load() {
    const scan = `/scans/${this.scan}`;
    this.names();
    const pages = async (path, take, most) => {
      let cursor = "";
      for (let taken = 0; taken < most; taken += PAGE) {
        const page = await (await api(`${path}limit=${PAGE}${cursor && `&cursor=${cursor}`}`)).json();
        take(page.items);
        if (!page.next) return;
        cursor = encodeURIComponent(page.next);
      }
    };
    try {
      const hosts = [];
      await pages(`${scan}/hosts?`, (items) => hosts.push(...items), 100_000);
      for (const { host, names, tags } of hosts) {
        for (const { name } of names ?? []) this.rows.name(host, name);
        if (tags) this.rows.tags.set(host, tags);
      }
      this.box.dataset.tags = [...new Set([...this.rows.scanTags, ...[...this.rows.tags.values()].flat()])].join(" ");
      await pages(`${scan}/results?q=${encodeURIComponent("state:open,open|filtered -reason:no-response")}&`,
        (items) => items.forEach((item) => this.rows.add(item)), MOST_ROWS);
      this.update();
      for (const { host } of hosts.slice(0, MAP_HOSTS)) this.rows.hostId(host);
      if (this.known() > MOST_ROWS || hosts.length > MOST_HOSTS) this.rows.partial = true;
      else await this.loadMaps(hosts);
    } catch (error) {
      this.tell(`The results could not be read: ${error.message}. Reload the page to try again.`);
    }
    this.update();
  }

  async loadMaps(hosts) {
    const protocols = this.dataset.protocols.split(" ");
    const jobs = hosts.flatMap((host) => protocols.map((protocol) => ({ host, protocol })));
    const work = async () => {
      for (let job = jobs.pop(); job; job = jobs.pop()) {
        const { host, protocol } = job;
        const response = await api(`/scans/${this.scan}/hosts/${encodeURIComponent(host.host)}/ports.bin?protocol=${protocol}`);
        this.rows.addBytes(host.host, protocol, new Uint8Array(await response.arrayBuffer()), Date.parse(host.first));
      }
    };
    await Promise.all([work(), work(), work(), work()]);
  }

  /** What numbers of ports let guess. */
  names() {
    this.named ??= fetch(this.dataset.services).then((response) => response.text()).then((text) => {
      for (const line of text.split("\n")) {
        const [port, tcp, udp] = line.split(" ");
        if (tcp && tcp !== "-") this.guesses.set(Number(port), tcp);
        if (udp) this.guesses.set(Number(port) + 65536, udp);
      }
      this.rows.forget();
      this.rows.version += 1;
      this.update();
    }, () => {});
  }

  /** Renders soon; the dearer a picture was, the later the next. */
  update() {
    // Before the first results are read, "nothing was found" would be false.
    if (this.due || !this.rows.length) return;
    const wait = Math.max(0, this.rendered + Math.min(300, this.cost * 3) - performance.now());
    this.due = setTimeout(() => {
      this.due = 0;
      this.render();
    }, wait);
  }

  render() {
    const start = performance.now();
    let view;
    try {
      view = this.rows.select(this.query, this.table.sort);
      this.decide();
    } catch {
      return;
    }
    this.fits = view.length;
    this.table.show(this.group?.checked ? this.grouped(view) : view);
    this.cost = performance.now() - start;
    this.rendered = performance.now();
    setText(document.getElementById("shown"), this.summary(view.length));
    this.empty(view.length);
    this.later("map", MAP_GAP, () => this.drawMap());
    this.later("chips", CHIP_GAP, () => this.chips());
    this.links();
  }

  /** Results in any state. */
  known() {
    return Math.max(this.rows.length, this.totals.reduce((sum, number) => sum + number));
  }

  over() {
    return OVER.includes(this.dataset.state);
  }

  /** "12 of 1,000 results" for the line below. */
  summary(shown) {
    const all = this.known();
    const fit = this.rows.partial && this.fitting?.query === this.query ? this.fitting.total : 0;
    return (shown === all ? "" : `${count(shown)} of `)
      + (fit > shown ? `${count(fit)} that fit, the others on the plain pages, of ` : "") + plural(all, "result");
  }

  /** Asks the server for what the page does not know: when ports changed, and rows that it lacks. */
  decide() {
    const terms = parse(this.query);
    for (const { field, values } of terms) {
      if (field === "changed") this.consult(`changed:${values}`, "", (rows) => this.rows.decided.set(values.join(), new Set(rows)));
    }
    if (!this.rows.partial) return;
    const named = terms.find(({ field, not }) => field === "state" && !not)?.values ?? STATES;
    if (!named.some((state) => this.totals[STATES.indexOf(state)] > this.rows.counts[STATES.indexOf(state)])) return;
    const { query, table: { sort } } = this;
    this.consult(query, `&count=true&sort=${sort.key}&order=${sort.down ? "desc" : "asc"}`, (rows, total) => (this.fitting = { query, total }));
  }

  async consult(query, how, take) {
    const key = query + how;
    const asked = this.asked.get(key);
    // While the scan runs there are more from time to time.
    if (asked && (asked.waits || this.over() || asked.version === this.rows.version || performance.now() - asked.at < DECIDE_GAP)) return;
    const now = { waits: true };
    this.asked.set(key, now);
    // Not for each letter that is typed.
    await new Promise((typed) => setTimeout(typed, CHIP_GAP));
    if (!this.query.includes(query)) return this.asked.delete(key);
    try {
      const { items, total } = await (await api(`/scans/${this.scan}/results?limit=${PAGE}&q=${encodeURIComponent(query)}${how}`)).json();
      take(items.map((item) => this.rows.add(item)), total);
      this.update();
    } catch (error) {
      this.tell(`Not all that fits could be read: ${error.message}`);
    }
    Object.assign(now, { waits: false, version: this.rows.version, at: performance.now() });
  }

  later(what, gap, act) {
    const key = `${what}Due`;
    this[key] ??= setTimeout(() => {
      this[key] = undefined;
      act();
    }, this[`${what}Done`] ? gap : 0);
    this[`${what}Done`] = true;
  }

  grouped(view) {
    const groups = new Map();
    for (const row of view) {
      const host = this.rows.host[row];
      if (!groups.has(host)) groups.set(host, [-host - 1]);
      groups.get(host).push(row);
    }
    const ranks = this.rows.hostRanks();
    return [...groups].sort(([a], [b]) => ranks[a] - ranks[b]).flatMap(([, rows]) => rows);
  }

  empty(shown) {
    const box = document.getElementById("nothing");
    const running = !this.over();
    box.hidden = shown > 0;
    this.table.hidden = shown === 0 && !running;
    box.parentElement.classList.toggle("waits", shown === 0 && running);
    if (shown > 0) return;
    const all = this.known();
    const [title, text] = this.nothing(all, running);
    setText(box.querySelector("h2"), title);
    setText(box.querySelector("p"), text);
    box.querySelector("[data-clear]").hidden = !all;
  }

  /** What stands in the place of an empty table. The server says the same. */
  nothing(all, running) {
    if ([...this.asked.values()].some(({ waits }) => waits)) return ["Looking…", "The server is asked for what fits."];
    if (all && this.query !== this.dataset.query) {
      return [`Nothing matches ${this.query}`, `${plural(all, "result")} without this filter.`];
    }
    const partly = ["cancelled", "interrupted"].includes(this.dataset.state);
    const title = running ? "No open port yet" : partly ? "No open port in what was asked" : "No open port";
    if (!all) return [title, running ? "Ports appear here as soon as they answer." : "No port of these targets answered."];
    const hosts = Number(this.querySelector('[data-figure="hosts"]')?.textContent.replace(/\D/g, "") ?? 0);
    const states = STATES.map((state, i) => this.totals[i] && `${count(this.totals[i])} ${state}`).filter(Boolean).join(", ");
    return [title, running ? `${plural(all, "port")} settled so far: ${states}.`
      : `Looked at ${plural(all, "port")}${hosts > 1 ? ` of ${plural(hosts, "host")}` : ""}: ${states}.`];
  }

  filter(text, push) {
    if (text === this.query) return;
    this.query = text;
    const address = new URL(location.href);
    address.searchParams.set("q", text);
    address.searchParams.delete("cursor");
    history[push ? "pushState" : "replaceState"](null, "", address);
    this.table.scroller.scrollTop = 0;
    this.table.active = -1;
    this.render();
    announce(`${plural(this.fits, "result")} shown`);
  }

  setQuery(text) {
    this.box.input.value = text;
    this.filter(text, true);
    this.box.tell();
  }

  toggle(field, value) {
    const text = this.box.value;
    const values = valuesOf(text, field);
    const next = values.includes(value) ? values.filter((known) => known !== value) : [...values, value];
    this.setQuery(withTerm(text, field, next));
  }

  /** Numbers and choices of the chips. */
  chips() {
    const chosen = (field, value) => valuesOf(this.query, field).includes(value);
    for (const chip of this.querySelectorAll('a.chip[data-field="state"]')) {
      const state = STATES.indexOf(chip.dataset.value);
      const total = Math.max(this.totals[state], this.rows.partial ? 0 : this.rows.counts[state]);
      setText(chip.querySelector("b"), count(total));
      chip.parentElement.hidden = !total && chip.dataset.value !== "open";
    }
    const facets = { service: new Map(), host: new Map() };
    let fresh = 0;
    for (const [row] of this.rows.details) {
      if ((this.rows.code[row] - 1) >> 4) continue;
      if (this.rows.isNew(row)) fresh += 1;
      const add = (map, key) => key && map.set(key, (map.get(key) ?? 0) + 1);
      add(facets.service, this.rows.serviceName(row));
      add(facets.host, this.rows.hosts[this.rows.host[row]].address);
    }
    const chip = this.querySelector('a.chip[data-field="new"]');
    if (chip) setText(chip.querySelector("b"), count(fresh));
    for (const [field, found] of Object.entries(facets)) {
      const list = this.querySelector(`[data-chips="${field}"]`);
      if (!list) continue;
      const top = [...found].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 8);
      list.hidden = found.size < 2;
      const key = JSON.stringify([top, valuesOf(this.query, field)]);
      if (list.dataset.shown === key) continue;
      list.dataset.shown = key;
      const focused = list.contains(document.activeElement) ? document.activeElement.dataset.value : null;
      list.replaceChildren(...top.map(([value, number]) => make("li", {}, make("a", {
        class: "chip", href: `?q=${encodeURIComponent(withTerm(this.query, field, [value]))}`, "data-field": field, "data-value": value,
        "aria-current": chosen(field, value) ? "true" : null,
      }, value, " ", make("b", {}, count(number))))));
      if (focused) [...list.querySelectorAll("a")].find((chip) => chip.dataset.value === focused)?.focus();
    }
    this.group.closest("li").hidden = this.rows.hosts.length < 2;
    for (const chip of this.querySelectorAll("a.chip[data-field]")) {
      if (chosen(chip.dataset.field, chip.dataset.value)) chip.setAttribute("aria-current", "true");
      else chip.removeAttribute("aria-current");
    }
  }

  /** The same filter in exports and on the plain pages. */
  links() {
    for (const link of this.querySelectorAll("a[data-query]")) {
      const address = new URL(link.href);
      address.searchParams.set("q", this.query);
      if (link.href !== address.href) link.href = address.href;
    }
  }

  mapHost() {
    const select = document.getElementById("map-host");
    return select?.value || (this.rows.hosts.length === 1 ? this.rows.hosts[0].address : null);
  }

  async drawMap() {
    const select = document.getElementById("map-host");
    if (select && select.options.length - 1 < Math.min(MAP_HOSTS, this.rows.hosts.length)) {
      for (const { address } of this.rows.hosts.slice(select.options.length - 1, MAP_HOSTS)) select.append(make("option", { value: address }, address));
      select.closest("label").hidden = this.rows.hosts.length < 2;
    }
    const protocol = this.dataset.protocols.split(" ")[0];
    const host = this.mapHost();
    const id = host === null ? -1 : this.rows.hostIds.get(host);
    const bytes = this.rows.partial ? await this.mapBytes(host, protocol) : this.rows.bytes(host, protocol);
    if (bytes) this.map.show(bytes, (port) => {
      const row = this.rows.places.get(id * 131072 + port + (protocol === "udp" ? 65536 : 0));
      return row === undefined ? "" : `${this.rows.serviceName(row)} ${this.rows.product(row)}`.trim();
    });
  }

  /** A byte a port, of the server, which knows them all. */
  async mapBytes(host, protocol) {
    const path = `/scans/${this.scan}${host === null ? "" : `/hosts/${encodeURIComponent(host)}`}/ports.bin?protocol=${protocol}`;
    const now = performance.now();
    if (this.mapped?.path === path && (this.over() || now - this.mapped.at < DECIDE_GAP)) return this.mapped.bytes;
    this.mapped = { path, at: now };
    try {
      const bytes = new Uint8Array(await (await api(path)).arrayBuffer());
      if (this.mapped.path === path) return (this.mapped.bytes = bytes);
    } catch {
      // The next picture, or a reload, brings it.
    }
    return undefined;
  }

  progress(progress) {
    this.totals = [progress.open, progress.closed, progress.filtered, progress.open_filtered];
    const share = progress.total ? progress.done / progress.total : 0;
    const bar = document.getElementById("bar");
    if (bar) bar.value = share;
    const figure = (name, text) => setText(this.querySelector(`[data-figure="${name}"]`), text);
    // Until it says so itself, it is not over.
    const done = percent(Math.min(share, 0.99));
    figure("done", done);
    figure("phase", progress.phase.words);
    // Of a scan of ports, what is settled is in the table; what is silent will be.
    const ofPorts = this.querySelector('[data-figure="silent"]') !== null;
    figure("probes", `${count(ofPorts ? progress.settled : progress.done)} of ${count(progress.total)}`);
    figure("silent", count(progress.done - progress.settled));
    figure("rate", perSecond(progress.rate));
    figure("left", progress.left_ms === undefined || progress.left_ms === null ? "…" : duration(progress.left_ms));
    figure("open", count(progress.open));
    figure("hosts", count(progress.hosts_up));
    figure("rtt", progress.rtt_ms === undefined || progress.rtt_ms === null ? "–" : roundTrip(progress.rtt_ms));
    figure("loss", percent(progress.loss));
    figure("flight", count(progress.in_flight));
    this.chart?.update();
    document.title = `(${done}) ${this.dataset.title} · Portolan`;
    announce(`${done} done, ${plural(progress.open, "open port")}`);
  }

  /** A change of state: the head of the page is rendered anew by the server. */
  async state({ counts, ...scan }) {
    this.totals = [counts.open, counts.closed, counts.filtered, counts.open_filtered];
    // Before it was listened to, more may have been told than the page was made with.
    if (scan.progress) this.progress(scan.progress);
    if (scan.state === this.dataset.state) return;
    this.dataset.state = scan.state;
    announce(`The scan is ${scan.state}`, true);
    this.tell("");
    if (this.over()) {
      this.stop?.();
      this.stop = null;
      this.asked.clear();
      this.mapped = null;
      document.title = `${this.dataset.title} · Portolan`;
      this.load();
      this.chart?.draw();
      this.refresh("#overview");
    } else {
      this.follow();
    }
    await this.refresh("#scan-head");
    this.links();
  }

  async refresh(selector) {
    // Of two that overlap, the one that was asked last counts.
    const turn = (this.turn[selector] = (this.turn[selector] ?? 0) + 1);
    try {
      const fresh = await part(location.pathname, selector);
      if (turn !== this.turn[selector]) return;
      const old = this.querySelector(selector);
      const focused = old.contains(document.activeElement);
      old.replaceWith(fresh);
      times(fresh);
      if (focused) fresh.querySelector("button, a")?.focus();
    } catch {
      // The next change, or a reload, brings it.
    }
  }

  problems(found) {
    const list = document.getElementById("problems");
    list.hidden = false;
    for (const { about, message, hint } of found) {
      const item = make("li");
      setWords(item, [message.includes(about) ? "" : `${about}: `, message, hint && `. ${hint}`].filter(Boolean).join(""));
      list.querySelector("ul").append(item);
    }
  }

  /** Everything known of a port, beside the table. */
  async open(row) {
    const host = this.rows.hosts[this.rows.host[row]].address;
    const path = `/scans/${this.scan}/ports/${encodeURIComponent(host)}/${this.rows.protocol(row)}/${this.rows.portNumber(row)}`;
    if (!this.drawer) {
      const body = make("div");
      const link = make("a", { href: path }, "Open as a page");
      const close = make("button", { type: "button", class: "quiet", onclick: () => this.drawer.close() }, "Close");
      this.drawer = make("dialog", { class: "drawer", "aria-label": "Port" }, make("header", {}, link, close), body);
      this.drawer.addEventListener("close", () => this.table.table.focus({ preventScroll: true }));
      this.append(this.drawer);
      Object.assign(this.drawer, { body, link });
    }
    this.drawer.link.href = path;
    this.drawer.body.replaceChildren("Loading…");
    if (!this.drawer.open) this.drawer.show();
    try {
      const detail = await part(path, "[data-part=port]");
      this.drawer.body.replaceChildren(detail);
      times(detail);
    } catch (error) {
      this.drawer.body.replaceChildren(`It could not be read: ${error.message}`);
    }
  }
});
