// The ports that a scan found, held in columns: 65,535 rows are three small arrays, not 65,535
// objects. Filtering and sorting yield an array of row numbers. Pure: runs under node as well.

import { addressKey } from "./text.js";
import { expiryTest, hostTest, parse, portRange, REASONS, seenTest, STATES } from "./query.js";

export const PROTOCOLS = ["tcp", "udp"];

/** The byte of a state and a reason: 1 + 16 * state + reason. 0 is "nothing known". */
export const codeOf = (state, reason) => 1 + 16 * Math.max(0, STATES.indexOf(state)) + Math.max(0, REASONS.indexOf(reason));
export const stateOf = (code) => STATES[(code - 1) >> 4];
export const reasonOf = (code) => REASONS[(code - 1) & 15];

/** "1-21,23" -> each port. @param {string} list @param {(port: number) => void} visit */
export function eachPort(list, visit) {
  for (const part of list.split(",")) {
    const range = portRange(part);
    if (range) for (let port = range[0]; port <= range[1]; port += 1) visit(port);
  }
}

/** No more rows than this are told apart by a sort, nor held. */
const ROOM = 2 ** 20;
/** Beyond so many, ports that only make up the rest stay on the server. */
export const MOST_ROWS = 400_000;

/**
 * The places of values in ascending or descending order; equal ones stay in theirs. A value and
 * its place are one number, which is sorted some ten times faster than by a function.
 * @param {Float64Array} values @returns {Uint32Array}
 */
function sorted(values, down = false) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if ((high - low) * ROOM > Number.MAX_SAFE_INTEGER) {
    const ranks = new Map([...new Set(values)].sort((a, b) => a - b).map((value, rank) => [value, rank]));
    return sorted(values.map((value) => ranks.get(value)), down);
  }
  const keys = values.map((value, i) => (down ? high - value : value - low) * ROOM + i).sort();
  return Uint32Array.from(keys, (key) => key % ROOM);
}

export class Rows {
  constructor(guess = () => "") {
    /** What a port's number lets guess. @type {(port: number, protocol: number) => string} */
    this.guess = guess;
    this.length = 0;
    /** @type {{address: string, names: string[]}[]} */
    this.hosts = [];
    this.hostIds = new Map();
    this.room(1024);
    /** Row by place: host, protocol, port. */
    this.places = new Map();
    /** What is known beyond state and reason, by row. */
    this.details = new Map();
    /** Rows in each state, by the state's number. */
    this.counts = [0, 0, 0, 0];
    this.forget();
    /** Tags of hosts by address, and those of the scan. */
    this.tags = new Map();
    this.scanTags = [];
    /** What only the server knows: the rows that fit a term, by the term. @type {Map<string, Set<number>>} */
    this.decided = new Map();
    /** Whether the server has results that are not held here. */
    this.partial = false;
    /** Grows with each change. */
    this.version = 0;
  }

  /** Forgets what numbers of ports let guess. */
  forget() {
    this.guesses = [];
    this.numbers = [];
  }

  room(size) {
    const grown = (Type, old) => {
      const column = new Type(size);
      if (old) column.set(old);
      return column;
    };
    this.host = grown(Uint32Array, this.host);
    this.port = grown(Uint32Array, this.port);
    this.code = grown(Uint8Array, this.code);
    this.at = grown(Float64Array, this.at);
  }

  hostId(address) {
    let id = this.hostIds.get(address);
    if (id === undefined) {
      id = this.hosts.length;
      this.hosts.push({ address, names: [] });
      this.hostIds.set(address, id);
      this.ranks = null;
    }
    return id;
  }

  name(address, name) {
    const known = this.hosts[this.hostId(address)].names;
    if (name && !known.includes(name)) known.push(name);
    this.version += 1;
  }

  /**
   * Sets a port's code; `port` is the number plus 65,536 for UDP.
   * @returns {number|undefined} its row, if there is room for it
   */
  set(hostId, port, code, at = 0, most = MOST_ROWS) {
    const place = hostId * 131072 + port;
    let row = this.places.get(place);
    if (row === undefined) {
      row = this.length;
      if (row >= most) {
        this.partial = true;
        return undefined;
      }
      if (row === this.host.length) this.room(row * 2);
      this.length += 1;
      this.places.set(place, row);
      this.host[row] = hostId;
      this.port[row] = port;
    } else {
      this.counts[(this.code[row] - 1) >> 4] -= 1;
    }
    this.code[row] = code;
    this.counts[(code - 1) >> 4] += 1;
    if (at) this.at[row] = at;
    this.version += 1;
    return row;
  }

