/*
 * Jobs beside each other: those that differ in nothing but the seed are one group, drawn as its mean with a band of one standard
 * deviation (of the sample) about it. Seeds may have been thinned to different iterations, so each is interpolated to one grid first, and a
 * group's mean goes as far as its shortest curve.
 */
import { get } from "./api.js";
import { chart, PALETTE, smooth } from "./charts.js";
import { attempt, framed, h, jobName, number, percent, ruleName } from "./dom.js";
import { jobOf, jobPut, jobsNewest, onEvent, onJobs } from "./jobs.js";

const GRID = 400,
  POINTS = 1000,
  AGAIN = 1500; // ms between two readings of a curve that grows

function stable(value) {
  if (Array.isArray(value)) return `[${value.map(stable).join()}]`;
  if (value && typeof value === "object")
    return `{${Object.keys(value)
      .sort()
      .map((k) => `${k}:${stable(value[k])}`)
      .join()}}`;
  return JSON.stringify(value);
}
/* Where a run stops does not make it another experiment, nor how often it is saved. */
const groupKey = (job) => stable([job.task, job.network, job.rule, job.optimizer, job.training.batch_size, job.training.evaluate_every]);

/** Groups in the order of their first job: {key, label, jobs}. */
export function groupsOf(jobs) {
  const groups = new Map();
  for (const job of jobs) {
    const key = groupKey(job);
    if (!groups.has(key)) groups.set(key, { key, label: `${ruleName(job)} · ${job.task.type}`, jobs: [] });
    groups.get(key).jobs.push(job);
  }
  const list = [...groups.values()],
    seen = {};
  for (const group of list) {
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

function band(curves, key, x, log) {
  const values = curves.map((c) => interpolate(c.iteration, c[key], x));
  if (!values.length || values.some((v) => v === null || v === undefined)) return null;
  const [mean, deviation] = spread(values),
    low = mean - deviation;
  return [log ? Math.max(low, Math.min(...values)) : low, mean, mean + deviation];
}

function rowsOf(groups, curves, key, span, log) {
  const known = groups.map((g) =>
    g.jobs
      .map((j) => curves.get(j.id))
      .filter((c) => c && c.iteration.length && c[key] && c[key].some((v) => v !== null))
      .map((c) => ({ iteration: c.iteration, [key]: smooth(c[key], span) })),
  );
  const end = Math.max(0, ...known.flat().map((c) => c.iteration.at(-1)));
  const grid = new Set(Array.from({ length: GRID + 1 }, (_, i) => Math.round((end * i) / GRID)));
  return end ? [...grid].map((x) => [x, ...known.map((list) => band(list, key, x, log))]) : [];
}

function tableOf(groups) {
  const head = ["", "Group", "Seeds", "Ended", "Loss, mean ± sd", "Accuracy, mean ± sd", "Best accuracy"];
  const said = (values, write) => {
    if (!values.length) return "–";
    const [m, s] = spread(values);
    return values.length > 1 ? `${write(m)} ± ${write(s)}` : write(m);
  };
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Groups" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((text) => h("th", { scope: "col" }, text || h("span", { class: "hidden" }, "Colour"))),
        ),
      ),
      h(
        "tbody",
        {},
        groups.map((group, i) => {
          const values = (key) => group.jobs.map((j) => j.metrics[key]).filter((v) => v !== null && v !== undefined);
          const swatch = h("span", { class: "swatch" });
          swatch.style.background = PALETTE[i % PALETTE.length];
          const accuracy = values("accuracy");
          return h(
            "tr",
            {},
            h("td", {}, swatch),
            h("th", { scope: "row" }, group.label),
            h(
              "td",
              {},
              group.jobs.map((job, k) => [k ? " " : "", h("a", { href: `#/jobs/${job.id}`, title: jobName(job) }, String(job.seed))]),
            ),
            h("td", { class: "num" }, `${group.jobs.filter((j) => j.finished_at).length} of ${group.jobs.length}`),
            h(
              "td",
              { class: "num" },
              said(values("loss"), (v) => number(v)),
            ),
            h("td", { class: "num" }, said(accuracy, percent)),
            h("td", { class: "num" }, accuracy.length ? percent(Math.max(...accuracy)) : "–"),
          );
        }),
      ),
    ),
  );
}

