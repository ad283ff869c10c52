import assert from "node:assert/strict";
import { test } from "node:test";
import { expiryTest, hostTest, parse, portRange, quoted, seenTest, valuesOf, withTerm } from "../lib/query.js";

const plain = (text) => parse(text).map(({ field, not, values }) => [not ? "-" : "", field, ...values]);

test("terms have a field, a sense and alternatives", () => {
  assert.deepEqual(plain('port:22,80 -host:10.0.0.1 product:"Open SSH" "free text" x'), [
    ["", "port", "22", "80"], ["-", "host", "10.0.0.1"], ["", "product", "Open SSH"], ["", null, "free text"], ["", null, "x"],
  ]);
});

test("quotes may hold quotes and backslashes", () => {
  assert.deepEqual(plain('"a\\"b\\\\c"'), [["", null, 'a"b\\c']]);
});

test("what cannot be read is said with its place", () => {
  for (const [text, offset] of [["port:70000", 5], ["state:open colour:red", 11], ["port:", 5], ['"open', 0], ["state:ajar", 6], ["proto:sctp", 6], ["seen:soon", 5], ["new:yes", 4], ["port<0", 4], ["tls.expires<soon", 11], ["tag:a/b", 4], ["changed:7y", 8]]) {
    assert.throws(() => parse(text), (error) => error.offset === offset, text);
  }
});

test("fields with an order are compared", () => {
  assert.deepEqual(plain("port<1024 -tls.expires<30d changed>7d service<x"), [
    ["", "port", "<1024"], ["-", "tls.expires", "<30d"], ["", "changed", ">7d"], ["", null, "service<x"],
  ]);
  assert.deepEqual([portRange("<1024"), portRange("<=22"), portRange(">65534"), portRange(">65535")], [[0, 1023], [0, 22], [65535, 65535], null]);
  const now = Date.parse("2026-11-01T00:00:00Z");
  const fits = (value, at) => expiryTest(value, now)(Date.parse(at));
  assert.ok(fits("<30d", "2020-01-01T00:00:00Z") && !fits("<30d", "2026-12-01T00:00:00Z"));
  assert.ok(fits(">30d", "2026-12-01T00:00:00Z") && fits("30d", "2026-11-20T00:00:00Z") && !fits("30d", "2020-01-01T00:00:00Z"));
  assert.ok(fits("<2026-12-31", "2026-12-30T00:00:00Z"));
});

test("ranges of ports are bounded and in order", () => {
  assert.deepEqual(portRange("8000-8999"), [8000, 8999]);
  for (const text of ["9-8", "65536", "-1", "a", "1-2-3", ""]) assert.equal(portRange(text), null, text);
});

test("times are days, moments and ages", () => {
  const now = Date.parse("2026-11-08T12:00:00Z");
  const fits = (value, at) => seenTest(value, now)(Date.parse(at));
  assert.ok(fits("2026-11-01", "2026-11-01T23:59:59Z"));
  assert.ok(!fits("2026-11-01", "2026-11-02T00:00:00Z"));
  assert.ok(fits(">2026-11-01", "2026-11-01T00:00:00Z"));
  assert.ok(!fits("<2026-11-01", "2026-11-01T00:00:00Z"));
  assert.ok(fits(">2026-11-01T10:00:00+02:00", "2026-11-01T08:00:00Z"));
  assert.ok(fits("7d", "2026-11-01T12:00:00Z"));
  assert.ok(!fits("7d", "2026-11-01T11:59:59Z"));
  for (const text of ["soon", "7", "7y", "2026-13-01", "2026-11-01T10:00:00Z", ""]) assert.equal(seenTest(text), null, text);
});

test("hosts are asked for by address, network, range, octets and name", () => {
  const fits = (value, address, names = []) => hostTest(value)(address, names);
  assert.ok(fits("10.0.0.0/24", "10.0.0.255"));
  assert.ok(!fits("10.0.0.0/24", "10.0.1.0"));
  assert.ok(fits("10.0.0.0/25", "10.0.0.127"));
  assert.ok(!fits("10.0.0.0/25", "10.0.0.128"));
  assert.ok(fits("2001:db8::/32", "2001:db8:0:1::5"));
  assert.ok(!fits("2001:db8::/32", "10.0.0.1"));
  assert.ok(fits("::1", "0:0:0:0:0:0:0:1"));
  assert.ok(fits("10.0.0.1-10.0.0.9", "10.0.0.5"));
  assert.ok(fits("10.0.0.1-50", "10.0.0.50"));
  assert.ok(!fits("10.0.0.1-50", "10.0.0.51"));
  assert.ok(fits("10.0.*.1,3", "10.0.200.3"));
  assert.ok(fits("web.lan", "10.0.0.1", ["WEB.lan"]));
  assert.ok(fits("fe80::1", "fe80::1%eth0"));
  assert.ok(fits("fe80::1%eth0", "fe80::1%eth0"));
  assert.ok(!fits("fe80::1%eth0", "fe80::1%eth1"));
  assert.ok(fits("fe80::%eth0/64", "fe80::7%eth0"));
  assert.ok(!fits("fe80::%eth0/64", "fe80::7%br-0"));
  assert.ok(fits("fe80::1-fe80::9%br-0", "fe80::7%br-0"));
});

test("a chip sets its field and leaves the rest as it was written", () => {
  assert.equal(withTerm('state:open "a b" port:22', "state", ["closed"]), '"a b" port:22 state:closed');
  assert.equal(withTerm("-state:open port:22", "state", []), "-state:open port:22");
  assert.equal(withTerm("", "service", ["my thing"]), 'service:"my thing"');
  assert.deepEqual(valuesOf("state:open,closed -state:filtered", "state"), ["open", "closed"]);
  assert.equal(quoted('a"b'), '"a\\"b"');
});
