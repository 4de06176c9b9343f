// The data of the run and words for it. An event is named by its place in `events`; times are nanoseconds.

const $ = (id) => document.getElementById(id);
const run = JSON.parse($("data").textContent);
const { events, lanes, sagas, spans, outages, faults, violations, ended } = run;

/** What can be filtered by; an event may belong to several. */
const KINDS = [
  { key: "message", name: "Messages" },
  { key: "connection", name: "Connections" },
  { key: "commit", name: "Commits" },
  { key: "lock", name: "Locks" },
  { key: "disk", name: "Disk" },
  { key: "saga", name: "Saga steps" },
  { key: "log", name: "Log lines" },
  { key: "client", name: "Client calls" },
  { key: "node", name: "Node life" },
  { key: "fault", name: "Faults" },
  { key: "violation", name: "Violations" },
];

function kindsOf(event) {
  if (event.kind === "send" || event.kind === "arrival") return ["message"];
  return event.locks ? [event.kind, "lock"] : [event.kind];
}

/** Path from the sagas' side: which sagas an event belongs to. */
const sagaMembers = new Map(sagas.map((saga) => [saga.id, new Set(saga.events)]));
const concernedBy = violations.map((broken) => new Set(broken.concerns));
const faultAt = new Map();
faults.forEach((fault, index) => fault.event !== null && faultAt.set(fault.event, index));

/** What became of a message: `sent`, `never` (sent, yet it never arrived), or what befell it. */
function fateOf(send) {
  const { fate, other } = send.message;
  return fate === "sent" && other === undefined ? "never" : fate;
}

const FATES = {
  sent: "arrives",
  delayed: "is late",
  duplicated: "comes twice",
  "held back": "is held back",
  lost: "is lost",
  reset: "is reset",
  never: "never arrives",
};

const state = {
  selected: -1,
  /** The violation that is looked at. */
  violation: 0,
  saga: "",
  text: "",
  hiddenNodes: new Set(),
  hiddenKinds: new Set(),
  concerned: false,
  scale: "compressed",
};

/** `12.003450`: cut, not rounded, as everywhere else a time is told. */
function seconds(ns) {
  return (Math.floor(ns / 1e3) / 1e6).toFixed(6);
}

/** `398 µs`, `24.2 ms`, `9.94 s`, `5 min 12 s` */
function duration(ns) {
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 1e6) return `${short(ns / 1e3)} µs`;
  if (ns < 1e9) return `${short(ns / 1e6)} ms`;
  if (ns < 60e9) return `${short(ns / 1e9)} s`;
  const whole = Math.round(ns / 1e9);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function short(number) {
  return number.toFixed(number < 10 ? 2 : number < 100 ? 1 : 0).replace(/\.?0+$/, (zeros) => (zeros.includes(".") ? "" : zeros));
}

function laneName(event) {
  if (event.lane !== undefined) return lanes[event.lane].name;
  return event.kind === "fault" ? "storm" : "";
}

/** An element with attributes and children. Text only ever becomes text. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== ""));
  return element;
}
