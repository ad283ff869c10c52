import assert from "node:assert/strict";
import { test } from "node:test";
import { addressKey, ago, duration, percent, perSecond, plural, visible } from "../lib/text.js";

test("spans are said in two units at most", () => {
  assert.deepEqual([12, 420, 12_300, 60_000, 200_000, 7_500_000, 180_000_000].map(duration),
    ["12 ms", "0.4 s", "12 s", "1 min", "3 min 20 s", "2 h 5 min", "2 d 2 h"]);
});

test("what is not whole is not rounded up to it", () => {
  assert.equal(percent(0.99999), "99 %");
  assert.equal(percent(0.004), "0.40 %");
  assert.equal(percent(0), "0 %");
});

test("numbers and moments are said as people do", () => {
  assert.equal(plural(1, "port"), "1 port");
  assert.equal(plural(65535, "port"), "65,535 ports");
  assert.equal(perSecond(4.25), "4.3/s");
  assert.equal(ago(0, 5000), "just now");
  assert.equal(ago(0, 3 * 86_400_000), "3 days ago");
});

test("addresses sort by number, IPv4 first", () => {
  const sorted = ["2001:db8::10", "10.0.0.10", "::1", "10.0.0.9", "2001:db8::9"].sort((a, b) => (addressKey(a) < addressKey(b) ? -1 : 1));
  assert.deepEqual(sorted, ["10.0.0.9", "10.0.0.10", "::1", "2001:db8::9", "2001:db8::10"]);
  assert.equal(addressKey("::ffff:10.0.0.1"), addressKey("::ffff:a00:1"));
});

test("foreign text cannot hide or turn round what stands beside it", () => {
  assert.equal(visible("a\u001b[31m\u202eb\u0000"), "a␛[31m\\u{202e}b␀");
  assert.equal(visible("x".repeat(300)).length, 201);
});
