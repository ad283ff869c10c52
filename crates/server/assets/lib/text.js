// Numbers, times and foreign text in words. Pure: runs under node as well.

/** 65535 -> "65,535" @param {number} n */
export const count = (n) => Math.round(n).toLocaleString("en-US");

/** "1 port", "2 ports" @param {number} n @param {string} one @param {string} [many] */
export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

/** Milliseconds as people say them: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min". @param {number} ms */
export function duration(ms) {
  const s = ms / 1000;
  if (s < 0.0995) return `${Math.max(0, Math.round(ms))} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const whole = Math.round(s);
  if (whole < 3600) return join(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86400) return join(Math.floor(whole / 3600), "h", Math.round((whole % 3600) / 60), "min");
  return join(Math.floor(whole / 86400), "d", Math.round((whole % 86400) / 3600), "h");
}

const join = (a, unitA, b, unitB) => (b ? `${a} ${unitA} ${b} ${unitB}` : `${a} ${unitA}`);

/** A round-trip time. @param {number} ms */
export const roundTrip = (ms) => (ms < 10 ? `${ms.toFixed(2)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** A share, 0 to 1. @param {number} share */
export const percent = (share) => (share > 0 && share < 0.01 ? `${(share * 100).toFixed(2)} %` : `${Math.floor(share * 100)} %`);

/** A rate in events a second. @param {number} rate */
export const perSecond = (rate) => `${rate >= 10 || rate === 0 ? count(rate) : rate.toFixed(1)}/s`;

/** Time of day in the reader's zone, to the second. @param {number|string} at */
export function clock(at) {
  const when = new Date(at);
  return isNaN(+when) ? "" : when.toLocaleTimeString("en-GB");
}

/** "just now", "5 min ago", "3 days ago". @param {number} then @param {number} now in ms */
export function ago(then, now) {
  const s = Math.max(0, Math.round((now - then) / 1000));
  if (s < 10) return "just now";
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  const days = Math.floor(s / 86400);
  return `${days} day${days === 1 ? "" : "s"} ago`;
}

/** Control and direction-changing characters made visible, and a bound on length. @param {string} text */
export function visible(text, most = 200) {
  const cut = text.length > most ? text.slice(0, most) + "…" : text;
  return cut.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : `\\u{${code.toString(16)}}`;
  });
}

/** An address as a sortable string: IPv4 before IPv6, by number, whatever its interface. @param {string} address */
export function addressKey(address) {
  if (!address.includes(":")) {
    return "4" + address.split(".").map((part) => part.padStart(3, "0")).join("");
  }
  let text = address.split("%")[0].toLowerCase();
  const tail = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (tail) {
    const [a, b, c, d] = tail.slice(2).map(Number);
    text = `${tail[1]}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  }
  const [head, rest] = text.split("::");
  const left = head ? head.split(":") : [];
  const right = rest ? rest.split(":") : [];
  const middle = rest === undefined ? [] : Array(Math.max(0, 8 - left.length - right.length)).fill("0");
  return "6" + [...left, ...middle, ...right].map((part) => part.padStart(4, "0")).join("");
}