function emptyShow(place) {
  const draw = framed(() => {
    const groups = groupsOf(jobsNewest())
      .filter((g) => g.jobs.length > 1)
      .slice(0, 30);
    place.replaceChildren(
      h("h1", {}, "Compare"),
      h("p", {}, "Choose jobs in the ", h("a", { href: "#/" }, "list"), ", or a group of seeds:"),
      groups.length
        ? h(
            "ul",
            { class: "plain" },
            groups.map((g) =>
              h("li", {}, h("a", { href: `#/compare/${g.jobs.map((j) => j.id).join(",")}` }, `${g.label}, ${g.jobs.length} seeds`)),
            ),
          )
        : h("p", { class: "empty" }, "No two jobs differ in their seed alone yet. The form can submit several seeds at once."),
    );
  });
  draw();
  return onJobs(draw);
}

/** Shows the jobs `ids` in `place`; returns what ends the view. */
export function compareShow(place, ids) {
  if (!ids.length) return emptyShow(place);
  const curves = new Map(),
    wanted = new Set(ids),
    due = new Set(ids);
  let groups = [],
    charts = null,
    ended = false,
    timer = 0,
    count = -1;
  const log = h("input", { type: "checkbox", id: "log", onchange: () => draw() });
  const span = h("input", { type: "range", id: "smooth", min: 1, max: 20, value: 1, oninput: () => draw() });
  const stage = h("div", { class: "charts" }),
    table = h("div", {});
  const build = () => {
    if (charts) charts.forEach((c) => c.destroy());
    const labels = ["iteration", ...groups.map((g) => g.label)],
      options = { customBars: true, fillAlpha: 0.2 };
    charts = [chart("Loss", labels, options), chart("Accuracy", labels, { ...options, valueRange: [0, 1.03] })];
    stage.replaceChildren(...charts.map((c) => c.element));
    count = groups.length;
  };
  const draw = framed(() => {
    if (ended) return;
    groups = groupsOf(ids.map(jobOf).filter(Boolean));
    if (groups.length !== count) build();
    charts[0].set(rowsOf(groups, curves, "loss", Number(span.value), log.checked), { logscale: log.checked });
    charts[1].set(rowsOf(groups, curves, "accuracy", Number(span.value), false));
    table.replaceChildren(tableOf(groups));
  });
  const read = async () => {
    timer = 0;
    const list = [...due];
    due.clear();
    for (let i = 0; i < list.length && !ended; i += 4) {
      await Promise.all(
        list.slice(i, i + 4).map((id) =>
          attempt(async () => {
            if (!jobOf(id)) jobPut(await get(`/v1/jobs/${id}`));
            curves.set(id, await get(`/v1/jobs/${id}/metrics?points=${POINTS}&keys=loss,accuracy`));
          }),
        ),
      );
      draw();
    }
  };
  place.replaceChildren(
    h(
      "div",
      { class: "section" },
      h("h1", {}, `Compare ${ids.length} ${ids.length === 1 ? "job" : "jobs"}`),
      h("span", { class: "controls" }, log, h("label", { for: "log" }, "log scale"), h("label", { for: "smooth" }, "smoothing"), span),
    ),
    stage,
    h("p", { class: "hint" }, "Lines are means over seeds, bands one standard deviation either side."),
    table,
  );
  read();
  const endJobs = onJobs((id) => {
    if (id === null || wanted.has(id)) draw();
  });
  const endEvents = onEvent((event) => {
    if (!wanted.has(event.job) || event.type !== "progress") return;
    due.add(event.job);
    if (!timer) timer = setTimeout(read, AGAIN);
  });
  return () => {
    ended = true;
    clearTimeout(timer);
    endJobs();
    endEvents();
    if (charts) charts.forEach((c) => c.destroy());
  };
}
