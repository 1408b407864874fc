/*
 * Elements, formats, and the page's notices. Text always goes in as text nodes: nothing that a job holds (its name, its metadata)
 * is ever read as markup.
 */
/** An element: attributes by name, `on...` as listeners, `class`; children are nodes, strings, arrays, or null. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && ["value", "checked", "disabled", "hidden"].includes(key)) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

const WHOLE = new Intl.NumberFormat("en");
/** A whole number with commas. */
export const integerText = (value) => WHOLE.format(value);
/** A number in about `digits` significant digits; a dash where there is none. */
export function number(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(digits - 1).replace("e+", "e");
  if (Number.isInteger(value) || size >= 10 ** (digits - 1)) return integerText(Math.round(value));
  return String(Number(value.toPrecision(digits)));
}
/** A share in percent; the number and its sign stay on one line. */
export const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)}\u00a0%`);
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (value >= 1024 && step < 4) {
    value /= 1024;
    step++;
  }
  return `${step ? value.toFixed(1) : value} ${units[step]}`;
}
export function duration(seconds) {
  if (seconds === null || !(seconds >= 0)) return "–";
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}
/* Made once: making one takes longer than writing a hundred times. */
const TODAY = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  EARLIER = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short" });
export function clock(text) {
  if (!text) return "–";
  const time = new Date(text);
  return (time.toDateString() === new Date().toDateString() ? TODAY : EARLIER).format(time);
}

/** The task; data of one's own by their name. */
export const taskName = ({ task }) => (task.type === "dataset" && task.name ? `dataset ${task.name}` : task.type);
/** What a job is called where it has no name. */
export const jobName = (job) => job.name || `${taskName(job)} ${job.id.slice(-6)}`;
/** The rule with what tells it from its relatives. */
export function ruleName(job) {
  const rule = job.rule;
  let name = rule.type;
  if (rule.type === "modprop") name += ` μ=${rule.mu}`;
  if (rule.weights === "type") name += ` type×${job.network.types_per_sign * (job.network.dale ? 2 : 1)}`;
  if (rule.feedback && rule.feedback !== "symmetric") name += ` ${rule.feedback}`;
  return name;
}
/** What a list shows of a job: its status, or "diverged" where it succeeded at a loss above three times the first. */
export function statusOf(job) {
  return job.outcome === "diverged" ? "diverged" : job.status;
}
/** A job's last loss as it is: of an evaluation in which nothing counted there is none, and a job that diverged may have ended with one not finite. */
export function lossText(job, digits) {
  const { loss } = job.metrics;
  if (loss !== null || job.progress.iteration === 0) return number(loss, digits);
  return job.error?.code === "diverged" ? "not finite" : "none";
}
/** Status as a shape and a word: colour alone says nothing. */
export function badge(status) {
  return h("span", { class: `badge ${status}` }, h("span", { "aria-hidden": "true" }, MARKS[status] ?? "·"), ` ${status.replaceAll("_", " ")}`);
}

const MARKS = {
  complete: "✓",
  complete_with_failures: "!",
  queued: "○",
  running: "▶",
  pausing: "‖",
  paused: "‖",
  succeeded: "✓",
  failed: "!",
  diverged: "↗",
  cancelling: "×",
  cancelled: "×",
};

let clearing = 0;
/** Says something to the user for a while. */
export function notice(text, bad = false) {
  const place = $("notice");
  place.textContent = text;
  place.classList.toggle("bad", bad);
  place.classList.add("shown");
  clearTimeout(clearing);
  clearing = setTimeout(() => place.classList.remove("shown"), bad ? 8000 : 4000);
}
/** Copies a text. A page that did not come over a safe connection has no clipboard: then the text that `place` shows is selected. */
export async function copied(text, place) {
  if (!navigator.clipboard) {
    getSelection().selectAllChildren(place);
    notice("Selected; copy it with the keyboard");
    return;
  }
  await navigator.clipboard.writeText(text);
  notice("Copied");
}
/** Runs an action; tells its problem to the user. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") notice(error.sentence ? error.sentence() : String(error), true);
    return undefined;
  }
}

/**
 * Makes the children of `place` the elements of `items`, in their order. An element stays the same as long as its item's key does, and is written anew
 * only when its text of `state` changed: a press must not fall between two elements. `make(item)` gives {element, draw(item)}.
 */
export function listSync(place, items, { key, state, make }) {
  const known = (place.keyed ??= new Map()),
    wanted = new Set();
  let at = place.firstChild;
  for (const item of items) {
    const id = key(item),
      now = state(item),
      one = known.get(id) ?? { ...make(item), state: null };
    if (one.state !== now) one.draw(item);
    one.state = now;
    known.set(id, one);
    wanted.add(id);
    if (one.element === at) at = at.nextSibling;
    else place.insertBefore(one.element, at);
  }
  for (const [id, { element }] of known)
    if (!wanted.has(id)) {
      element.remove();
      known.delete(id);
    }
}

/** Calls `draw` at most once a frame. */
export function oncePerFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
