/*
 * The tables of an experiment's page: a row a point with the statistics of one metric, and the trials of the point that was chosen, each with its job.
 */
import { addressRead, addressWrite, ariaSort, sortNext } from "./address.js";
import { get } from "./api.js";
import { markersNeeded, swatch } from "./colours.js";
import { badge, integerText, h, listSync, statusOf } from "./dom.js";
import { progressBar } from "./experiments.js";
import { quantityText } from "./quantities.js";
import { styleOf } from "./study.js";

const order = (v) => (v === "never" ? Infinity : v);
/** By a column's value, "never" last, what is not there after it. */
function sorted(rows, read, down) {
  const known = (v) => v !== null && v !== undefined;
  return [...rows].sort((a, b) => {
    const [x, y] = [order(read(a)), order(read(b))];
    if (!known(x) || !known(y)) return known(y) - known(x);
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  });
}

/** "12.3 to 45.6": an interval; marked where it rests on few. */
function intervalText(interval, write, few) {
  const { low, high } = interval ?? {};
  if (low === null || low === undefined || high === null || high === undefined) return "–";
  const short = (v) => write(v).replace(/\u00a0%$/, "");
  return `${short(low)} to ${write(high)}${few ? " †" : ""}`;
}

const shareText = (v) => `${Math.round(100 * v)}\u00a0%`;

/** Heading, what it is sorted by, and what is written; `s` is the summary of the metric. */
const columnsOf = (write, learned) => [
  ["n", (p, s) => s?.n, (p, s) => h("span", { title: "values, never among them" }, s ? integerText(s.n) : "–")],
  ...(learned ? [["Learned", (p, s) => s?.share, (p, s) => (s?.n ? `${shareText(s.share)} (${intervalText(s.share_95, shareText, s.few)})` : "–")]] : []),
  ["Median", (p, s) => s?.median, (p, s) => h("b", {}, write(s?.median))],
  ["Median, 95 %", null, (p, s) => intervalText(s?.median_95, write, s?.few)],
  ["Quartiles", null, (p, s) => intervalText(s?.quartiles, write)],
  ["Mean ± sd", (p, s) => s?.mean, (p, s) => (s?.mean === null || s?.mean === undefined ? "–" : `${write(s.mean)} ± ${write(s.standard_deviation)}`)],
  ["Mean, 95 %", null, (p, s) => intervalText(s?.mean_95, write, s?.few)],
  ["IQ mean", (p, s) => s?.interquartile_mean, (p, s) => write(s?.interquartile_mean)],
];

export class PointsTable {
  constructor(page) {
    this.page = page;
    this.heads = h("tr", {});
    this.body = h("tbody", {});
    this.caption = h("span", { class: "metric-name" });
    this.hint = h("p", { class: "hint" });
    this.element = h(
      "section",
      { class: "study-table", "aria-labelledby": "points" },
      h("div", { class: "section" }, h("h2", { id: "points" }, "Points"), this.caption),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Statistics of each point" }, h("table", { class: "cards" }, h("thead", {}, this.heads), this.body)),
      this.hint,
    );
  }
  sortBy(name) {
    sortNext(name);
    this.draw();
  }
  draw() {
    const { page } = this,
      about = page.about(),
      points = page.shown(),
      write = (v) => (v === undefined ? "–" : quantityText(v, about.quantity)),
      columns = columnsOf(write, about.quantity.learned),
      sort = addressRead().settings.get("sort") ?? "",
      by = columns.find(([name]) => name === sort.replace(/^-/, ""));
    this.caption.textContent = about.text;
    listSync(this.heads, [["Point"], ["Trials"], ...columns], {
      key: ([name, read]) => `${name} ${Boolean(read)}`,
      state: ([name]) => String(sort.endsWith(name) && sort),
      make: ([name, read]) => {
        const element = h("th", { scope: "col" }, read ? h("button", { type: "button", class: "sort", onclick: () => this.sortBy(name) }, name) : name);
        return { element, draw: () => ariaSort(element, name) };
      },
    });
    const rows = by ? sorted(points, (point) => by[1](point, page.summary(point)), sort.startsWith("-")) : points;
    listSync(this.body, rows, {
      key: ({ point }) => point,
      state: (point) => JSON.stringify([point, about.text, page.metricNow(), page.trials.point === point.point, page.hidden.has(point.point)]),
      make: (point) => this.rowMake(point),
    });
    const few = points.some((point) => page.summary(point)?.few && page.summary(point).n > 0),
      never = points.some((point) => page.summary(point)?.never > 0);
    this.hint.textContent = [
      "Intervals are 95 %: of a median by order statistics, of a mean by Student's t, of a share Wilson's.",
      few ? "† Fewer than 10 seeds: the interval rests on few; a median of fewer than six has none." : "",
      never ? "A seed that never got there counts as later than all others." : "",
    ]
      .filter(Boolean)
      .join(" ");
  }
  /** A row whose link stays the same element. */
  rowMake({ point: name }) {
    const { page } = this,
      link = h("a", { href: "#", onclick: (event) => (event.preventDefault(), page.trials.choose(page.trials.point === name ? null : name)) }),
      head = h("th", { scope: "row" }, link),
      element = h("tr", {}, head);
    const draw = (point) => {
      const about = page.about(),
        columns = columnsOf((v) => (v === undefined ? "–" : quantityText(v, about.quantity)), about.quantity.learned),
        chosen = page.trials.point === name,
        s = page.summary(point);
      link.setAttribute("aria-expanded", String(chosen));
      link.replaceChildren(swatch(styleOf(point), markersNeeded(page.points.map(styleOf))[page.points.indexOf(point)]), " ", point.label);
      element.className = `${chosen ? "chosen" : ""}${page.hidden.has(name) ? " off" : ""}`;
      element.replaceChildren(head, this.progressCell(point, s), ...columns.map(([column, , text]) => h("td", { class: "num", "data-column": column }, h("span", { class: "cell" }, text(point, s)))));
    };
    return { element, draw };
  }
  progressCell(point, s) {
    const done = point.n + point.failed,
      total = done + point.unfinished,
      running = point.running ?? 0,
      counts = { succeeded: point.n, failed: point.failed, running, waiting: point.unfinished - running };
    const notes = [point.diverged > 0 && `${point.diverged} diverged`, point.failed > 0 && `${point.failed} failed`, s?.never > 0 && `${s.never} never`, s?.missing > 0 && `${s.missing} missing`].filter(Boolean),
      content = [h("span", { class: "num" }, `${integerText(done)} of ${integerText(total)}`), progressBar(counts, total), notes.length ? h("span", { class: "hint" }, notes.join(", ")) : null];
    return h("td", { "data-column": "Trials", class: "progress-cell" }, h("span", { class: "cell" }, content));
  }
}

