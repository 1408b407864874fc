/*
 * Jobs beside each other: each group of seeds (groups.js) drawn as its median with a band from the lower to the upper quartile, and on request
 * every seed by itself, since seeds may differ more than rules do. They are taken where the seeds were evaluated, and a band goes straight from
 * there to there: taken between evaluations, of values interpolated, the spread would come out too small. A long curve was thinned, each seed's to
 * iterations of its own: then there is no other way. A group's median goes as far as its shortest curve.
 */
import { kept } from "./address.js";
import { get } from "./api.js";
import { chart, linked, smooth } from "./charts.js";
import { ruleStyles, swatch } from "./colours.js";
import { attempt, framed, h, jobName, number, percent, standing } from "./dom.js";
import { bandOf, gridOf, groupsOf, interpolate, learnedOf, oncePerSeed, POINTS, spread } from "./groups.js";
import { jobOf, jobPut, jobsLoaded, jobsNewest, onEvent, onJobs, onOpened } from "./jobs.js";
import { emptySay } from "./load.js";

const READERS = 4,
  AGAIN = 1500; // ms between two readings of a curve that grows
const SHOWN = [
  { key: "loss", title: "Loss" },
  { key: "accuracy", title: "Accuracy", percent: true, y: "masked steps answered right", options: { valueRange: [0, 1.03] } },
];

/** Rows over one grid: a column a group, then, with `each`, a column a seed. */
function rowsOf(groups, curves, { key }, { span, each }) {
  const known = groups.map((g) =>
    g.jobs
      .map((j) => curves.get(j.id))
      .filter((c) => c && c.iteration.length && c[key] && c[key].some((v) => v !== null))
      .map((c) => ({ iteration: c.iteration, [key]: smooth(c[key], span) })),
  );
  const single = each ? groups.flatMap((g) => g.jobs.map((j) => curves.get(j.id))) : [];
  const smoothed = single.map((c) => c && c[key] && smooth(c[key], span));
  const grid = gridOf(known.flat()),
    bands = known.map((list) => bandOf(list, key));
  const alone = (c, i, x) => {
    const value = c && smoothed[i] ? interpolate(c.iteration, smoothed[i], x) : null;
    return value === null ? null : [value, value, value];
  };
  return grid.length > 1 ? grid.map((x) => [x, ...bands.map((at) => at(x)), ...single.map((c, i) => alone(c, i, x))]) : [];
}

function spreadText(values, write) {
  if (!values.length) return "–";
  const [mean, deviation] = spread(values);
  return values.length > 1 ? `${write(mean)} ± ${write(deviation)}` : write(mean);
}

/** "18 of 20, median 340": as `modprop compare` counts, seeds that never learned among them. */
function learnedText(group, curves, below, evaluations) {
  const read = group.jobs.map((j) => curves.get(j.id)).filter(Boolean),
    { learned, of, median } = learnedOf(read, below, evaluations);
  if (!of) return "–";
  return `${learned} of ${of}, median ${Number.isFinite(median) ? number(median, 4) : "never"}`;
}

/** "18 of 20", and how many of them diverged or failed. */
function endedText(jobs) {
  const count = (word) => jobs.filter((j) => standing(j) === word).length,
    bad = ["diverged", "failed", "cancelled"].map((word) => [count(word), word]).filter(([n]) => n);
  return [`${jobs.filter((j) => j.finished_at).length} of ${jobs.length}`, ...bad.map(([n, word]) => `${n} ${word}`)].join(", ");
}

