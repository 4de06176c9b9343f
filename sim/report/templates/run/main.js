// Brings the page to life.

/** Selects an event and shows it everywhere. `from` says what the person looks at, which then stays as it is. */
function select(index, { from } = {}) {
  if (index === undefined || index < 0) return;
  state.selected = index;
  if (!filter.isShown[index]) clearFilters();
  list.reveal(index);
  showDetails();
  if (from !== "picture" && from !== "start") view.reveal(axis.places[index]);
  say(`${seconds(events[index].at)} seconds, ${laneName(events[index])}: ${events[index].text}`);
  if (from !== "start") writeAddress();
  redraw();
}

function say(text) {
  $("spoken").textContent = text;
}

/** The filter has changed. */
function refilter() {
  filter.apply();
  $("saga").value = state.saga;
  if (document.activeElement !== $("search")) $("search").value = state.text;
  $("concerned").setAttribute("aria-pressed", String(state.concerned));
  $("clear").disabled = !filter.isOn();
  showChoices();
  list.refresh();
  if (filter.isShown[state.selected]) list.reveal(state.selected);
  say($("shown").textContent);
  if (filter.isOn() || location.hash) writeAddress();
  redraw();
}

function filterBySaga(id) {
  state.saga = sagaMembers.has(id) ? id : "";
  refilter();
}

function clearFilters() {
  Object.assign(state, { saga: "", text: "", concerned: false });
  state.hiddenNodes.clear();
  state.hiddenKinds.clear();
  $("search").value = "";
  refilter();
}

/** Looks at another violation: what it concerns is ringed. */
function lookAt(index) {
  state.violation = index;
  document.querySelectorAll(".broken").forEach((element, at) => element.classList.toggle("current", at === index));
  refilter();
}

/** A menu of things that can be hidden one by one. */
function menu(id, entries, hidden) {
  const boxes = entries.map(({ key, name, count, icon }) => {
    const box = el("input", { type: "checkbox", "data-key": String(key) });
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(key);
      else hidden.add(key);
      refilter();
    });
    return el("label", {}, box, icon ?? "", el("span", {}, name), el("span", { class: "count" }, count.toLocaleString("en")));
  });
  const all = (on) => () => {
    hidden.clear();
    if (!on) entries.forEach(({ key }) => hidden.add(key));
    refilter();
  };
  const ends = el("div", { class: "row" }, el("button", { type: "button", onclick: all(true) }, "All"), el("button", { type: "button", onclick: all(false) }, "None"));
  $(id).append(...boxes, ends);
}

function showChoices() {
  for (const [id, hidden, total] of [
    ["nodes", state.hiddenNodes, lanes.length],
    ["kinds", state.hiddenKinds, KINDS.length],
  ]) {
    for (const box of $(id).querySelectorAll("input")) {
      const key = id === "nodes" ? Number(box.dataset.key) : box.dataset.key;
      box.checked = !hidden.has(key);
    }
    $(`${id}-count`).textContent = hidden.size ? `${total - hidden.size} of ${total}` : "all";
    $(`${id}-menu`).classList.toggle("limited", hidden.size > 0);
  }
}

const KIND_MARKS = {
  message: ["send", "request"],
  lock: ["taken", "lock"],
  node: ["up", "node"],
};

