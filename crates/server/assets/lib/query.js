// The query language of the page's address, the API, exports and the shell, for rows that the
// page holds: `port:22,80 product:OpenSSH -host:10.0.0.1 state:open "free text"`.
// Terms must all hold; values after commas are alternatives; `-` turns a term round.
// Pure: runs under node as well.

import { addressKey } from "./text.js";

export const FIELDS = ["port", "host", "state", "proto", "reason", "service", "product", "version", "seen", "new", "changed", "tls.expires", "tag"];
/** The fields whose values have an order: `port<1024` is `port:<1024`. */
const ORDERED = /^(port|seen|changed|tls\.expires)(?=[<>])/;
const TAKES = {
  port: "a number or a range: 22, 8000-8999, <1024", state: "open, closed, filtered or open|filtered", proto: "tcp or udp",
  seen: "a day or an age: 2026-11-01, >2026-11-01, 7d", changed: "an age or a day: 7d, >2026-11-01",
  "tls.expires": "a span of time or a day: <30d, <2026-12-31", new: "true or false", tag: "letters, digits, -, _ and .",
  reason: "syn-ack, reset, no-response and the like", host: "an address, a network, a range or a name",
};
/** Reasons by their number in a byte of `ports.bin`. */
export const REASONS = [
  "syn-ack", "reset", "conn-refused", "no-response", "port-unreach", "host-unreach", "net-unreach",
  "admin-prohibited", "udp-response", "echo-reply", "timestamp-reply", "arp-response", "nd-response",
  "localhost-response", "user-set", "proto-unreach",
];
export const STATES = ["open", "closed", "filtered", "open|filtered"];

/** What is wrong with a query, and where: an offset into its text. */
export class QueryError extends Error {
  constructor(message, offset) {
    super(message);
    this.offset = offset;
  }
}

/**
 * Reads a query.
 * @param {string} text
 * @returns {{field: string|null, not: boolean, values: string[], start: number, end: number}[]}
 */
