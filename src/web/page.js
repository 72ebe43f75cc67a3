// Asks for status.json once a second and shows it. Rates are differences between two answers, by the server's clock.
"use strict";

const PERIOD = 1000; // ms
const KEPT = 120; // answers: two minutes
const answers = [];

const byId = (id) => document.getElementById(id);

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function size(bytes) {
  if (bytes === null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
  return `${bytes >= 100 ? Math.round(bytes) : Number(bytes.toPrecision(3))} ${units[unit]}`;
}

function span(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24, minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

const number = (value) => value >= 1000 ? `${(value / 1000).toFixed(1)}k` : value >= 10 ? value.toFixed(0) : value.toFixed(1);

const nothing = { reads: 0, writes: 0, read: 0, written: 0, latency: 0 };

// What happened between two totals, per second. A node that was restarted counts from zero again.
function rates(before, after, ms) {
  if (!before || ms <= 0 || after.busy_ns < before.busy_ns) return nothing;
  const per = (key) => (after[key] - before[key]) * 1000 / ms;
  const ops = after.read_ops + after.write_ops - before.read_ops - before.write_ops;
  return {
    reads: per("read_ops"), writes: per("write_ops"), read: per("read_bytes") / 1e6, written: per("write_bytes") / 1e6,
    latency: ops > 0 ? (after.busy_ns - before.busy_ns) / ops / 1e6 : 0,
  };
}

// What a node counts: this one, or what the peer says of itself.
const side = (answer, whose) => whose === "peer" ? answer.peer_node : answer;

function totals(answer, whose, guid) {
  const node = side(answer, whose);
  if (!node || !guid) return node && node.io;
  const lu = node.lus.find((lu) => lu.guid === guid);
  return lu && lu.io;
}

// When the node said so.
const moment = (answer, whose) => answer.time_ms - (whose === "peer" && answer.peer_node ? answer.peer_node.age_ms : 0);

function load(before, after, whose, guid) {
  const now = totals(after, whose, guid);
  return now && before ? rates(totals(before, whose, guid), now, moment(after, whose) - moment(before, whose)) : nothing;
}

function history(whose, guid) {
  const points = [];
  for (let i = 1; i < answers.length; i += 1) points.push(load(answers[i - 1], answers[i], whose, guid));
  return points;
}

function draw(id, lines) {
  const svg = byId(id);
  const top = Math.max(...lines.flat(), 1e-9) * 1.1;
  svg.replaceChildren(...lines.map((values, i) => {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    const x = (k) => 480 - (values.length - 1 - k) * 480 / (KEPT - 1);
    line.setAttribute("points", values.map((value, k) => `${x(k).toFixed(1)},${(119 - value / top * 118).toFixed(1)}`).join(" "));
    line.setAttribute("class", i ? "second" : "first");
    return line;
  }));
}

function showLoad() {
  const points = history(byId("whose").value, byId("what").value);
  const of = (key) => points.map((point) => point[key]);
  draw("plot-bytes", [of("read"), of("written")]);
  draw("plot-ops", [of("reads"), of("writes")]);
  draw("plot-time", [of("latency")]);
  draw("plot-link", [answers.map((answer) => (answer.peer.round_trip_us ?? 0) / 1000)]);
  const now = points.at(-1);
  if (!now) return;
  byId("now-bytes").textContent = `Throughput: ${number(now.read)} MB/s read, ${number(now.written)} MB/s written`;
  byId("now-ops").textContent = `Commands: ${number(now.reads)} reads/s, ${number(now.writes)} writes/s`;
  byId("now-time").textContent = `Latency: ${now.latency.toFixed(2)} ms on average`;
}

function showNode(answer) {
  const node = answer.node;
  document.title = `${node.host}: stmfd`;
  byId("title").textContent = node.alua ? `${node.host} (node ${node.number})` : node.host;
  byId("node").textContent = `${node.operational}, configuration ${node.config}, ALUA ${node.alua ? "enabled" : "disabled"}, ` +
    `up ${span(node.uptime_s)}, release ${node.release}`;
  byId("here").textContent = node.alua ? `Node ${node.number} (this)` : "This node";
  byId("there").textContent = node.alua ? `Node ${1 - node.number} (peer)` : "Peer";
}

function showPeer(answer) {
  const peer = answer.peer;
  const state = !answer.node.alua ? ["not used: ALUA is disabled", ""] : peer.reachable ? ["reachable", "good"]
    : peer.channel ? ["unreachable", "bad"] : ["no channel: stmfproxy is not attached", "bad"];
  const facts = [
    ["Link", ...state],
    ["Kind", peer.original === null ? "not known" : peer.original ? "original" : "this software"],
    ["Last heard", peer.silent_ms === null ? "never" : `${(peer.silent_ms / 1000).toFixed(1)} s ago`],
    ["Round trip", peer.round_trip_us === null ? "not known" : `${(peer.round_trip_us / 1000).toFixed(2)} ms`],
    ["Up for", peer.up_s === null ? "not up" : span(peer.up_s)],
    ["Reconnects", String(peer.reconnects), peer.reconnects ? "warn" : ""],
    ["Mirroring", !peer.mirror ? "off" : peer.alike === null ? "on, not compared" : peer.alike ? "on, nodes alike" : "on, nodes differ", peer.mirror && peer.alike === false ? "bad" : ""],
    ["Messages waiting", String(peer.to_send)],
    ["Messages lost, dropped, refused", `${peer.lost}, ${peer.dropped}, ${peer.refused}`, peer.lost + peer.dropped ? "warn" : ""],
  ];
  const said = answer.peer_node;
  byId("now-link").textContent = peer.round_trip_us === null ? "Round trip: not known" : `Round trip: ${(peer.round_trip_us / 1000).toFixed(2)} ms`;
  byId("peer-node").textContent = !said ? "It has said nothing of itself." :
    `${said.node.host} (node ${said.node.number}): ${said.node.operational}, configuration ${said.node.config}, up ${span(said.node.uptime_s)}, ` +
    `${said.lu_count} logical units, ${said.session_count} sessions; as it said ${(said.age_ms / 1000).toFixed(1)} s ago`;
  byId("peer-node").className = said && said.age_ms > 5000 ? "warn" : "";
  byId("peer").replaceChildren(...facts.map(([name, value, kind]) => {
    const fact = document.createElement("div");
    fact.append(element("dt", name), element("dd", value, kind));
    return fact;
  }));
}

function atPeer(answer, lu) {
  const there = answer.peer_node && answer.peer_node.lus.find((other) => other.guid === lu.guid);
  if (there) return [there.access ?? "", there.access === "active" ? "good" : there.access === "standby" ? "" : "warn"];
  if (lu.owner === "local" && answer.node.alua) return answer.peer.reachable ? ["standby", ""] : ["not known", "warn"];
  return lu.owner === "peer" ? ["active", "good"] : ["", ""];
}

function row(cells, heading) {
  const made = document.createElement("tr");
  cells.forEach(([text, kind], i) => {
    const cell = element(i === 0 && heading ? "th" : "td", text, kind);
    if (i === 0 && heading) cell.scope = "row";
    made.append(cell);
  });
  return made;
}

function showLus(answer, before) {
  byId("lu-rows").replaceChildren(...answer.lus.map((lu) => {
    // The node that has the store executes all commands, those that the other one forwards too.
    const there = answer.peer_node && answer.peer_node.lus.find((other) => other.guid === lu.guid);
    const whose = lu.access !== "active" && there && there.access === "active" ? "peer" : "here";
    const now = load(before, answer, whose, lu.guid);
    const p99 = (ns) => ns === null ? "-" : (ns / 1e6).toFixed(2);
    const orphan = lu.access === "standby" && lu.owner === "unknown";
    return row([
      [lu.guid, "name"], [lu.alias], [size(lu.size ?? (there ? there.size : null)), "n"], [lu.state, lu.state === "online" ? "good" : "bad"],
      [orphan ? "standby, owner not known" : lu.access ?? "", orphan ? "bad" : lu.access === "active" ? "good" : lu.access === "standby" ? "" : "warn"],
      atPeer(answer, lu), [String(lu.views), "n"], [String(lu.sessions + (there ? there.sessions : 0)), "n"], [number(now.reads), "n"], [number(now.writes), "n"],
      [number(now.read + now.written), "n"], [now.latency.toFixed(2), "n"], [`${p99(lu.read_p99_ns)}, ${p99(lu.write_p99_ns)}`, "n"], [String(lu.io.errors), lu.io.errors ? "n warn" : "n"],
    ], true);
  }));
  byId("lu-more").textContent = answer.lu_count > answer.lus.length ? `${answer.lus.length} of ${answer.lu_count} are shown.` : "";
  const what = byId("what"), known = new Set([...what.options].map((option) => option.value));
  for (const lu of answer.lus) {
    if (!known.has(lu.guid)) what.append(new Option(`${lu.guid} ${lu.alias}`, lu.guid));
  }
}

function showTargets(answer) {
  const told = answer.peer_node ? answer.peer_node.targets.filter((target) => !target.of_peer) : [];
  byId("target-rows").replaceChildren(...answer.targets.map((target) => {
    // Of its own targets the peer knows more than this node, which only sees what it forwards.
    const known = target.of_peer && told.find((other) => other.name === target.name) || target;
    const initiators = known.sessions.map((session) => `${session.initiator}${session.alias ? ` (${session.alias})` : ""}`);
    return row([
      [target.name, "name"], [target.alias], [target.of_peer ? "peer" : "this"], [target.state, target.state === "online" ? "good" : "bad"],
      [String(known.session_count), "n"], [initiators.join(", ")],
    ], true);
  }));
}

function show(answer) {
  const before = answers.at(-1);
  if (before && before.node.uptime_s > answer.node.uptime_s) answers.length = 0;
  answers.push(answer);
  if (answers.length > KEPT + 1) answers.shift();
  showNode(answer);
  showPeer(answer);
  showLus(answer, before);
  showTargets(answer);
  showLoad();
}

let heard = null;

// Only changes are said, so that a screen reader is not kept talking.
function contact(text, good) {
  const place = byId("contact");
  if (place.textContent !== text) place.textContent = text;
  place.className = good ? "good" : "bad";
  document.body.classList.toggle("old", !good);
}

async function ask() {
  try {
    const response = await fetch("status.json", { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`${response.status}`);
    const answer = await response.json();
    heard = new Date();
    show(answer);
    contact("Live", true);
  } catch (error) {
    contact(heard ? `No answer from stmfd since ${heard.toLocaleTimeString()}` : `No answer from stmfd (${error.message})`, false);
  }
  setTimeout(ask, PERIOD);
}

for (const choice of ["what", "whose"]) byId(choice).addEventListener("change", showLoad);
ask();
