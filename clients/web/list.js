/*
 * The list of jobs. Only the rows in sight exist as elements, so that thousands scroll as quickly as ten; a row is rewritten only
 * when its job changed or it came into sight.
 */
import { attempt, badge, clock, framed, h, jobName, number, percent, ruleName } from "./dom.js";
import { jobsLoaded, jobsNewest, onJobs } from "./jobs.js";

const OVERSCAN = 8;
const narrow = matchMedia("(max-width: 720px)");
const chosen = new Set();

function row(job, index, onChoose) {
  const name = jobName(job);
  const box = h("input", {
    type: "checkbox",
    checked: chosen.has(job.id),
    "aria-label": `Choose ${name} for comparison`,
    onchange: (e) => onChoose(job.id, e.target.checked),
  });
  const bar = h("span", { class: "bar" });
  const fill = h("span", {});
  fill.style.width = `${100 * job.progress.fraction}%`;
  bar.append(fill);
  return h(
    "div",
    { role: "row", class: "row", "aria-rowindex": index + 2, "data-id": job.id },
    h("span", { role: "cell", class: "c-box" }, box),
    h("span", { role: "cell", class: "c-name" }, h("a", { href: `#/jobs/${job.id}` }, name)),
    h("span", { role: "cell", class: "c-status" }, badge(job.status)),
    h("span", { role: "cell", class: "c-task" }, job.task.type),
    h("span", { role: "cell", class: "c-rule" }, ruleName(job)),
    h("span", { role: "cell", class: "c-seed num" }, String(job.seed)),
    h("span", { role: "cell", class: "c-progress" }, bar, h("span", { class: "num" }, `${Math.floor(100 * job.progress.fraction)} %`)),
    h("span", { role: "cell", class: "c-loss num" }, number(job.metrics.loss)),
    h("span", { role: "cell", class: "c-accuracy num" }, percent(job.metrics.accuracy)),
    h("span", { role: "cell", class: "c-time num" }, clock(job.created_at)),
  );
}

const HEAD = [
  ["box", ""],
  ["name", "Name"],
  ["status", "Status"],
  ["task", "Task"],
  ["rule", "Rule"],
  ["seed", "Seed"],
  ["progress", "Progress"],
  ["loss", "Loss"],
  ["accuracy", "Accuracy"],
  ["time", "Created"],
];
const NUMBERS = new Set(["seed", "loss", "accuracy", "time"]);

/** The table: head, viewport, and the function that draws what is in sight. */
class Table {
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.jobs = [];
    this.rows = new Map(); // id -> {element, key}
    this.body = h("div", { role: "rowgroup", class: "rows" });
    this.view = h("div", { class: "viewport", onscroll: () => this.ask(), onkeydown: (e) => this.key(e) }, this.body);
    const head = h(
      "div",
      { role: "row", class: "row head", "aria-rowindex": 1 },
      HEAD.map(([key, text]) =>
        h(
          "span",
          { role: "columnheader", class: `c-${key}${NUMBERS.has(key) ? " num" : ""}` },
          text || h("span", { class: "hidden" }, "Choose"),
        ),
      ),
    );
    this.element = h("div", { role: "table", class: "jobs", "aria-label": "Jobs" }, h("div", { role: "rowgroup" }, head), this.view);
    this.ask = framed(() => this.draw());
  }
  height() {
    return narrow.matches ? 72 : 34;
  }
  set(jobs) {
    this.jobs = jobs;
    this.ask();
  }
  draw() {
    const height = this.height(),
      first = Math.max(0, Math.floor(this.view.scrollTop / height) - OVERSCAN);
    const last = Math.min(this.jobs.length, Math.ceil((this.view.scrollTop + this.view.clientHeight) / height) + OVERSCAN);
    this.body.style.height = `${this.jobs.length * height}px`;
    this.element.setAttribute("aria-rowcount", this.jobs.length + 1);
    const wanted = new Set();
    for (let i = first; i < last; i++) {
      const job = this.jobs[i];
      wanted.add(job.id);
      this.place(job, i, height);
    }
    for (const [id, { element }] of this.rows)
      if (!wanted.has(id)) {
        element.remove();
        this.rows.delete(id);
      }
  }
  place(job, index, height) {
    const key = [job.status, job.progress.iteration, job.metrics.loss, job.name, chosen.has(job.id), index].join();
    let entry = this.rows.get(job.id);
    if (!entry || entry.key !== key) {
      const element = row(job, index, this.onChoose);
      const focus = entry && entry.element.contains(document.activeElement) ? document.activeElement.tagName : null;
      if (entry) entry.element.replaceWith(element);
      else this.body.append(element);
      if (focus) element.querySelector(focus).focus({ preventScroll: true });
      entry = { element, key };
      this.rows.set(job.id, entry);
    }
    entry.element.style.transform = `translateY(${index * height}px)`;
  }
  /** Up, down, page, home and end go from row to row, also to those not in sight yet. */
  key(event) {
    const here = event.target.closest("[data-id]");
    const page = Math.max(1, Math.floor(this.view.clientHeight / this.height()) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (!here || step === undefined) return;
    event.preventDefault();
    const from = this.jobs.findIndex((job) => job.id === here.dataset.id);
    const to = Math.min(this.jobs.length - 1, Math.max(0, from + step));
    const height = this.height(),
      top = to * height;
    if (top < this.view.scrollTop) this.view.scrollTop = top;
    if (top + height > this.view.scrollTop + this.view.clientHeight) this.view.scrollTop = top + height - this.view.clientHeight;
    this.draw();
    const entry = this.rows.get(this.jobs[to].id);
    if (entry) entry.element.querySelector("a").focus({ preventScroll: true });
  }
}