export function parse(text) {
  const terms = [];
  let at = 0;
  const blank = (c) => /\s/.test(c);
  const value = (field) => {
    const start = at;
    if (text[at] === '"') {
      let out = "";
      for (at += 1; at < text.length; at += 1) {
        if (text[at] === "\\") {
          if (!/["\\]/.test(text[(at += 1)])) throw new QueryError("write a backslash as \\\\", at - 1);
        } else if (text[at] === '"') {
          at += 1;
          return out;
        }
        out += text[at];
      }
      throw new QueryError("the quote is not closed", start);
    }
    while (at < text.length && !blank(text[at]) && text[at] !== "," && text[at] !== '"') at += 1;
    if (at === start) throw new QueryError("a value is missing", start);
    const found = text.slice(start, at);
    const odd = found.search(field ? /\\/ : /[\\:]/);
    if (odd >= 0) throw new QueryError("text with a colon or a backslash goes in quotes", start + odd);
    return found;
  };
  for (;;) {
    while (at < text.length && blank(text[at])) at += 1;
    if (at >= text.length) return terms;
    const start = at;
    const not = text[at] === "-";
    if (not) at += 1;
    const rest = text.slice(at);
    const named = ORDERED.exec(rest) ?? /^([^\s:",]+):/.exec(rest);
    const field = named ? named[1] : null;
    if (named) {
      if (!FIELDS.includes(field)) {
        throw new QueryError(`unknown field \`${field}\`: there are ${FIELDS.join(", ")}; text with a colon goes in quotes`, at);
      }
      at += named[0].length;
    }
    const values = [];
    do {
      const where = at;
      const found = value(field);
      check(field, found, where);
      values.push(found);
    } while (text[at] === "," && ++at);
    if (at < text.length && !blank(text[at])) throw new QueryError("a blank belongs here", at);
    terms.push({ field, not, values, start, end: at });
  }
}

function check(field, value, where) {
  const good = {
    port: () => portRange(value),
    state: () => STATES.includes(value.toLowerCase()),
    seen: () => seenTest(value),
    changed: () => seenTest(value),
    "tls.expires": () => expiryTest(value),
    new: () => /^(true|false)$/i.test(value),
    reason: () => REASONS.includes(value.toLowerCase()),
    host: () => hostTest(value),
    proto: () => /^(tcp|udp)$/i.test(value),
    tag: () => /^[\p{L}\p{N}_.][\p{L}\p{N}_.-]{0,39}$/u.test(value),
  }[field];
  if (good && !good()) throw new QueryError(`\`${value}\` is nothing that \`${field}\` takes: it takes ${TAKES[field]}`, where);
}

/** "22", "8000-8999" and "<1024" as [first, last]; null for anything else. @param {string} text */
export function portRange(text) {
  const bound = /^([<>])(=?)(\d{1,5})$/.exec(text);
  if (bound) {
    const number = Number(bound[3]);
    const range = bound[1] === "<" ? [0, number - !bound[2]] : [number + !bound[2], 65535];
    return number <= 65535 && range[0] <= range[1] ? range : null;
  }
  const parts = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (!parts) return null;
  const [first, last] = [Number(parts[1]), Number(parts[2] ?? parts[1])];
  return first <= last && last <= 65535 ? [first, last] : null;
}

const AGES = { m: 60, h: 3600, d: 86400, w: 604800 };

/** `7d` and `<7d` as a length in milliseconds and the sign before it; NaN for what is no age. */
function age(value) {
  const [, order, count, unit] = /^([<>]?)(\d+)([mhdw])$/.exec(value) ?? [];
  return [count * AGES[unit] * 1000, order];
}

/**
 * A test whether a time, in milliseconds since 1970, is what a value of `seen:` asks for; null
 * for what is no such value. Days are those of UTC.
 * @param {string} value @param {number} now
 */
export function seenTest(value, now = Date.now()) {
  const [span, order] = age(value);
  if (order !== undefined) return order === ">" ? (at) => at < now - span : (at) => at >= now - span;
  const [, sign, text] = /^(>=?|<)?(\d{4}-\d\d-\d\d|\d.*T.*(?:Z|[+-]\d\d:\d\d))$/.exec(value) ?? [];
  const from = Date.parse(text);
  if (!(from && (sign || text.length === 10))) return null;
  if (sign === "<") return (at) => at < from;
  return (at) => at >= from && (sign || at < from + 86400e3);
}

/** The same of `tls.expires:`, where an age lies ahead. @param {string} value @param {number} now */
export function expiryTest(value, now = Date.now()) {
  const [span, order] = age(value);
  const to = now + span;
  return { "<": (at) => at < to, ">": (at) => at >= to, "": (at) => at >= now && at <= to }[order] ?? seenTest(value, now);
}

/** An address as its family and its number. @param {string} address @returns {[string, bigint]} */
function number(address) {
  const key = addressKey(address);
  const digits = key.slice(1);
  return [key[0], key[0] === "6" ? BigInt("0x" + digits) : digits.match(/.{3}/g).reduce((sum, part) => sum * 256n + BigInt(part), 0n)];
}

const isOctet = (text) => /^(0|[1-9]\d{0,2})$/.test(text) && text < 256;
const isAddress = (text) => (text.includes(":") ? URL.canParse(`http://[${text}]`) : /^(\d+\.){3}\d+$/.test(text) && text.split(".").every(isOctet));

/** A test whether an address, or one of its names, is what a value of `host:` asks for; null for what is no such value. */
export function hostTest(value) {
  // The interface ends before a prefix or with the value: its name may hold a dash.
  const [, before, zone, after = ""] = /^([0-9a-f:.]+(?:-[0-9a-f:.]+)?)%([^/]+)(\/\d+)?$/i.exec(value) ?? [];
  if (zone) {
    const test = hostTest(before + after);
    return test && ((address, names) => address.endsWith(`%${zone}`) && test(address, names));
  }
  const [network, prefix] = value.split("/");
  if (prefix !== undefined) {
    if (!isAddress(network) || !/^\d{1,3}$/.test(prefix)) return null;
    const [family, wanted] = number(network);
    const most = family === "6" ? 128 : 32;
    if (prefix > most) return null;
    const below = BigInt(most - prefix);
    // An address inside a network is no network.
    if (wanted & ((1n << below) - 1n)) return null;
    return (address) => {
      const [of, found] = number(address);
      return of === family && found >> below === wanted >> below;
    };
  }
  const [first, last] = value.split("-");
  if (isAddress(first) && (last === undefined || isAddress(last))) {
    const [low, high] = [addressKey(first), addressKey(last ?? first)];
    if (low[0] !== high[0] || low > high) return null;
    return (address) => addressKey(address) >= low && addressKey(address) <= high;
  }
  if (/^[\d.,*-]+$/.test(value)) {
    const octets = value.split(".").map((octet) => octet.split(",").map((item) => {
      const [low, high = low || "?"] = item === "*" ? ["0", "255"] : item.split("-");
      return [low || "0", high || "255"];
    }));
    if (octets.length !== 4 || !octets.flat().every((ends) => ends.every(isOctet) && ends[0] - ends[1] <= 0)) return null;
    return (address) => !address.includes(":")
      && address.split(".").every((octet, i) => octets[i].some(([low, high]) => octet - low >= 0 && octet - high <= 0));
  }
  const name = value.toLowerCase().replace(/\.$/, "");
  const labels = name.split(".");
  if (!labels.every((label) => /^\w([\w-]{0,61}\w)?$/.test(label)) || /^\d+$/.test(labels.at(-1))) return null;
  // The first label is what people call a host.
  return (address, names = []) => names.some((known) => [known.replace(/\.+$/, ""), known.split(".")[0]].some((text) => text.toLowerCase() === name));
}

/** A value as it must be written. @param {string} value */
export const quoted = (value) => (/^[^\s",\\]+$/.test(value) ? value : `"${value.replace(/[\\"]/g, "\\$&")}"`);

/**
 * The query with a field's term set to these values, or without it where there are none.
 * @param {string} text @param {string} field @param {string[]} values
 */
export function withTerm(text, field, values) {
  let terms;
  try {
    terms = parse(text);
  } catch {
    terms = [];
  }
  const kept = terms.filter((term) => term.field !== field || term.not).map((term) => text.slice(term.start, term.end));
  if (values.length) kept.push(`${field}:${values.map(quoted).join(",")}`);
  return kept.join(" ");
}

/** The values that a query asks of a field; [] where it does not name it. */
export function valuesOf(text, field) {
  try {
    return parse(text).filter((term) => term.field === field && !term.not).flatMap((term) => term.values);
  } catch {
    return [];
  }
}
