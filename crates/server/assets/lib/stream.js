// One event stream a browser, whatever number of tabs: over HTTP/1.1 a browser opens six
// connections to a server, and the seventh tab would hang. The tab that holds a lock reads the
// stream for all and passes events on; when it goes, or is hidden for long, the next takes over
// at the event that was read last.

const NAME = "portolan-events";
const TYPES = ["hello", "update", "reset", "scan", "deleted", "end"];
const HIDDEN_FOR = 30_000;
const ANNOUNCE = 15_000;
const FORGET = 150_000;

const tab = Math.random().toString(36).slice(2);
const channel = new BroadcastChannel(NAME);
const listeners = new Map();
let lastId = "";
let state = "connecting";
const watchers = new Set();
/** Of the leader: what each tab wants, and when it said so. */
const wanted = new Map();
let source = null;
let topics = "";
let release = null;
let retry = null;

/**
 * Listens to topics of the server's stream. `listener` gets the type of an event and its data.
 * @param {string} topic @param {(type: string, data: any) => void} listener
 * @returns {() => void} stops listening
 */
export function subscribe(topic, listener) {
  if (!listeners.has(topic)) listeners.set(topic, new Set());
  listeners.get(topic).add(listener);
  start();
  announce();
  return () => {
    listeners.get(topic)?.delete(listener);
    if (!listeners.get(topic)?.size) listeners.delete(topic);
    announce();
  };
}

/** Tells whether the stream stands: "live", "connecting" or "lost". @param {(state: string) => void} watcher */
export function watch(watcher) {
  watchers.add(watcher);
  watcher(state);
}

function say(next) {
  state = next;
  for (const watcher of watchers) watcher(next);
}

function deliver(type, data) {
  for (const listener of listeners.get(data.topic) ?? []) listener(type, data);
}

function announce() {
  const mine = [...listeners.keys()];
  if (release) want(tab, mine);
  else channel.postMessage({ kind: "want", tab, topics: mine });
}

channel.onmessage = ({ data: message }) => {
  switch (message.kind) {
    case "want":
      if (release) want(message.tab, message.topics);
      break;
    case "who":
      announce();
      break;
    case "state":
      say(message.state);
      break;
    case "event":
      lastId = message.id || lastId;
      deliver(message.type, message.data);
      break;
  }
};

let started = false;
function start() {
  if (started) return;
  started = true;
  lead();
  setInterval(() => {
    announce();
    if (release) prune();
  }, ANNOUNCE);
  let hidden = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    // A hidden tab may be put to sleep; another one is to read then.
    if (document.hidden) hidden = setTimeout(() => release && wanted.size > 1 && stepDown(), HIDDEN_FOR);
    else announce();
  });
  addEventListener("pagehide", () => {
    channel.postMessage({ kind: "want", tab, topics: [] });
    if (release) stepDown(false);
  });
  addEventListener("pageshow", (event) => event.persisted && lead());
}

function lead() {
  navigator.locks.request(NAME, () => new Promise((done) => {
    release = done;
    wanted.clear();
    topics = "";
    channel.postMessage({ kind: "who" });
    announce();
  }));
}

function stepDown(again = true) {
  close();
  release();
  release = null;
  if (again) lead();
}

function want(who, list) {
  if (list.length) wanted.set(who, { list, at: Date.now() });
  else wanted.delete(who);
  connect();
}

function prune() {
  for (const [who, { at }] of wanted) if (who !== tab && Date.now() - at > FORGET) wanted.delete(who);
  connect();
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

function tell(next) {
  say(next);
  channel.postMessage({ kind: "state", state: next });
}

function connect(force = false) {
  const all = [...new Set([...wanted.values()].flatMap(({ list }) => list))].sort();
  const next = all.join(",");
  if (!force && next === topics) {
    // Another tab wants what is read already: it is told where the stream stands.
    if (source?.readyState === EventSource.OPEN) channel.postMessage({ kind: "state", state: "live" });
    return;
  }
  topics = next;
  close();
  if (!next) return;
  const address = new URL("/api/v1/events", location.origin);
  address.searchParams.set("topics", next);
  if (lastId) address.searchParams.set("last_event_id", lastId);
  source = new EventSource(address);
  source.onopen = () => tell("live");
  source.onerror = () => {
    tell("lost");
    // A refusal ends an EventSource for good: it is made anew, from where it was.
    if (source?.readyState === EventSource.CLOSED) retry = setTimeout(() => connect(true), 3000);
  };
  for (const type of TYPES) {
    source.addEventListener(type, (event) => {
      lastId = event.lastEventId || lastId;
      const data = JSON.parse(event.data || "{}");
      deliver(type, data);
      channel.postMessage({ kind: "event", type, data, id: lastId });
    });
  }
}