function tableOf(groups, styles, curves, below, evaluations) {
  const of = (group, key) => group.jobs.map((j) => j.metrics[key]).filter((v) => v !== null && v !== undefined);
  const links = (group) =>
    h(
      "span",
      {},
      group.jobs.map((job, k) => [k ? " " : "", h("a", { href: `#/jobs/${job.id}`, title: jobName(job) }, String(job.seed))]),
    );
  const columns = [
    [h("span", { class: "hidden" }, "Colour"), (g, i) => swatch(styles[i])],
    ["Group", null],
    ["Seeds", links, "seeds"],
    ["Ended", (g) => endedText(g.jobs)],
    ["Loss, mean ± sd", (g) => spreadText(of(g, "loss"), (v) => number(v))],
    ["Accuracy, mean ± sd", (g) => spreadText(of(g, "accuracy"), percent)],
    ["Learned at iteration", (g) => learnedText(g, curves, below, evaluations)],
  ];
  const cells = (group, i) =>
    columns.map(([text, write, kind]) =>
      write
        ? h("td", { class: `num${kind ? ` ${kind}` : ""}`, "data-column": typeof text === "string" ? text : null }, write(group, i))
        : h("th", { scope: "row" }, group.label),
    );
  const heads = columns.map(([text]) => h("th", { scope: "col" }, text)),
    rows = groups.map((group, i) => h("tr", {}, cells(group, i)));
  return h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
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

const control = (id, label, input) => [input, h("label", { for: id }, label)];

class Comparison {
  constructor(place, ids, signal) {
    Object.assign(this, { place, ids, signal, curves: new Map(), gone: new Set(), wanted: new Set(ids), due: new Set(ids) });
    Object.assign(this, { charts: null, styles: [], shown: "", timer: 0, reading: false, link: linked() });
    this.draw = framed(() => signal.aborted || this.drawNow());
    this.controlsMake();
    this.stage = h("section", { class: "charts", "aria-label": "Curves" });
    this.hint = h("p", { class: "hint" });
    this.table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Groups" });
    this.layOut();
    this.read();
    this.listen();
  }
  controlsMake() {
    const draw = () => this.draw(),
      input = (type, id, more) => kept(id, h("input", { type, id, ...more, [type === "checkbox" ? "onchange" : "oninput"]: draw }));
    this.log = input("checkbox", "log");
    this.each = input("checkbox", "each");
    this.span = input("range", "smooth", { min: 1, max: 20, value: 1 });
    this.below = input("number", "below", { min: 0, step: 0.01, value: 0.1 });
    this.evaluations = input("number", "evaluations", { min: 1, step: 1, value: 5 });
  }
  layOut() {
    const { ids, span, link } = this,
      whole = h("button", { type: "button", class: "quiet", onclick: () => link.reset() }, "Whole curve"),
      smoothing = [h("label", { for: "smooth" }, "smoothing"), span],
      controls = [control("log", "log scale", this.log), control("each", "every seed", this.each), smoothing, whole],
      title = h("h1", {}, `Compare ${ids.length} ${ids.length === 1 ? "job" : "jobs"}`);
    const threshold = [
      h("label", { for: "below" }, "Learned: loss below"),
      this.below,
      h("label", { for: "evaluations" }, "at so many evaluations in a row"),
      this.evaluations,
    ];
    this.place.replaceChildren(
      h("div", { class: "section" }, title, h("span", { class: "controls" }, controls)),
      this.stage,
      this.hint,
      h("section", { "aria-label": "Results" }, h("div", { class: "controls" }, threshold), this.table),
    );
  }
  build(groups) {
    this.link.destroy();
    this.styles = ruleStyles(groups.map((g) => g.rule));
    const middles = groups.map((g, i) => ({ name: g.label, style: this.styles[i] }));
    const single = this.each.checked
      ? groups.flatMap((g, i) => g.jobs.map((j) => ({ name: `${g.label} ${j.id}`, style: this.styles[i], thin: true, hidden: true })))
      : [];
    const make = (what) => (zoomed) => {
      const options = { customBars: true, fillAlpha: 0.2, ...what.options };
      return chart(what.title, [...middles, ...single], { x: "iteration", y: "loss", ...what, zoomed, options });
    };
    this.charts = SHOWN.map((what) => this.link.add(make(what)));
    this.stage.replaceChildren(...this.charts.map((c) => c.element));
  }
  drawNow() {
    const jobs = this.ids.map(jobOf).filter(Boolean),
      groups = groupsOf(jobs);
    if (!groups.length) {
      if (this.gone.size === this.ids.length) emptySay(this.place, "These jobs do not exist", h("p", {}, h("a", { href: "#/" }, "All jobs")));
      return;
    }
    const now = `${this.each.checked} ${groups.map((g) => `${g.label} ${g.jobs.length}`).join()}`;
    if (now !== this.shown) this.build(groups);
    this.shown = now;
    const answers = jobs.every((j) => j.metrics.accuracy !== null),
      log = this.log.checked;
    SHOWN.forEach((what, i) => {
      const rows = rowsOf(groups, this.curves, what, { span: Number(this.span.value), each: this.each.checked });
      this.charts[i].element.hidden = !rows.length;
      this.charts[i].set(rows, what.percent ? {} : { logscale: log, ylabel: answers ? "cross-entropy, nats" : "loss" });
    });
    const evaluations = Math.max(1, Math.floor(Number(this.evaluations.value)));
    this.table.replaceChildren(tableOf(groups, this.styles, this.curves, Number(this.below.value), evaluations));
    this.hint.textContent = this.hintText(groups);
  }
  hintText(groups) {
    const n = this.gone.size,
      lost = n ? ` ${n} of the jobs ${n === 1 ? "does" : "do"} not exist any more.` : "",
      twice = groups.some((g) => oncePerSeed(g.jobs).length < g.jobs.length) ? " A seed that is there twice counts twice." : "";
    return (
      "Lines are medians over seeds, bands reach from the lower to the upper quartile. One colour a rule; groups of one rule differ by their " +
      `dashes. A seed that never learned counts as later than all others.${twice}${lost}`
    );
  }
  one(id) {
    return attempt(async () => {
      try {
        if (!jobOf(id)) jobPut(await get(`/v1/jobs/${id}`, this.signal));
        this.curves.set(id, await get(`/v1/jobs/${id}/metrics?points=${POINTS}&keys=loss,accuracy`, this.signal));
      } catch (error) {
        if (error.status !== 404) throw error;
        this.gone.add(id);
      }
    });
  }
  /** One reading at a time: those that fall due meanwhile come next. */
  async read() {
    this.timer = 0;
    if (this.reading) return;
    this.reading = true;
    while (this.due.size && !this.signal.aborted) {
      const next = [...this.due].slice(0, READERS);
      next.forEach((id) => this.due.delete(id));
      await Promise.all(next.map((id) => this.one(id)));
      this.draw();
    }
    this.reading = false;
  }
  listen() {
    const ends = [
      onJobs((id) => {
        if (id === null || this.wanted.has(id)) this.draw();
      }),
      onEvent((event) => {
        if (!this.wanted.has(event.job) || event.type !== "progress") return;
        this.due.add(event.job);
        this.timer ||= setTimeout(() => this.read(), AGAIN);
      }),
      onOpened(() => {
        this.ids.forEach((id) => this.due.add(id));
        this.read();
      }),
    ];
    this.signal.addEventListener("abort", () => {
      clearTimeout(this.timer);
      ends.forEach((end) => end());
      this.link.destroy();
    });
  }
}

/** Shows the jobs `list`, ids with commas, in `place` until `signal`. */
export function compareShow(place, list, signal) {
  const ids = [...new Set((list || "").split(",").filter(Boolean))].sort();
  if (ids.length) new Comparison(place, ids, signal);
  else emptyShow(place, signal);
}
