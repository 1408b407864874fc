/*
 * Any set of jobs beside each other, as POST /v1/compare has them: jobs that differ in their seed alone are one point, drawn as its median with a band
 * from the lower to the upper quartile, and on request every seed by itself, since seeds may differ more than rules do. All numbers are the server's.
 * While some of the jobs go on it is asked again, never more often than the answers take.
 */
import { addressRead, addressWrite, addressBind } from "./address.js";
import { post } from "./api.js";
import { chart, chartsLink } from "./charts.js";
import { swatch } from "./colours.js";
import { attempt, oncePerFrame, integerText, h, number, percent } from "./dom.js";
import { Legend } from "./figure.js";
import { jobsLoaded, jobsNewest, jobsRequest, onEvent, onJobs, onOpened } from "./jobs.js";
import { messageShow, Refresher } from "./load.js";
import { forest } from "./plots.js";
import { quantityOf } from "./quantities.js";
import { styleOf } from "./study.js";

const REREAD_MS = 1500, // ms between two readings at least
  REREAD_FACTOR = 8, // between two readings, times what the last one took
  OFFERED = 200, // newest jobs among which groups of seeds are looked for
  GROUPS = 50;
const CURVES = ["loss", "accuracy"];

/* ---- without jobs ---- */

/** A seed that ran twice is offered once: the same run twice would make the spread look smaller than it is. */
const oncePerSeed = (trials) => [...new Map(trials.map((trial) => [trial.seed, trial])).values()];

/** Offers groups of seeds among the newest jobs. */
function emptyShow(place, signal) {
  let shown = null,
    reading = false;
  const say = (title, text) =>
    messageShow(place, title, text, h("p", {}, h("a", { class: "button primary", href: "#/new" }, "New experiment"), " ", h("a", { class: "button", href: "#/jobs" }, "Jobs")));
  const offer = (groups) => {
    const links = groups.map(({ label, trials }) =>
      h("li", {}, h("a", { href: `#/compare/${trials.map((t) => t.job).join(",")}` }, label), h("span", { class: "hint" }, ` ${trials.length} seeds`)),
    );
    place.replaceChildren(
      h("h1", {}, "Compare"),
      h("p", {}, "Choose jobs in the ", h("a", { href: "#/jobs" }, "list"), ", or a group of seeds:"),
      h("section", { "aria-label": "Groups of seeds" }, h("ul", { class: "plain" }, links)),
    );
  };
  const draw = oncePerFrame(async () => {
    const ids = jobsNewest()
      .slice(0, OFFERED)
      .map(({ id }) => id);
    if (signal.aborted || reading || String(ids) === shown) return;
    if (!jobsLoaded() || !ids.length) {
      if (jobsLoaded()) say("Nothing to compare yet", "An experiment runs conditions on several seeds; or choose any jobs in the list.");
      else say("Loading the jobs", "");
      return;
    }
    reading = true;
    shown = String(ids);
    await attempt(async () => {
      const { points, trials } = await post("/v1/compare", { jobs: ids }, signal),
        groups = points.map(({ point, label }) => ({ label, trials: oncePerSeed(trials.filter((t) => t.point === point)) })).filter((group) => group.trials.length > 1);
      if (groups.length) offer(groups.slice(0, GROUPS));
      else say("Nothing to compare yet", "No two of the newest jobs differ only in the seed. An experiment runs conditions on several seeds; or choose any jobs in the list.");
    });
    reading = false;
  });
  jobsRequest();
  draw();
  signal.addEventListener("abort", onJobs(draw));
}

/* ---- the table ---- */

const spreadText = (summary, write) => {
  if (!summary?.n || summary.mean === null) return "–";
  return summary.n > 1 ? `${write(summary.mean)} ± ${write(summary.standard_deviation)}` : write(summary.mean);
};

