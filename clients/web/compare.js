/*
 * Jobs beside each other: each group of seeds (groups.js) drawn as its mean with a band of one standard deviation (of the sample) about it, and
 * on request every seed by itself, since seeds may differ more than rules do. Mean and spread are taken where the seeds were evaluated, and a band
 * goes straight from there to there: taken between evaluations, of values interpolated, the spread would come out too small. A long curve was
 * thinned, each seed's to iterations of its own: then there is no other way. A group's mean goes as far as its shortest curve.
 */
import { get } from "./api.js";
import { chart, linked, smooth, swatch } from "./charts.js";
import { attempt, framed, h, jobName, number, percent } from "./dom.js";
import { bandOf, gridOf, groupsOf, interpolate, learnedAt, median, oncePerSeed, POINTS, spread } from "./groups.js";
import { jobOf, jobPut, jobsLoaded, jobsNewest, onEvent, onJobs, onOpened } from "./jobs.js";
import { emptySay } from "./load.js";

const READERS = 4,
  AGAIN = 1500; // ms between two readings of a curve that grows
const SHOWN = [
  { key: "loss", title: "Loss" },
  { key: "accuracy", title: "Accuracy", percent: true, y: "masked steps answered right", options: { valueRange: [0, 1.03] } },
];

/** Rows over one grid: a column a group, then, with `each`, a column a seed. */
function rowsOf(groups, curves, what, { span, log, each }) {
  const { key } = what;
  const known = groups.map((g) =>
    g.jobs
      .map((j) => curves.get(j.id))
      .filter((c) => c && c.iteration.length && c[key] && c[key].some((v) => v !== null))
      .map((c) => ({ iteration: c.iteration, [key]: smooth(c[key], span) })),
  );
  const single = each ? groups.flatMap((g) => g.jobs.map((j) => curves.get(j.id))) : [];
  const smoothed = single.map((c) => c && c[key] && smooth(c[key], span));
  const grid = gridOf(known.flat()),
    bands = known.map((list) => bandOf(list, what, log));
  const alone = (c, i, x) => {
    const value = c && smoothed[i] ? interpolate(c.iteration, smoothed[i], x) : null;
    return value === null ? null : [value, value, value];
  };
  return grid.length > 1 ? grid.map((x) => [x, ...bands.map((at) => at(x)), ...single.map((c, i) => alone(c, i, x))]) : [];
}

function tableOf(groups, curves, below, evaluations) {
  const said = (values, write) => {
    if (!values.length) return "–";
    const [m, s] = spread(values);
    return values.length > 1 ? `${write(m)} ± ${write(s)}` : write(m);
  };
  const of = (group, key) => group.jobs.map((j) => j.metrics[key]).filter((v) => v !== null && v !== undefined);
  const learned = (group) => {
    const read = group.jobs.map((j) => curves.get(j.id)).filter(Boolean),
      at = read.map((c) => learnedAt(c, below, evaluations)).filter((v) => v !== null);
    return `${at.length} of ${read.length}${at.length ? `, median ${number(median(at), 4)}` : ""}`;
  };
  const links = (group) =>
    h(
      "span",
      {},
      group.jobs.map((job, k) => [k ? " " : "", h("a", { href: `#/jobs/${job.id}`, title: jobName(job) }, String(job.seed))]),
    );
  const columns = [
    [h("span", { class: "hidden" }, "Colour"), (g, i) => swatch(i)],
    ["Group", null],
    ["Seeds", links, "seeds"],
    ["Ended", (g) => `${g.jobs.filter((j) => j.finished_at).length} of ${g.jobs.length}`],
    ["Loss, mean ± sd", (g) => said(of(g, "loss"), (v) => number(v))],
    ["Accuracy, mean ± sd", (g) => said(of(g, "accuracy"), percent)],
    ["Learned at iteration", learned],
  ];
  const cells = (group, i) =>
    columns.map(([text, write, kind]) =>
      write
        ? h("td", { class: `num${kind ? ` ${kind}` : ""}`, "data-column": typeof text === "string" ? text : null }, write(group, i))
        : h("th", { scope: "row" }, group.label),
    );
  return h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        columns.map(([text]) => h("th", { scope: "col" }, text)),
      ),
    ),
    h(
      "tbody",
      {},
      groups.map((group, i) => h("tr", {}, cells(group, i))),
    ),
  );
}

function emptyShow(place, signal) {
  let shown = null;
  const draw = framed(() => {
    if (signal.aborted) return;
    const groups = groupsOf(jobsNewest())
        .map(({ label, jobs }) => ({ label, ids: oncePerSeed(jobs).map((j) => j.id) }))
        .filter((g) => g.ids.length > 1),
      now = `${jobsLoaded()} ${groups.map((g) => `${g.label} ${g.ids}`)}`;
    if (now === shown) return;
    shown = now;
    const link = (g) =>
      h(
        "li",
        {},
        h("a", { href: `#/compare/${g.ids.join(",")}` }, g.label),
        h("span", { class: "hint" }, ` ${g.ids.length} seeds`),
      );
    if (!groups.length) {
      emptySay(
        place,
        jobsLoaded() ? "Nothing to compare yet" : "Reading the jobs",
        jobsLoaded()
          ? "No two jobs differ in their seed alone. The form can submit several seeds at once; or choose any jobs in the list."
          : "",
        h("p", {}, h("a", { class: "button primary", href: "#/new" }, "New job"), " ", h("a", { class: "button", href: "#/" }, "Jobs")),
      );
      return;
    }
    place.replaceChildren(
      h("h1", {}, "Compare"),
      h("p", {}, "Choose jobs in the ", h("a", { href: "#/" }, "list"), ", or a group of seeds:"),
      h("section", { "aria-label": "Groups of seeds" }, h("ul", { class: "plain" }, groups.slice(0, 50).map(link))),
    );
  });
  draw();
  signal.addEventListener("abort", onJobs(draw));
}