  /** Takes in a result of the API. @returns {number|undefined} its row */
  add(item) {
    const protocol = item.protocol === "udp" ? 65536 : 0;
    const hostId = this.hostId(item.host);
    const row = this.set(hostId, item.port + protocol, codeOf(item.state, item.reason), Date.parse(item.at), ROOM);
    if (row === undefined) return row;
    const old = this.details.get(row);
    this.details.set(row, { rtt: item.rtt_ms, ttl: item.ttl, service: item.service ?? old?.service, fresh: Boolean(item.new) });
    if (item.name) this.name(item.host, item.name);
    return row;
  }

  /** Takes in many ports of a host in one state. */
  addRange({ host, protocol, ports, state, reason, at }) {
    const id = this.hostId(host);
    const base = protocol === "udp" ? 65536 : 0;
    const code = codeOf(state, reason);
    const when = at ? Date.parse(at) : 0;
    eachPort(ports, (port) => this.set(id, port + base, code, when));
  }

  /** Takes in a host's byte per port, as `ports.bin` has them. @param {Uint8Array} bytes */
  addBytes(address, protocol, bytes, at = 0) {
    const id = this.hostId(address);
    const base = protocol === "udp" ? 65536 : 0;
    for (let port = 0; port < 65536; port += 1) {
      if (bytes[port] && !this.places.has(id * 131072 + base + port)) this.set(id, base + port, bytes[port], at);
    }
  }

  service(address, port, protocol, service) {
    const row = this.places.get(this.hostId(address) * 131072 + port + (protocol === "udp" ? 65536 : 0));
    if (row === undefined) return;
    this.details.set(row, { ...this.details.get(row), service });
    this.version += 1;
  }

  /** One byte a port, of one host or the most open of all. @returns {Uint8Array} */
  bytes(address, protocol) {
    const base = protocol === "udp" ? 65536 : 0;
    const only = address === null ? -1 : this.hostIds.get(address) ?? -2;
    const bytes = new Uint8Array(65536);
    const order = [0, 3, 2, 1];
    for (let row = 0; row < this.length; row += 1) {
      const port = this.port[row] - base;
      if (port < 0 || port > 65535 || (only !== -1 && this.host[row] !== only)) continue;
      const old = bytes[port];
      if (!old || order.indexOf((this.code[row] - 1) >> 4) < order.indexOf((old - 1) >> 4)) bytes[port] = this.code[row];
    }
    return bytes;
  }

  portNumber(row) {
    return this.port[row] & 65535;
  }

  protocol(row) {
    return PROTOCOLS[this.port[row] >> 16];
  }

  /** Whether a port is open and was not known to be. */
  isNew(row) {
    return this.details.get(row)?.fresh === true && (this.code[row] - 1) >> 4 === 0;
  }

  /** What it said itself of its service's name. */
  said(row) {
    const { name, method } = this.details.get(row)?.service ?? {};
    return method === "table" ? undefined : name;
  }

  serviceName(row) {
    const said = this.details.get(row)?.service;
    return said ? said.name : this.guess(this.portNumber(row), this.port[row] >> 16);
  }

  /** The name of a service as it is shown: with a mark where it is spoken through TLS. */
  shownService(row) {
    const name = this.serviceName(row);
    return this.details.get(row)?.service?.tls ? `${name} · TLS` : name;
  }

  /** What a port's number says, in lower case: looked up once a port and not once a row. */
  guessed(port) {
    return (this.guesses[port] ??= this.guess(port & 65535, port >> 16).toLowerCase());
  }

  /** What free text is looked for in, beside host, state and reason: a line for each thing shown. */
  words(row) {
    const port = this.port[row];
    const number = `${port & 65535}/${PROTOCOLS[port >> 16]}`;
    const said = this.details.get(row)?.service;
    if (!said) return (this.numbers[port] ??= `${number}\n${this.guessed(port)}`);
    return [number, said.name, this.product(row), said.os, said.hostname, ...(said.cpe ?? [])].join("\n");
  }

  product(row) {
    const service = this.details.get(row)?.service;
    if (!service) return "";
    return [service.product, service.version, service.extra && `(${service.extra})`].filter(Boolean).join(" ");
  }

  /** The row numbers that fit a query, in the order of `sort`. @returns {Uint32Array} */
  select(text, sort = { key: "host", down: false }) {
    const terms = parse(text);
    const states = terms.some((term) => term.field === "state" && !term.not);
    const tests = terms.map((term) => this.test(term, states));
    const found = new Uint32Array(this.length);
    let size = 0;
    next: for (const row of this.inOrder()) {
      for (const test of tests) if (!test(row)) continue next;
      found[size++] = row;
    }
    return this.sort(found.subarray(0, size), sort);
  }

  /** All rows by host, protocol and port; sorted anew only when rows have come. */
  inOrder() {
    if (this.order?.length !== this.length || !this.ranks) {
      const ranks = this.hostRanks();
      const places = new Float64Array(this.length);
      for (let row = 0; row < this.length; row += 1) places[row] = ranks[this.host[row]] * 131072 + this.port[row];
      this.order = sorted(places);
    }
    return this.order;
  }

