/*
 * Jobs that differ in nothing but the seed are one group. What its seeds say together: mean, spread, and when they had learned.
 */
import { ruleName } from "./dom.js";

function stable(value) {
  if (Array.isArray(value)) return `[${value.map(stable).join()}]`;
  if (value && typeof value === "object")
    return `{${Object.keys(value)
      .sort()
      .map((k) => `${k}:${stable(value[k])}`)
      .join()}}`;
  return JSON.stringify(value) ?? "null";
}
/* Where a run stops does not make it another experiment, nor how often it is saved. */
const experiment = ({ task, network, rule, optimizer, training: { batch_size, evaluate_every } }) => ({
  task,
  network,
  rule,
  optimizer,
  training: { batch_size, evaluate_every },
});

/** A job's experiment as "section.name" -> value, without what ruleName says. */
function fields(job) {
  const flat = new Map();
  for (const [section, values] of Object.entries(experiment(job)))
    for (const [name, value] of Object.entries(values))
      flat.set(name === "type" && section !== "rule" ? section : `${section}.${name}`, value);
  for (const told of ["type", "mu", "weights", "feedback"]) flat.delete(`rule.${told}`);
  return flat;
}

/** Names of fields of which two jobs have different values; those that one lacks (of another task or rule) do not count. */
function differing(jobs) {
  const all = jobs.map(fields),
    names = new Set(all.flatMap((f) => [...f.keys()]));
  return [...names].filter((name) => new Set(all.filter((f) => f.has(name)).map((f) => stable(f.get(name)))).size > 1);
}

const plain = (value) => (typeof value === "string" ? value : stable(value));

/** Groups in the order of their first job: {key, label, jobs by seed}. A label is the rule and whatever else tells the groups apart. */
export function groupsOf(jobs) {
  const groups = new Map();
  for (const job of jobs) {
    const key = stable(experiment(job));
    if (!groups.has(key)) groups.set(key, { key, label: ruleName(job), jobs: [] });
    groups.get(key).jobs.push(job);
  }
  const list = [...groups.values()],
    names = differing(list.map((g) => g.jobs[0])),
    seen = {};
  for (const group of list) {
    group.jobs.sort((a, b) => a.seed - b.seed);
    const own = fields(group.jobs[0]);
    const told = names.filter((n) => own.has(n)).map((n) => (n === "task" ? own.get(n) : `${n.split(".").at(-1)}=${plain(own.get(n))}`));
    group.label = [group.label, ...told.slice(0, 3), ...(told.length > 3 ? ["…"] : [])].join(" · ");
    seen[group.label] = (seen[group.label] || 0) + 1;
    if (seen[group.label] > 1) group.label += ` (${seen[group.label]})`;
  }
  return list;
}

/** The value of a curve at x, linearly between its points; null outside. */
export function interpolate(xs, ys, x) {
  if (!xs.length || x < xs[0] || x > xs[xs.length - 1]) return null;
  let low = 0,
    high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  if (ys[low] === null || ys[high] === null) return null;
  return xs[high] === xs[low] ? ys[low] : ys[low] + ((ys[high] - ys[low]) * (x - xs[low])) / (xs[high] - xs[low]);
}

/** Mean and sample standard deviation. */
export function spread(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.length > 1 ? values.reduce((a, b) => a + (b - mean) ** 2, 0) / (values.length - 1) : 0;
  return [mean, Math.sqrt(variance)];
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b),
    half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** The iteration at which `evaluations` losses in a row under `below` begin; null where none do. */
export function learnedAt(curve, below, evaluations) {
  let run = 0;
  for (let i = 0; i < curve.iteration.length; i++) {
    run = curve.loss[i] !== null && curve.loss[i] < below ? run + 1 : 0;
    if (run === evaluations) return curve.iteration[i - evaluations + 1];
  }
  return null;
}
