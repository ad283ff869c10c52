import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf, MOST_ROWS, reasonOf, Rows, stateOf } from "../lib/rows.js";

const item = (host, port, more = {}) => ({ host, port, protocol: "tcp", state: "open", reason: "syn-ack", at: "2026-01-02T03:04:05Z", ...more });
const shown = (rows, query, sort) => Array.from(rows.select(query, sort), (row) => `${rows.hosts[rows.host[row]].address}:${rows.portNumber(row)}`);

function sample() {
  const rows = new Rows((port) => (port === 443 ? "https" : ""));
  rows.add(item("10.0.0.10", 22, { service: { name: "ssh", product: "OpenSSH", version: "9.2" } }));
  rows.add(item("10.0.0.9", 443));
  rows.add(item("10.0.0.9", 53, { protocol: "udp", reason: "udp-response", service: { name: "domain" } }));
  rows.addRange({ host: "10.0.0.9", protocol: "tcp", ports: "20-22,80", state: "closed", reason: "reset" });
  return rows;
}

test("a service through TLS is marked, and only there", () => {
  const rows = sample();
  rows.service("10.0.0.9", 443, "tcp", { name: "http", tls: true });
  const shownAt = (query) => rows.shownService(rows.select(query)[0]);
  assert.equal(shownAt("port:443"), "http · TLS");
  assert.equal(rows.serviceName(rows.select("port:443")[0]), "http");
  assert.equal(shownAt("host:10.0.0.10"), "ssh");
});

test("a byte holds a state and a reason", () => {
  for (const state of ["open", "closed", "filtered", "open|filtered"]) {
    for (const reason of ["syn-ack", "no-response", "user-set"]) {
      const code = codeOf(state, reason);
      assert.ok(code > 0 && code < 65);
      assert.deepEqual([stateOf(code), reasonOf(code)], [state, reason]);
    }
  }
});

test("rows stand in the order of addresses as numbers, protocols and ports", () => {
  assert.deepEqual(shown(sample(), ""), ["10.0.0.9:20", "10.0.0.9:21", "10.0.0.9:22", "10.0.0.9:80", "10.0.0.9:443", "10.0.0.9:53", "10.0.0.10:22"]);
});

test("filters select by field, by sense and by text", () => {
  const rows = sample();
  assert.deepEqual(shown(rows, "state:open port:22"), ["10.0.0.10:22"]);
  assert.deepEqual(shown(rows, "-state:closed -host:10.0.0.10"), ["10.0.0.9:443", "10.0.0.9:53"]);
  assert.deepEqual(shown(rows, "product:openssh"), ["10.0.0.10:22"]);
  assert.deepEqual(shown(rows, "version:9"), ["10.0.0.10:22"]);
  assert.deepEqual(shown(rows, "service:http"), ["10.0.0.9:443"]);
  assert.deepEqual(shown(rows, "proto:udp"), ["10.0.0.9:53"]);
  assert.deepEqual(shown(rows, "reason:reset port:80-90"), ["10.0.0.9:80"]);
  assert.deepEqual(shown(rows, "openssh"), ["10.0.0.10:22"]);
  assert.deepEqual(shown(rows, "10.0.0.10"), ["10.0.0.10:22"]);
});

test("filters select by time and by what was not known before", () => {
  const rows = sample();
  rows.add(item("10.0.0.10", 8080, { new: true, at: "2026-03-01T00:00:00Z" }));
  assert.deepEqual(shown(rows, "new:true"), ["10.0.0.10:8080"]);
  assert.deepEqual(shown(rows, "new:false state:open port:22"), ["10.0.0.10:22"]);
  assert.deepEqual(shown(rows, "seen:>2026-02-01"), ["10.0.0.10:8080"]);
  assert.deepEqual(shown(rows, "seen:2026-01-02 port:22 state:open"), ["10.0.0.10:22"]);
});