/** "18 of 20, median 340": seeds that never learned are later than all. */
function learnedText(summary) {
  if (!summary?.n) return "–";
  return `${summary.n - summary.never} of ${summary.n}, median ${typeof summary.median === "string" ? summary.median : number(summary.median, 4)}`;
}

/** "18 of 20", and how many of them diverged or failed. */
function endedText({ n, failed, diverged, unfinished }) {
  const bad = [
    [diverged, "diverged"],
    [failed, "failed"],
  ].filter(([count]) => count > 0);
  return [`${n + failed} of ${n + failed + unfinished}`, ...bad.map(([count, word]) => `${count} ${word}`)].join(", ");
}

function tableOf(points, trials) {
  const links = (point) => {
    const own = trials.filter((t) => t.point === point.point);
    return h("span", {}, own.map((t, k) => [k ? " " : "", h("a", { href: `#/jobs/${t.job}`, title: `${t.label}, seed ${t.seed}: ${t.status}` }, String(t.seed))]));
  };
  const columns = [
    [h("span", { class: "hidden" }, "Colour"), (p) => swatch(styleOf(p))],
    ["Group", null],
    ["Seeds", links, "seeds"],
    ["Ended", endedText],
    ["Loss, mean ± sd", (p) => spreadText(p.metrics.final_loss, (v) => number(v))],
    ["Accuracy, mean ± sd", (p) => spreadText(p.metrics.final_accuracy, percent)],
    ["Learned at iteration", (p) => learnedText(p.metrics.learned)],
  ];
  const cells = (point) =>
    columns.map(([text, write, kind]) =>
      write
        ? h("td", { class: `num${kind ? ` ${kind}` : ""}`, "data-column": typeof text === "string" ? text : null }, write(point))
        : h("th", { scope: "row" }, point.label),
    );
  const heads = columns.map(([text]) => h("th", { scope: "col" }, text));
  return h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, points.map((point) => h("tr", {}, cells(point)))));
}

/* ---- the page ---- */

const control = (id, label, input) => [input, h("label", { for: id }, label)];
const option = (value, text, chosen) => h("option", { value, selected: String(value) === String(chosen) }, text);
const METRICS = { learned: "learned at iteration", final_loss: "last loss", final_accuracy: "last accuracy" };

class Comparison extends Refresher {
  constructor(place, ids, signal) {
    super();
    Object.assign(this, { place, ids, signal, gone: 0, answer: null, charts: new Map(), timer: 0, took: 0, link: chartsLink() });
    this.wanted = new Set(ids);
    this.hidden = new Set((addressRead().settings.get("hide") ?? "").split(",").filter(Boolean));
    this.legend = new Legend([], {
      hidden: this.hidden,
      changed: () => {
        addressWrite({ hide: [...this.hidden].join(",") });
        this.charts.forEach((one) => one.draw());
      },
      lit: (key) => this.charts.forEach((one) => one.light(key)),
    });
    this.controlsMake();
    this.stage = h("div", { class: "charts" });
    this.hint = h("p", { class: "hint" });
    this.table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Groups" });
    this.forest = forest("Paired differences");
    this.differences = h(
      "section",
      { "aria-labelledby": "differences", hidden: true },
      h("div", { class: "section" }, h("h2", { id: "differences" }, "Paired differences"), h("span", { class: "controls" }, control("metric", "of", this.metric).reverse(), control("to", "against", this.to).reverse())),
      this.forest.element,
    );
    this.layOut();
    this.again();
    this.listen();
  }
  controlsMake() {
    const input = (type, id, more, then) => addressBind(id, h("input", { type, id, ...more, [type === "checkbox" ? "onchange" : "oninput"]: then }));
    this.log = input("checkbox", "log", {}, () => this.draw());
    this.each = input("checkbox", "each", {}, () => this.again());
    this.below = input("number", "below", { min: 0, step: 0.01, value: 0.1 }, () => this.again());
    this.evaluations = input("number", "evaluations", { min: 1, step: 1, value: 5 }, () => this.again());
    this.metric = addressBind("metric", h("select", { id: "metric", onchange: () => this.draw() }, Object.entries(METRICS).map(([name, text]) => option(name, text))));
    this.to = h("select", { id: "to", onchange: () => (addressWrite({ to: this.to.value === "0" ? null : this.to.value }), this.again()) });
    this.toNow = addressRead().settings.get("to") ?? "0";
  }
  layOut() {
    const { ids, link } = this,
      whole = h("button", { type: "button", class: "quiet", onclick: () => link.reset() }, "Whole curve"),
      controls = [control("log", "log scale", this.log), control("each", "every seed", this.each), whole],
      title = h("h1", {}, `Compare ${ids.length} ${ids.length === 1 ? "job" : "jobs"}`);
    const threshold = [
      h("label", { for: "below" }, "Learned: loss below"),
      this.below,
      h("label", { for: "evaluations" }, "at this many evaluations in a row"),
      this.evaluations,
    ];
    this.place.replaceChildren(
      h("div", { class: "section" }, title, h("span", { class: "controls" }, controls)),
      h("section", { "aria-label": "Curves" }, this.stage, this.legend.element, this.hint),
      h("section", { "aria-label": "Results" }, h("div", { class: "controls" }, threshold), this.table),
      this.differences,
    );
  }