function fillMenus() {
  const counts = new Map();
  for (const event of events) for (const kind of kindsOf(event)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  menu(
    "kinds",
    KINDS.map(({ key, name }) => ({ key, name, count: counts.get(key) ?? 0, icon: glyphElement(...(KIND_MARKS[key] ?? [key, key])) })),
    state.hiddenKinds,
  );
  const own = lanes.map((_, index) => events.filter((event) => event.lane === index).length);
  menu("nodes", lanes.map(({ name }, key) => ({ key, name, count: own[key] })), state.hiddenNodes);
  const choice = (value, text) => el("option", { value }, text);
  $("saga").append(
    choice("", `all sagas (${sagas.length})`),
    ...sagas.map(({ id, op, events: own }) => choice(id, `${id}  ${op}  (${own.length})`)),
  );
  document.addEventListener("click", (click) => {
    for (const open of document.querySelectorAll(".menu[open]")) {
      if (!open.contains(click.target)) open.open = false;
    }
  });
}

function fillLegend() {
  const entries = [
    ["send", "request", "sent"],
    ["arrival", "answer", "arrives"],
    ["commit", "commit", "commit"],
    ["taken", "lock", "lock taken"],
    ["released", "lock", "released"],
    ["saga", "saga", "saga step"],
    ["log", "log", "log"],
    ["client", "client", "client"],
    ["disk", "disk", "disk"],
    ["down", "alarm", "node dies"],
    ["lost", "fault", "lost"],
    ["delayed", "fault", "late"],
    ["duplicated", "fault", "twice"],
    ["reset", "fault", "reset"],
    ["held back", "fault", "held back"],
    ["never", "fault", "never arrives"],
    ["violation", "violation", "violation"],
  ];
  const present = new Set(events.map((event) => markOf(event)[0]));
  for (const index of sends) present.add(fateOf(events[index]));
  const own = entries.filter(([glyph]) => present.has(glyph));
  $("legend").append(...own.map(([glyph, colour, text]) => el("span", {}, glyphElement(glyph, colour), text)));
}

function fillSummary() {
  document.querySelectorAll(".broken").forEach((element, index) => {
    const box = element.querySelector(".whose");
    for (const id of violations[index].sagas.slice(0, 4)) {
      box?.append(el("button", { type: "button", title: "Show this saga only", onclick: () => filterBySaga(id) }, id), " ");
    }
    element.querySelector(".jump").addEventListener("click", () => toViolation(index));
  });
  for (const button of document.querySelectorAll(".fault")) {
    const fault = faults[Number(button.dataset.fault)];
    button.disabled = fault.event === null;
    button.addEventListener("click", () => select(fault.event));
  }
}

/** Browsers refuse to have the address changed too often: a held key steps faster than that. */
const ADDRESS_MS = 250;
let addressTimer = 0;

/** `#e=123&saga=SAGA-1&q=text&concerned=0`: an address that shows the same. */
function writeAddress() {
  addressTimer ||= setTimeout(() => {
    addressTimer = 0;
    const parts = new URLSearchParams();
    if (state.selected >= 0) parts.set("e", String(state.selected));
    if (state.saga) parts.set("saga", state.saga);
    if (state.text) parts.set("q", state.text);
    if (state.concerned) parts.set("concerned", String(state.violation));
    history.replaceState(null, "", `#${parts}`);
  }, ADDRESS_MS);
}

function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const index = Number(parts.get("e") ?? NaN);
  const broken = Number(parts.get("concerned") ?? NaN);
  state.saga = sagaMembers.has(parts.get("saga")) ? parts.get("saga") : "";
  state.text = parts.get("q") ?? "";
  state.concerned = broken in violations;
  if (state.concerned) state.violation = broken;
  if (["dark", "light"].includes(parts.get("theme"))) setTheme(parts.get("theme"));
  refilter();
  if (!(index in events)) {
    if (state.selected < 0 && violations.length) select(violations[0].event ?? -1, { from: "start" });
    return;
  }
  if (view.whole) view.show(axis.places[index] - NEAR, axis.places[index] + NEAR);
  select(index);
}

/** An address that names an event shows so many units on either side of it. */
const NEAR = 60;

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  readColours();
  redraw();
}

function listen() {
  const on = (id, type, act) => $(id).addEventListener(type, act);
  on("search", "input", () => {
    state.text = $("search").value;
    refilter();
  });
  on("saga", "change", () => filterBySaga($("saga").value));
  on("concerned", "click", () => {
    state.concerned = !state.concerned && violations.length > 0;
    refilter();
  });
  on("clear", "click", clearFilters);
  on("scale", "change", () => view.rescale($("scale").value));
  on("zoom-in", "click", () => view.zoom(0.6, focusX()));
  on("zoom-out", "click", () => view.zoom(1 / 0.6, focusX()));
  on("fit", "click", () => view.fit());
  on("prev", "click", () => step(-1));
  on("next", "click", () => step(1));
  on("violation", "click", () => toViolation());
  on("help-open", "click", () => $("help").showModal());
  on("theme", "click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  on("fold", "click", () => {
    $("summary").hidden = !$("summary").hidden;
    $("fold").setAttribute("aria-expanded", String(!$("summary").hidden));
  });
  on("copy", "click", async () => {
    try {
      await navigator.clipboard.writeText($("replay").textContent);
      say("Copied");
    } catch {
      getSelection().selectAllChildren($("replay"));
    }
  });
  addEventListener("hashchange", readAddress);
  new ResizeObserver(() => {
    list.draw();
    redraw();
  }).observe($("scroller"));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  setTheme(dark.matches ? "dark" : "light");
}

fillMenus();
fillLegend();
fillSummary();
listen();
listenToKeys();
listenToList();
listenToPicture();
listenToOverview();
for (const id of ["concerned", "violation"]) $(id).disabled = violations.length === 0;
showDetails();
readAddress();