function matches(job, text, status) {
  if (status === "active" ? ["succeeded", "failed", "cancelled"].includes(job.status) : status && job.status !== status) return false;
  const all = `${jobName(job)} ${job.task.type} ${ruleName(job)} ${job.id} seed ${job.seed}`.toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}

/** Shows the view in `place`; returns what ends it. */
export function listShow(place) {
  const text = h("input", { id: "filter", type: "search", placeholder: "name, task, rule, seed", oninput: () => update() });
  const status = h(
    "select",
    { id: "status", onchange: () => update() },
    [["", "any"], ["active", "not ended"], ...["queued", "running", "paused", "succeeded", "failed", "cancelled"].map((s) => [s, s])].map(
      ([v, t]) => h("option", { value: v }, t),
    ),
  );
  const count = h("span", { class: "count", role: "status", "aria-live": "polite" });
  const compare = h(
    "button",
    {
      type: "button",
      class: "primary",
      onclick: () => {
        location.hash = `#/compare/${[...chosen].join(",")}`;
      },
    },
    "Compare",
  );
  const all = h(
    "button",
    {
      type: "button",
      class: "quiet",
      onclick: () => {
        for (const job of shown().slice(0, 200)) chosen.add(job.id);
        update();
      },
    },
    "Choose all shown",
  );
  const none = h(
    "button",
    {
      type: "button",
      class: "quiet",
      onclick: () => {
        chosen.clear();
        update();
      },
    },
    "None",
  );
  const empty = h("div", { class: "empty" });
  const table = new Table((id, on) => {
    if (on) chosen.add(id);
    else chosen.delete(id);
    update();
  });
  const shown = () => jobsNewest().filter((job) => matches(job, text.value.trim(), status.value));
  const update = framed(() => {
    const list = shown(),
      total = jobsNewest().length;
    table.set(list);
    table.element.hidden = !list.length;
    empty.hidden = list.length > 0;
    if (!list.length) {
      empty.replaceChildren(
        ...(total
          ? [h("p", {}, "No job fits the filter.")]
          : jobsLoaded()
            ? [
                h("h2", {}, "No jobs yet"),
                h("p", {}, "A job trains one recurrent network on one task with one learning rule."),
                h("p", {}, h("a", { class: "button primary", href: "#/new" }, "Make the first one")),
              ]
            : [h("p", {}, "Loading.")]),
      );
    }
    const said = `${list.length.toLocaleString("en")} of ${total.toLocaleString("en")} jobs`;
    if (count.textContent !== said) count.textContent = said;
    compare.disabled = chosen.size < 1;
    compare.textContent = chosen.size ? `Compare ${chosen.size}` : "Compare";
    none.hidden = !chosen.size;
  });
  place.replaceChildren(
    h("h1", { class: "hidden" }, "Jobs"),
    h(
      "div",
      { class: "tools" },
      h("label", { for: "filter" }, "Filter"),
      text,
      h("label", { for: "status" }, "Status"),
      status,
      count,
      all,
      none,
      compare,
    ),
    table.element,
    empty,
  );
  const end = onJobs(update);
  const resized = () => table.ask();
  addEventListener("resize", resized);
  attempt(async () => update());
  return () => {
    end();
    removeEventListener("resize", resized);
  };
}
