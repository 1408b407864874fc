/*
 * Columns of the list of jobs: its own, and those that a saved view names, which may be any field of a job's document, also by
 * the names that queries have for it (server/QUERIES.md).
 */
import { ruleStyle, swatch } from "./colours.js";
import { badge, clock, h, jobName, lossText, percent, ruleName, statusOf, taskName } from "./dom.js";
import { ENDED } from "./actions.js";

export const STATUSES = ["queued", "running", "paused", ...ENDED];

function nameCell(job) {
  const tags = (job.tags ?? []).map((tag) => [" ", h("span", { class: "tag" }, tag)]);
  return h("a", { href: `#/jobs/${job.id}`, title: [jobName(job), ...(job.tags ?? [])].join(" · ") }, jobName(job), tags);
}
function progressCell({ progress: { fraction } }) {
  const fill = h("span", {});
  fill.style.width = `${100 * fraction}%`;
  return [h("span", { class: "bar" }, fill), h("span", { class: "num" }, `${Math.floor(100 * fraction)} %`)];
}

/** By name: heading, what a cell shows, what a job is sorted by, the least width in rem and the share of what is left, and whether it is a number. */
const COLUMNS = {
  name: ["Name", nameCell, (job) => jobName(job).toLowerCase(), 8, 2],
  status: ["Status", (job) => badge(statusOf(job)), (job) => STATUSES.indexOf(job.status), 7, 0],
  task: ["Task", taskName, taskName, 6, 1],
  rule: ["Rule", (job) => [swatch(ruleStyle(job.rule.type)), " ", ruleName(job)], ruleName, 8, 1.3],
  seed: ["Seed", (job) => String(job.seed), (job) => job.seed, 4, 0, true],
  progress: ["Progress", progressCell, (job) => job.progress.fraction, 8, 0],
  loss: ["Loss", (job) => lossText(job), (job) => job.metrics.loss, 5, 0, true],
  accuracy: ["Accuracy", (job) => percent(job.metrics.accuracy), (job) => job.metrics.accuracy, 5.5, 0, true],
  time: ["Created", (job) => clock(job.created_at), (job) => job.id, 7.5, 0, true],
};
const ALIASES = new Map([
  ["created", "time"],
  ["created_at", "time"],
  ["progress.fraction", "progress"],
  ["metrics.loss", "loss"],
  ["metrics.accuracy", "accuracy"],
]);
/** Where a job's document has a field that queries call otherwise. */
const PATHS = new Map([
  ["started", "started_at"],
  ["finished", "finished_at"],
  ["iteration", "progress.iteration"],
  ["iterations", "progress.iterations"],
  ["error", "error.code"],
  ["data", "task.sha256"],
  ["units", "network.units"],
  ["dataset", "task.name"],
  ["config", "config_sha256"],
  ["tag", "tags"],
]);
/** Those that the list has by itself. */
export const OWN = Object.keys(COLUMNS);

/** A field of a job's document, null where it has none. */
export function fieldOf(job, name) {
  const path = PATHS.get(name) ?? name.replace(/^meta\./, "metadata.");
  return path.split(".").reduce((at, part) => (at !== null && typeof at === "object" && Object.hasOwn(at, part) ? at[part] : null), job) ?? null;
}
function words(value, name) {
  if (value === null || value === "") return "–";
  if (/(_at|^started|^finished)$/.test(name) && typeof value === "string") return clock(value);
  if (typeof value === "number") return String(Number.isInteger(value) ? value : Number(value.toPrecision(4)));
  if (Array.isArray(value)) return value.map((one) => words(one, "")).join(", ") || "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
const sortable = (value) => (["number", "string"].includes(typeof value) ? value : null);

/** The column of any name; what a job does not have is a dash. */
export function columnOf(name) {
  const key = ALIASES.get(name) ?? name,
    known = Object.hasOwn(COLUMNS, key) ? COLUMNS[key] : [name, (job) => words(fieldOf(job, name), name), (job) => sortable(fieldOf(job, name)), 6, 1];
  const [head, content, by, least, share, numeric = false] = known;
  return { name, kind: known === COLUMNS[key] ? key : "field", head, content, by, least, width: share ? `minmax(${least}rem, ${share}fr)` : `${least}rem`, numeric };
}
/** Those of a list that shows `names`; the name leads every row, whatever else is shown. */
export const columnsOf = (names) => ["name", ...(names ?? OWN).filter((name) => name !== "name")].map(columnOf);

/** Numbers, then texts, then what has neither, whichever the direction: 1 upwards, -1 downwards. */
export function compareBy(by, sign) {
  const rank = (value) => (value === null || value === undefined || Number.isNaN(value) ? 2 : typeof value === "number" ? 0 : 1);
  return (a, b) => {
    const x = by(a),
      y = by(b);
    if (rank(x) !== rank(y)) return rank(x) - rank(y);
    return rank(x) === 2 ? 0 : x < y ? -sign : x > y ? sign : 0;
  };
}