test("a column sorts both ways, and ties stay by host and port", () => {
  const rows = sample();
  assert.deepEqual(shown(rows, "state:open", { key: "port", down: false }), ["10.0.0.10:22", "10.0.0.9:53", "10.0.0.9:443"]);
  assert.deepEqual(shown(rows, "state:open", { key: "service", down: true }), ["10.0.0.10:22", "10.0.0.9:443", "10.0.0.9:53"]);
});

test("what is told twice is one row, with what was said last", () => {
  const rows = sample();
  const before = rows.length;
  rows.add(item("10.0.0.9", 80));
  rows.service("10.0.0.9", 80, "tcp", { name: "http" });
  rows.add(item("10.0.0.9", 80));
  assert.equal(rows.length, before);
  assert.deepEqual(rows.counts, [4, 3, 0, 0]);
  assert.deepEqual(shown(rows, "state:open service:http port:80"), ["10.0.0.9:80"]);
});

test("a byte a port fills in what is not known yet and changes nothing else", () => {
  const rows = sample();
  const bytes = new Uint8Array(65536).fill(codeOf("filtered", "no-response"));
  bytes[0] = 0;
  rows.addBytes("10.0.0.9", "tcp", bytes);
  assert.deepEqual(rows.counts, [3, 4, 65535 - 5, 0]);
  const back = rows.bytes("10.0.0.9", "tcp");
  assert.equal(back[0], 0);
  assert.equal(stateOf(back[443]), "open");
  assert.equal(stateOf(back[80]), "closed");
  assert.equal(stateOf(back[9000]), "filtered");
});

test("maps of several hosts show the most open of each port", () => {
  const rows = sample();
  assert.equal(stateOf(rows.bytes(null, "tcp")[22]), "open");
  assert.equal(stateOf(rows.bytes("10.0.0.9", "tcp")[22]), "closed");
});

test("a service by the number of its port is meant where something may listen", () => {
  const rows = new Rows((port) => ({ 22: "ssh", 830: "netconf-ssh" })[port] ?? "");
  rows.add(item("10.0.0.1", 22));
  rows.add(item("10.0.0.1", 2222, { service: { name: "ssh", method: "probed" } }));
  rows.addRange({ host: "10.0.0.1", protocol: "tcp", ports: "830", state: "closed", reason: "reset" });
  assert.deepEqual(shown(rows, "service:ssh"), ["10.0.0.1:22", "10.0.0.1:2222"]);
  assert.deepEqual(shown(rows, "service:ssh state:closed"), ["10.0.0.1:830"]);
  assert.deepEqual(shown(rows, "-service:ssh"), ["10.0.0.1:830"]);
});

test("filters select by tag, by certificate and by what the server says of changes", () => {
  const rows = sample();
  rows.tags.set("10.0.0.10", ["prod"]);
  assert.deepEqual(shown(rows, "tag:Prod"), ["10.0.0.10:22"]);
  rows.scanTags = ["lab"];
  assert.equal(shown(rows, "tag:lab").length, rows.length);
  const facts = { "tls.cert.not-after": new Date(Date.now() + 10 * 86400e3).toISOString() };
  rows.service("10.0.0.9", 443, "tcp", { name: "http", tls: true, facts });
  assert.deepEqual(shown(rows, "tls.expires<30d"), ["10.0.0.9:443"]);
  assert.deepEqual(shown(rows, "tls.expires>30d"), []);
  assert.deepEqual(shown(rows, "changed:7d"), []);
  rows.decided.set("7d", new Set([rows.select("port:443")[0]]));
  assert.deepEqual(shown(rows, "changed:7d"), ["10.0.0.9:443"]);
});

test("beyond the room for rows the rest stays away, and what is open comes in", () => {
  const rows = new Rows();
  for (let host = 1; host <= 20; host += 1) rows.addRange({ host: `10.0.0.${host}`, protocol: "tcp", ports: "1-65535", state: "closed", reason: "reset" });
  assert.equal(rows.length, MOST_ROWS);
  assert.equal(rows.partial, true);
  const row = rows.add(item("10.0.0.20", 65535));
  assert.deepEqual(Array.from(rows.select("state:open")), [row]);
});
