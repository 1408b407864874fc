/*
 * What trains jobs beside this daemon's cores: workers, the processes elsewhere, and the daemon's device; and what each of them does now. The page reads the lists anew while it is in sight.
 */
import { get } from "./api.js";
import { bytes, clock, duration, integerText, h } from "./dom.js";
import { messageShow, loadInto } from "./load.js";

const EVERY = 5000; // ms
const SILENT = 30; // seconds from which silence is worth a word
const HEADS = ["Worker", "Pool", "Jobs", "Slots", "Cores", "Memory", "Instruction set", "Heard from", "Walltime left", "Since"];

const stateText = (worker) =>
  !worker.known ? "not since the daemon started" : worker.silent_seconds > SILENT ? `silent for ${duration(worker.silent_seconds)}` : "now";

function row(worker) {
  const cells = [
    worker.pool || "–",
    integerText(worker.running),
    integerText(worker.slots),
    integerText(worker.cores),
    bytes(worker.memory_bytes),
    worker.instruction_set || "–",
    stateText(worker),
    worker.seconds_left === null ? "–" : duration(worker.seconds_left),
    clock(worker.since),
  ];
  return h(
    "tr",
    {},
    h("th", { scope: "row", title: worker.id }, worker.external || worker.id.slice(0, 8)),
    cells.map((cell, i) => h("td", { "data-column": HEADS[i + 1] }, cell)),
  );
}

const sum = (workers, field) => workers.reduce((total, worker) => total + worker[field], 0);

const DEVICE_HEADS = ["Device", "Used", "Jobs", "Cohorts", "Memory taken", "Memory", "Driver"];

function deviceRow(device) {
  const cells = [
    device.used ? "yes" : device.suitable ? "no" : `no: ${device.reason}`,
    integerText(device.jobs),
    integerText(device.cohorts),
    bytes(device.memory_taken_bytes),
    bytes(device.memory_bytes),
    device.driver,
  ];
  return h(
    "tr",
    {},
    h("th", { scope: "row", title: device.platform }, `opencl:${device.number} ${device.name}`),
    cells.map((cell, i) => h("td", { "data-column": DEVICE_HEADS[i + 1] }, cell)),
  );
}

function table(label, heads, rows) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows)),
  );
}

const devicesShown = (devices) => (devices.length ? [h("h1", {}, "Devices"), table("Devices", DEVICE_HEADS, devices.map(deviceRow))] : []);

function shown(place, workers, devices) {
  if (!workers.length && devices.length) {
    place.replaceChildren(...devicesShown(devices));
    return;
  }
  if (!workers.length) {
    messageShow(place, "No workers", "A worker trains jobs of this daemon on another machine:", h("p", {}, h("code", {}, `modpropd worker --server ${location.origin}`)));
    return;
  }
  const text = `${integerText(workers.length)} worker${workers.length === 1 ? "" : "s"} with ${integerText(sum(workers, "slots"))} slots, ${integerText(sum(workers, "running"))} in use.`;
  place.replaceChildren(
    h("h1", {}, "Workers"),
    h("p", {}, text),
    table("Workers", HEADS, workers.map(row)),
    ...devicesShown(devices),
  );
}

/** The page, until `signal`. */
export function workersShow(place, signal) {
  const read = async () => {
    const [{ workers }, { devices }] = await Promise.all([get("/v1/workers", signal), get("/v1/devices", signal)]);
    shown(place, workers, devices);
  };
  loadInto(place, "There are no workers", signal, read);
  const timer = setInterval(() => document.hidden || read().catch(() => {}), EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** Shows the link to the page where there is anything to see. */
export function workersLink(link) {
  Promise.all([get("/v1/workers"), get("/v1/devices")]).then(
    ([{ workers }, { devices }]) => {
      link.hidden = !workers.length && !devices.length;
      link.textContent = workers.length || !devices.length ? "Workers" : "Devices";
    },
    () => {},
  );
}
