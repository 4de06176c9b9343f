// All that is known of the selected event.

function showDetails() {
  const box = $("details");
  box.scrollTop = 0;
  if (state.selected < 0) {
    box.replaceChildren(el("p", { class: "empty" }, "Select an event: click it in the picture or in the list, or press → to begin."));
    return;
  }
  const event = events[state.selected];
  box.replaceChildren(
    el("h2", { class: event.tone }, heading(event)),
    facts(event),
    ways(state.selected),
    ...faultDetails(state.selected),
    ...(event.rows ?? []).flatMap(rowDetails),
    ...messageDetails(state.selected),
    ...fieldDetails(event),
  );
}

function heading(event) {
  const where = laneName(event);
  const peer = event.message?.peer === undefined ? "" : lanes[event.message.peer].name;
  if (event.kind === "send") return `${where} → ${peer}: ${event.label}`;
  if (event.kind === "arrival") return `${where} ← ${event.text}`;
  if (event.kind === "commit") return `${where} commits`;
  return where ? `${where}: ${event.label}` : event.text;
}

function facts(event) {
  const list = el("dl");
  const fact = (name, ...value) => value.some(Boolean) && list.append(el("dt", {}, name), el("dd", {}, ...value));
  const before = events[state.selected - 1];
  const since = before ? `  (${duration(event.at - before.at)} after the event before)` : "";
  fact("at", el("code", {}, `${seconds(event.at)} s`), since);
  fact("event", `${state.selected} of ${events.length}`);
  const message = event.message;
  if (event.kind === "send") {
    const late = message.latency === undefined ? "" : `, ${duration(message.latency)} under way`;
    fact("fate", FATES[fateOf(event)] ?? message.fate, late);
  }
  if (message) fact("connection", `#${message.connection}`);
  fact("operation", event.op && el("code", {}, event.op));
  fact("saga", event.saga && el("button", { type: "button", title: "Show this saga only (s)", onclick: () => filterBySaga(event.saga) }, event.saga));
  fact("request id", event.request && el("code", {}, event.request));
  fact("trace id", event.trace && el("code", {}, event.trace));
  fact("file", event.file);
  for (const lock of event.locks ?? []) {
    fact("lock", `${lock.turn} on `, el("code", {}, lock.of), lock.owner ? " by " : "", lock.owner ? el("code", {}, lock.owner) : "");
  }
  const named = violations.filter((_, index) => concernedBy[index].has(state.selected));
  if (named.length) fact("names", named.map((broken) => broken.entities.join(", ")).join("; "));
  return list;
}

/** Buttons to what belongs to an event. */
function ways(index) {
  const event = events[index];
  const box = el("div", { class: "ways" });
  const way = (text, to) =>
    to !== undefined && to !== null && box.append(el("button", { type: "button", onclick: () => select(to, { from: "details" }) }, text));
  const message = event.message;
  if (event.kind === "send" && message.other !== undefined) way(`arrives at ${seconds(events[message.other].at)}`, message.other);
  if (event.kind === "arrival" && message.other !== undefined) way(`sent at ${seconds(events[message.other].at)}`, message.other);
  if (message?.answers !== undefined) way("its request", message.answers);
  way("its answer", answerTo(messageOf(index)));
  for (const span of spans) {
    if (span.first === index && span.last !== null && span.kind === "call") way(`ends at ${seconds(span.to)}: ${span.outcome}`, span.last);
    if (span.last === index && span.kind === "call") way(`invoked at ${seconds(span.from)}`, span.first);
  }
  return box.childElementCount ? box : "";
}

const answers = new Map();
events.forEach((event, index) => {
  const request = event.message?.answers;
  if (event.kind === "send" && request !== undefined && !answers.has(request)) answers.set(request, index);
});

function answerTo(request) {
  return request === undefined ? undefined : answers.get(request);
}

function faultDetails(index) {
  const fault = faults[faultAt.get(index)];
  if (!fault) return [];
  const lasts = fault.to > fault.from ? `lasts ${duration(fault.to - fault.from)}; ` : "";
  return [el("p", {}, `${lasts}${fault.effective ? "effective: it touched something" : "it touched nothing"}`)];
}

function rowDetails(row) {
  const parts = [el("h3", {}, el("code", {}, `${row.table}/${row.key}`), el("span", { class: "turn" }, row.turn))];
  if (row.fields) {
    const line = ([path, before, after]) =>
      el(
        "tr",
        {},
        el("td", {}, path),
        el("td", {}, before === null ? "" : el("span", { class: "was" }, scalar(before)), before === null || after === null ? "" : " ", after === null ? "" : el("span", { class: "is" }, scalar(after))),
      );
    parts.push(el("table", { class: "diff" }, el("tbody", {}, ...row.fields.map(line))));
    if (row.value) parts.push(el("details", {}, el("summary", {}, "the whole row"), el("pre", {}, pretty(row.value))));
  } else if (row.value) {
    parts.push(el("pre", {}, pretty(row.value)));
  }
  return parts;
}

function messageDetails(index) {
  const send = messageOf(index);
  const bytes = send === undefined ? undefined : events[send].message.bytes;
  if (!bytes) return [];
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return [el("h3", {}, "bytes"), el("pre", {}, bytes)];
  const body = bytes.slice(end + 4);
  return [
    el("h3", {}, "head"),
    el("pre", {}, bytes.slice(0, end).replaceAll("\r\n", "\n")),
    ...(body ? [el("h3", {}, "body"), el("pre", {}, pretty(body))] : []),
  ];
}

function fieldDetails(event) {
  if (!event.fields) return event.kind === "violation" || event.kind === "disk" || event.kind === "fault" ? [el("pre", {}, event.text)] : [];
  return [el("h3", {}, event.kind === "log" || event.kind === "saga" ? "fields" : "detail"), el("pre", {}, event.fields)];
}

function scalar(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** JSON with line breaks; other text as it is. Every token stays as it was: large numbers keep their digits. */
function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  let depth = 0;
  let out = "";
  tokens.forEach((token, place) => {
    const closes = token === "}" || token === "]";
    const line = () => `\n${"  ".repeat(depth)}`;
    if (closes) {
      depth--;
      if (!"{[".includes(tokens[place - 1])) out += line();
    }
    out += token;
    if (token === "{" || token === "[") {
      depth++;
      if (!"}]".includes(tokens[place + 1])) out += line();
    }
    if (token === ",") out += line();
    if (token === ":") out += " ";
  });
  return out;
}