export class TrialsTable {
  constructor(page) {
    Object.assign(this, { page, point: null, trials: [] });
    this.title = h("h2", { id: "trials" }, "Trials");
    this.body = h("tbody", {});
    this.heads = h("tr", {});
    this.compare = h("a", { class: "button" }, "Compare these jobs");
    this.close = h("button", { type: "button", class: "quiet", onclick: () => this.choose(null) }, "Close");
    this.element = h(
      "section",
      { "aria-labelledby": "trials", hidden: true },
      h("div", { class: "section" }, this.title, h("span", { class: "controls" }, this.compare, this.close)),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Trials of the point" }, h("table", { class: "cards" }, h("thead", {}, this.heads), this.body)),
    );
  }
  choose(point) {
    this.point = point;
    addressWrite({ point });
    this.element.hidden = point === null;
    if (this.page.points.length) this.page.table.draw();
    if (point !== null && this.page.points.length) this.read().then(() => this.element.scrollIntoView({ block: "nearest" }), () => {});
  }
  async read() {
    const { page } = this;
    if (this.point === null) return;
    const query = page.query(),
      { trials } = await get(`/v1/experiments/${page.experiment.id}/trials${query ? `${query}&` : "?"}points=${encodeURIComponent(this.point)}`, page.signal);
    this.trials = trials;
    this.draw();
  }
  draw() {
    const { page, trials } = this,
      about = page.about(),
      point = page.points.find((one) => one.point === this.point),
      value = (trial) => (about.own ? trial.metrics[page.metricNow()] : Object.values(trial.metrics)[0]),
      notes = (trial) => [trial.linked && "linked: the store had it", trial.archived && "archived: its job was deleted"].filter(Boolean).join("; ");
    this.title.textContent = `Trials of ${point?.label ?? this.point}`;
    this.compare.hidden = trials.length < 1;
    this.compare.href = `#/compare/${trials.filter((t) => !t.archived).map((t) => t.job).join(",")}`;
    this.heads.replaceChildren(...["Seed", "Job", "Status", about.text, "Notes"].map((head) => h("th", { scope: "col" }, head)));
    this.body.replaceChildren(
      ...trials.map((trial) =>
        h(
          "tr",
          {},
          h("th", { scope: "row", class: "num" }, `seed ${trial.seed}`),
          h("td", { "data-column": "Job" }, trial.archived ? h("span", { class: "id" }, trial.job) : h("a", { class: "id", href: `#/jobs/${trial.job}` }, trial.job)),
          h("td", { "data-column": "Status" }, badge(trial.diverged ? "diverged" : statusOf(trial))),
          h("td", { class: "num", "data-column": about.text }, quantityText(value(trial) ?? null, about.quantity, 5)),
          h("td", { class: "hint", "data-column": "Notes" }, notes(trial) || "–"),
        ),
      ),
    );
  }
}