/** Shows the jobs `list`, ids with commas, in `place` until `signal`. */
export function compareShow(place, list, signal) {
  const ids = [...new Set((list || "").split(",").filter(Boolean))].sort();
  if (!ids.length) {
    emptyShow(place, signal);
    return;
  }
  const curves = new Map(),
    gone = new Set(),
    wanted = new Set(ids),
    due = new Set(ids);
  let charts = null,
    shown = "",
    timer = 0,
    reading = false;
  const control = (id, label, input) => [input, h("label", { for: id }, label)];
  const log = h("input", { type: "checkbox", id: "log", onchange: () => draw() });
  const each = h("input", { type: "checkbox", id: "each", onchange: () => draw() });
  const span = h("input", { type: "range", id: "smooth", min: 1, max: 20, value: 1, oninput: () => draw() });
  const below = h("input", { type: "number", id: "below", min: 0, step: 0.01, value: 0.1, oninput: () => draw() });
  const evaluations = h("input", { type: "number", id: "evaluations", min: 1, step: 1, value: 5, oninput: () => draw() });
  const stage = h("section", { class: "charts", "aria-label": "Curves" }),
    hint = h("p", { class: "hint" }),
    table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Groups" });
  const link = linked();
  const build = (groups) => {
    link.destroy();
    const means = groups.map((g, i) => ({ name: g.label, colour: i }));
    const single = each.checked
      ? groups.flatMap((g, i) => g.jobs.map((j) => ({ name: `${g.label} ${j.id}`, colour: i, thin: true, hidden: true })))
      : [];
    charts = SHOWN.map((what) =>
      link.add((zoomed) =>
        chart(what.title, [...means, ...single], {
          x: "iteration",
          y: "loss",
          ...what,
          zoomed,
          options: { customBars: true, fillAlpha: 0.2, ...what.options },
        }),
      ),
    );
    stage.replaceChildren(...charts.map((c) => c.element));
  };
  const draw = framed(() => {
    if (signal.aborted) return;
    const jobs = ids.map(jobOf).filter(Boolean),
      groups = groupsOf(jobs);
    if (!groups.length) {
      if (gone.size === ids.length) emptySay(place, "These jobs do not exist", h("p", {}, h("a", { href: "#/" }, "All jobs")));
      return;
    }
    const now = `${each.checked} ${groups.map((g) => `${g.label} ${g.jobs.length}`).join()}`;
    if (now !== shown) build(groups);
    shown = now;
    const answers = jobs.every((j) => j.metrics.accuracy !== null);
    SHOWN.forEach((what, i) => {
      const settings = { span: Number(span.value), log: log.checked && !what.percent, each: each.checked };
      const rows = rowsOf(groups, curves, what, settings);
      charts[i].element.hidden = !rows.length;
      charts[i].set(rows, what.percent ? {} : { logscale: log.checked, ylabel: answers ? "cross-entropy, nats" : "loss" });
    });
    table.replaceChildren(tableOf(groups, curves, Number(below.value), Math.max(1, Math.floor(Number(evaluations.value)))));
    const lost = gone.size ? ` ${gone.size} of the jobs ${gone.size === 1 ? "does" : "do"} not exist any more.` : "";
    const twice = groups.some((g) => oncePerSeed(g.jobs).length < g.jobs.length) ? " A seed that is there twice counts twice." : "";
    hint.textContent = `Lines are means over seeds, bands one standard deviation either side.${twice}${lost}`;
  });
  const one = (id) =>
    attempt(async () => {
      try {
        if (!jobOf(id)) jobPut(await get(`/v1/jobs/${id}`, signal));
        curves.set(id, await get(`/v1/jobs/${id}/metrics?points=${POINTS}&keys=loss,accuracy`, signal));
      } catch (error) {
        if (error.status !== 404) throw error;
        gone.add(id);
      }
    });
  /* One reading at a time: those that fall due meanwhile come next. */
  const read = async () => {
    timer = 0;
    if (reading) return;
    reading = true;
    while (due.size && !signal.aborted) {
      const next = [...due].slice(0, READERS);
      next.forEach((id) => due.delete(id));
      await Promise.all(next.map(one));
      draw();
    }
    reading = false;
  };
  place.replaceChildren(
    h(
      "div",
      { class: "section" },
      h("h1", {}, `Compare ${ids.length} ${ids.length === 1 ? "job" : "jobs"}`),
      h(
        "span",
        { class: "controls" },
        control("log", "log scale", log),
        control("each", "every seed", each),
        h("label", { for: "smooth" }, "smoothing"),
        span,
        h("button", { type: "button", class: "quiet", onclick: () => link.reset() }, "Whole curve"),
      ),
    ),
    stage,
    hint,
    h(
      "section",
      { "aria-label": "Results" },
      h(
        "div",
        { class: "controls" },
        h("label", { for: "below" }, "Learned: loss below"),
        below,
        h("label", { for: "evaluations" }, "at so many evaluations in a row"),
        evaluations,
      ),
      table,
    ),
  );
  read();
  const endJobs = onJobs((id) => {
    if (id === null || wanted.has(id)) draw();
  });
  const endEvents = onEvent((event) => {
    if (!wanted.has(event.job) || event.type !== "progress") return;
    due.add(event.job);
    timer ||= setTimeout(read, AGAIN);
  });
  const endOpened = onOpened(() => {
    ids.forEach((id) => due.add(id));
    read();
  });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    endJobs();
    endEvents();
    endOpened();
    link.destroy();
  });
}