  /** `states`: whether the query names states itself. */
  test({ field, not, values }, states) {
    const small = (text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
    const lower = values.map(small);
    const within = (text) => {
      const low = small(text);
      return lower.some((value) => low.includes(value));
    };
    const among = (all, of) => {
      const wanted = lower.map((value) => all.indexOf(value));
      return (row) => wanted.includes(of(row));
    };
    const at = (test, of) => {
      const tests = values.map((value) => test(value));
      return (row) => tests.some((test) => test(of(row)));
    };
    const service = (row) => this.details.get(row)?.service;
    let fits;
    if (field === "port") {
      const wanted = new Uint8Array(65536);
      for (const value of values) eachPort(value, (port) => (wanted[port] = 1));
      fits = (row) => wanted[this.port[row] & 65535] === 1;
    } else if (field === "state") {
      fits = among(STATES, (row) => (this.code[row] - 1) >> 4);
    } else if (field === "reason") {
      fits = among(REASONS, (row) => (this.code[row] - 1) & 15);
    } else if (field === "proto") {
      fits = among(PROTOCOLS, (row) => this.port[row] >> 16);
    } else if (field === "host") {
      const tests = values.map(hostTest);
      const known = this.hosts.map(({ address, names }) => tests.some((test) => test(address, names)));
      fits = (row) => known[this.host[row]];
    } else if (field === "service") {
      // What a number stands for is no service where nothing listens.
      const listens = (row) => states || [0, 3].includes((this.code[row] - 1) >> 4);
      fits = (row) => within(this.said(row) ?? (listens(row) ? this.guessed(this.port[row]) : ""));
    } else if (field === "product" || field === "version") {
      fits = (row) => within(service(row)?.[field] ?? "");
    } else if (field === "seen") {
      fits = at(seenTest, (row) => this.at[row]);
    } else if (field === "new") {
      fits = (row) => lower.includes(String(this.isNew(row)));
    } else if (field === "changed") {
      const found = this.decided.get(values.join());
      fits = (row) => found?.has(row) ?? false;
    } else if (field === "tls.expires") {
      // What has no certificate expires never: no comparison with NaN holds.
      fits = at(expiryTest, (row) => Date.parse(service(row)?.facts?.["tls.cert.not-after"]));
    } else if (field === "tag") {
      const has = (tags = []) => tags.some((tag) => lower.includes(tag));
      const all = has(this.scanTags);
      const known = this.hosts.map(({ address }) => all || has(this.tags.get(address)));
      fits = (row) => known[this.host[row]];
    } else {
      // What is alike for many rows is looked at once: hosts, states, reasons.
      const hosts = this.hosts.map(({ address, names }) => within([address, ...names].join("\n")));
      const codes = Array.from({ length: 65 }, (_, code) => code > 0 && within(`${stateOf(code)}\n${reasonOf(code)}`));
      fits = (row) => codes[this.code[row]] || hosts[this.host[row]] || within(this.words(row));
    }
    return not ? (row) => !fits(row) : fits;
  }

  hostRanks() {
    if (!this.ranks) {
      const keys = this.hosts.map((host, id) => [addressKey(host.address), id]).sort((a, b) => (a[0] < b[0] ? -1 : 1));
      this.ranks = new Float64Array(keys.length);
      keys.forEach(([, id], rank) => (this.ranks[id] = rank));
    }
    return this.ranks;
  }

  /** Sorts rows that stand by host, protocol and port: equal ones stay so. */
  sort(rows, { key, down }) {
    const values = this.sortValues(rows, key);
    if (!values) return down ? rows.reverse() : rows;
    return sorted(values, down).map((i) => rows[i]);
  }

  sortValues(rows, key) {
    const size = rows.length;
    const numbers = (of) => {
      const out = new Float64Array(size);
      for (let i = 0; i < size; i += 1) out[i] = of(rows[i]);
      return out;
    };
    const words = (of) => {
      const texts = Array.from(rows, of);
      const ranks = new Map([...new Set(texts)].sort().map((text, rank) => [text, rank]));
      return Float64Array.from(texts, (text) => ranks.get(text));
    };
    switch (key) {
      case "port": return numbers((row) => this.port[row] & 65535);
      case "protocol": return numbers((row) => this.port[row] >> 16);
      case "state": return numbers((row) => (this.code[row] - 1) >> 4);
      case "reason": return words((row) => reasonOf(this.code[row]));
      case "service": return words((row) => this.serviceName(row).toLowerCase());
      case "product": return words((row) => this.product(row).toLowerCase());
      case "time": return numbers((row) => this.at[row]);
      default: return null;
    }
  }
}