  /* ---- reading ---- */

  request() {
    const below = Number(this.below.value),
      to = Number(this.to.options.length ? this.to.value : this.toNow);
    return {
      jobs: this.ids,
      metrics: [{ name: "learned", loss_below: Number.isFinite(below) ? below : 0, in_a_row: Math.max(1, Math.floor(Number(this.evaluations.value)) || 1) }, { final: "loss" }, { final: "accuracy" }],
      ...(to > 0 ? { to } : {}),
      curves: CURVES,
      seeds: this.each.checked || this.alone === true,
    };
  }
  again() {
    clearTimeout(this.timer);
    this.timer = 0;
    attempt(() => this.read());
  }
  later() {
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.read().catch(() => {});
    }, Math.max(REREAD_MS, REREAD_FACTOR * this.took));
  }
  async readOnce() {
    const begun = performance.now();
    try {
      this.answer = await post("/v1/compare", this.request(), this.signal);
    } catch (error) {
      if (this.forgive(error)) return;
      throw error;
    }
    this.took = performance.now() - begun;
    const alone = this.answer.curves.every((curve) => !curve.iteration.length); // nothing has succeeded yet: the seeds by themselves
    if (alone !== Boolean(this.alone)) {
      this.alone = alone;
      this.behind ||= alone && !this.each.checked;
    }
    this.draw();
  }
  /** Jobs that do not exist any more are left out, and a reference that went with them. True where that was what was wrong. */
  forgive(error) {
    const lost = (error.errors ?? []).map(({ pointer }) => /^\/jobs\/(\d+)$/.exec(pointer)?.[1]).filter((i) => i !== undefined);
    if ((error.errors ?? []).some(({ pointer }) => pointer === "/to")) {
      this.toNow = "0";
      this.to.value = "0";
      addressWrite({ to: null });
      if (!lost.length) this.behind = true;
    }
    if (!lost.length) return this.behind;
    const left = this.ids.filter((_, i) => !lost.includes(String(i)));
    this.gone += this.ids.length - left.length;
    this.ids = left;
    this.behind = left.length > 0;
    if (!left.length) messageShow(this.place, "These jobs do not exist", h("p", {}, h("a", { href: "#/jobs" }, "All jobs")));
    return true;
  }

  /* ---- drawing ---- */

  draw() {
    if (this.signal.aborted || !this.answer) return;
    const { points, trials } = this.answer;
    this.legend.set(points.map((point) => ({ key: point.point, name: point.label, style: styleOf(point) })));
    for (const key of CURVES) this.chartDraw(key);
    this.table.replaceChildren(tableOf(points, trials));
    this.differencesDraw();
    this.hint.textContent = this.hintText();
  }
  chartDraw(key) {
    const { points, curves } = this.answer,
      quantity = quantityOf(key),
      of = new Map(points.map((point) => [point.point, point])),
      seeds = this.each.checked || this.alone;
    const series = curves
      .filter((curve) => curve.key === key)
      .flatMap((curve) => {
        const point = of.get(curve.point),
          style = styleOf(point);
        const own = Object.entries(seeds ? (curve.seeds ?? {}) : {}).map(([seed, one]) => ({ name: `${point.label}, seed ${seed}`, key: point.point, style: { ...style, dash: 0 }, thin: true, mute: true, gaps: true, x: one.iteration, y: one.value }));
        return [...own, { name: point.label, key: point.point, style, x: curve.iteration, y: curve.median, low: curve.low, high: curve.high, n: curve.n, gaps: true }];
      })
      .filter((one) => one.y.some((v) => v !== null));
    if (!this.charts.has(key) && series.length) {
      const title = key === "loss" ? "Loss" : "Accuracy",
        settings = { x: "iteration", percent: quantity.percent, limits: quantity.limits, ends: true, legend: this.legend, columns: { y: "median", low: "quartile_1", high: "quartile_3" } };
      const made = this.link.add((zoomed) => chart(title, { ...settings, zoomed }));
      this.charts.set(key, made);
      this.stage.append(made.element);
    }
    const made = this.charts.get(key),
      answers = curves.some((curve) => curve.key === "accuracy" && curve.median.some((v) => v !== null));
    if (!made) return;
    made.element.hidden = !series.length;
    made.set(series, key === "loss" ? { log: this.log.checked, y: answers ? "cross-entropy, nats" : "loss" } : { y: "share of masked steps correct" });
  }
  differencesDraw() {
    const { points, comparisons } = this.answer,
      of = new Map(points.map((point) => [point.point, point])),
      rows = comparisons.filter((c) => c.metric === this.metric.value && c.n > 0).map((c) => ({ ...c, style: styleOf(of.get(c.point)) }));
    const now = JSON.stringify(points.map(({ label }) => label));
    if (now !== this.toShown) this.to.replaceChildren(...points.map(({ label }, i) => option(i, label, this.toNow)));
    this.toShown = now;
    this.differences.hidden = points.length < 2;
    this.forest.element.hidden = !rows.length;
    this.forest.caption.textContent = METRICS[this.metric.value];
    this.forest.file = `differences ${METRICS[this.metric.value]}`;
    if (rows.length) this.forest.set(rows, { percent: this.metric.value === "final_accuracy" });
  }
  hintText() {
    const n = this.gone,
      lost = n ? ` ${integerText(n)} of the jobs ${n === 1 ? "does" : "do"} not exist any more.` : "",
      open = this.answer.trials.some((t) => !["succeeded", "failed", "cancelled"].includes(t.status)),
      some = open ? " Jobs that go on are not in the medians yet." : "";
    return `Lines are medians over the seeds that succeeded, bands reach from the lower to the upper quartile. A seed that never learned counts as later than all others.${some}${lost}`;
  }
  listen() {
    const ends = [
      onEvent((event) => {
        if (this.wanted.has(event.job) && event.type !== "checkpoint") this.later();
      }),
      onOpened(() => this.later()),
    ];
    this.signal.addEventListener("abort", () => {
      clearTimeout(this.timer);
      ends.forEach((end) => end());
      this.link.destroy();
      this.forest.destroy();
    });
  }
}

/** Shows the jobs `list`, ids with commas, in `place` until `signal`. */
export function compareShow(place, list, signal) {
  const ids = [...new Set((list || "").split(",").filter(Boolean))].sort();
  if (ids.length) new Comparison(place, ids, signal);
  else emptyShow(place, signal);
}
