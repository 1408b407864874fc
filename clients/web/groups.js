/*
 * Jobs that differ in nothing but the seed are one group. What its seeds say together: median, quartiles, and when they had learned.
 *
 * Quantiles are those of the daemon (server/experiments/statistics.c) and of NumPy: linear between the ranks. A seed that never learned counts as
 * infinite and is never dropped, as in `modprop compare`.
 */
import { ruleName } from "./dom.js";

/** Points that a curve is thinned to. */
export const POINTS = 2000;
const GRID = 400;

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

const LABEL_VALUE = 24; // characters; weights given as a value may have megabytes

function plain(value) {
  const text = typeof value === "string" ? value : stable(value);
  return text.length > LABEL_VALUE ? `${text.slice(0, LABEL_VALUE - 1)}…` : text;
}

/** Groups in the order of their first job: {key, rule, label, jobs by seed}. A label is the rule and whatever else tells the groups apart. */
export function groupsOf(jobs) {
  const groups = new Map();
  for (const job of jobs) {
    const key = stable(experiment(job));
    if (!groups.has(key)) groups.set(key, { key, rule: job.rule.type, label: ruleName(job), jobs: [] });
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

/** One job a seed, the one that went furthest: the same seed twice is the same run twice, and would make the spread look smaller than it is. */
export function oncePerSeed(jobs) {
  const furthest = new Map();
  for (const job of jobs) {
    const other = furthest.get(job.seed);
    if (!other || job.progress.iteration > other.progress.iteration) furthest.set(job.seed, job);
  }
  return [...furthest.values()];
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
  if (x === xs[low]) return ys[low];
  if (x === xs[high]) return ys[high];
  if (ys[low] === null || ys[high] === null) return null;
  return ys[low] + ((ys[high] - ys[low]) * (x - xs[low])) / (xs[high] - xs[low]);
}

/** Mean and sample standard deviation. */
export function spread(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.length > 1 ? values.reduce((a, b) => a + (b - mean) ** 2, 0) / (values.length - 1) : 0;
  return [mean, Math.sqrt(variance)];
}

/** The share `p` of values in ascending order; infinite where the rank falls beside an infinite one. */
export function quantile(sorted, p) {
  const rank = p * (sorted.length - 1),
    below = Math.floor(rank),
    part = rank - below;
  if (part === 0) return sorted[below];
  return Number.isFinite(sorted[below + 1]) ? sorted[below] + part * (sorted[below + 1] - sorted[below]) : sorted[below + 1];
}

/** Median and quartiles of curves at x: [lower, median, upper], never outside what was measured; null where one of them has no value. */
function band(curves, key, x) {
  const values = curves.map((c) => interpolate(c.iteration, c[key], x));
  if (!values.length || values.some((v) => v === null || v === undefined)) return null;
  values.sort((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((p) => quantile(values, p));
}

/** The iterations of all these curves, in order; of curves that were thinned to too many different ones, even steps. */
export function gridOf(curves) {
  const all = [...new Set(curves.flatMap((c) => c.iteration))].sort((a, b) => a - b),
    end = all.at(-1) ?? 0;
  return all.length <= POINTS ? all : [...new Set(Array.from({ length: GRID + 1 }, (_, i) => Math.round((end * i) / GRID)))];
}

/** A group's median and quartiles where its own seeds stand: what gives [lower, median, upper] at any x. */
export function bandOf(curves, key) {
  const own = gridOf(curves),
    found = own.map((x) => band(curves, key, x)),
    parts = [0, 1, 2].map((part) => found.map((values) => values && values[part]));
  return (x) => {
    const values = parts.map((part) => interpolate(own, part, x));
    return values.includes(null) ? null : values;
  };
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

/** How many of these curves learned, and the median iteration: infinite where so many never did that it is "never". */
export function learnedOf(curves, below, evaluations) {
  const at = curves.map((c) => learnedAt(c, below, evaluations) ?? Infinity).sort((a, b) => a - b);
  return { learned: at.filter(Number.isFinite).length, of: at.length, median: at.length ? quantile(at, 0.5) : null };
}
