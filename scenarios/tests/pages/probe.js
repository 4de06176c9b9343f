// Uses the page as a person would and writes what came of it into the document. What goes wrong on the way is in
// `probeErrors`, which the head of the page under test begins.

const probed = {};
const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const byId = (id) => document.getElementById(id);
const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
/** What the address says, which follows a little later. */
const address = async (name) => {
  await new Promise((resolve) => setTimeout(resolve, 400));
  return new URLSearchParams(location.hash.slice(1)).get(name);
};
const selected = async () => Number(await address("e"));
const change = (element, value, type) => {
  element.value = value;
  element.dispatchEvent(new Event(type, { bubbles: true }));
};
const inPicture = () => byId("lanes").getAttribute("aria-label").match(/(\d+) events$/)[1];

async function probe() {
  const data = JSON.parse(byId("data").textContent);
  await frame();
  probed.events = data.events.length;
  probed.shown = byId("shown").textContent;
  probed.inPicture = Number(inPicture());
  probed.rows = document.querySelectorAll(".row-event").length;

  press("Home");
  press("ArrowRight");
  press("j");
  press("k");
  probed.afterSteps = await selected();
  const row = document.querySelector('.row-event[aria-selected="true"]');
  probed.rowOfStep = row?.id;
  probed.active = byId("list").getAttribute("aria-activedescendant");
  probed.spoken = byId("spoken").textContent !== "";

  press("v");
  probed.violation = data.events[await selected()].kind;

  const saga = data.sagas.reduce((most, one) => (one.events.length > most.events.length ? one : most), data.sagas[0]);
  if (saga) {
    change(byId("saga"), saga.id, "change");
    probed.sagaShown = Number(byId("shown").textContent.split(" ")[0].replace(",", ""));
    probed.sagaEvents = saga.events.length;
    press("Home");
    press("n");
    const own = new Set(saga.events);
    probed.stepsInSaga = own.has(await selected()) && data.events[await selected()].kind === "send";
    probed.sagaInAddress = (await address("saga")) === saga.id;
    press("Enter");
    probed.followed = data.events[await selected()].kind;
  }
  press("Escape");
  probed.afterEscape = byId("shown").textContent === probed.shown;

  const kinds = byId("kinds");
  [...kinds.querySelectorAll("button")].find((button) => button.textContent === "None").click();
  kinds.querySelector('input[data-key="commit"]').click();
  probed.commitsShown = byId("shown").textContent.split(" ")[0].replace(",", "");
  probed.commits = String(data.events.filter((event) => event.kind === "commit").length);
  press("Escape");

  byId("nodes").querySelector("input").click();
  probed.withoutFirstNode = Number(byId("shown").textContent.split(" ")[0].replace(",", ""));
  probed.ofOtherNodes = data.events.filter((event) => event.lane !== 0).length;
  press("Escape");

  change(byId("search"), "boots", "input");
  probed.found = Number(byId("shown").textContent.split(" ")[0].replace(",", ""));
  press("Escape");
  press("c");
  probed.concerned = Number(byId("shown").textContent.split(" ")[0].replace(",", ""));
  press("Escape");

  press("f");
  await frame();
  press("+");
  press("+");
  await frame();
  probed.zoomed = Number(inPicture()) < probed.inPicture;
  press("f");
  await frame();
  probed.fitted = Number(inPicture()) === probed.inPicture;
  for (const scale of ["even", "linear", "compressed"]) {
    change(byId("scale"), scale, "change");
    await frame();
  }
  probed.rescaled = Number(inPicture()) === probed.inPicture;

  const box = byId("lanes").getBoundingClientRect();
  let hits = 0;
  for (let x = 100; x < box.width; x += 3) {
    for (const y of [20, box.height / 3, box.height / 2]) {
      const pointer = { clientX: box.left + x, clientY: box.top + y, bubbles: true };
      byId("lanes").dispatchEvent(new PointerEvent("pointermove", pointer));
      hits += byId("tip").hidden ? 0 : 1;
    }
  }
  probed.tips = hits > 0;

  // Details of events of all kinds can be shown.
  press("Home");
  for (let index = 0; index < Math.min(data.events.length, 200); index++) press("ArrowRight");
  probed.images = document.querySelectorAll("img").length;
  probed.theme = document.documentElement.dataset.theme;
  press("t");
  await frame();
  probed.otherTheme = document.documentElement.dataset.theme;
  press("?");
  probed.help = byId("help").open && byId("keys").childElementCount > 20;
  byId("help").close();
}

probe()
  .catch((error) => probeErrors.push(String(error.stack)))
  .finally(() => {
    const report = document.createElement("pre");
    report.id = "probed";
    report.textContent = JSON.stringify({ ...probed, errors: probeErrors });
    document.body.append(report);
  });
