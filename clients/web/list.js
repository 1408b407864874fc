/*
 * The list of jobs. Only the rows in sight exist as elements, so that thousands scroll as quickly as ten; a row is rewritten only when its job
 * changed or it came into sight. Filter, state, order and columns stand in the address; what was chosen and scrolled to is still so when one comes
 * back. Columns other than its own are those of a saved view.
 */
import { ACTIONS, actOnAll, ENDED } from "./actions.js";
import { addressRead, addressWrite } from "./address.js";
import { ruleStyle } from "./colours.js";
import { columnOf, columnsOf, compareBy, fieldOf, STATUSES } from "./columns.js";
import { oncePerFrame, integerText, h, jobName, notice, statusOf } from "./dom.js";
import { jobOf, jobsLoaded, jobsNewest, jobsRequest, onJobs, streamState } from "./jobs.js";
import { FAILURES } from "./load.js";
import { Query } from "./query.js";
import { Views } from "./views.js";

const OVERSCAN = 8,
  COMPARED_MAX = 200;
const narrow = matchMedia("(max-width: 720px)");
const chosen = new Set();
const kept = { text: "", status: "", sort: "time", down: true, columns: null, scroll: 0, address: "" };

/** Newest first where nothing else decides; what is not known comes last either way. */
function sorted(jobs) {
  const { name, by } = columnOf(kept.sort);
  if (name === "time") return kept.down ? jobs : jobs.reverse();
  const keys = new Map(jobs.map((job) => [job, by(job)]));
  return jobs.sort(compareBy((job) => keys.get(job), kept.down ? -1 : 1));
}

function row(job, index, columns, onChoose) {
  const box = h("input", {
    type: "checkbox",
    checked: chosen.has(job.id),
    "aria-label": `Choose ${jobName(job)}`,
    onchange: (e) => onChoose(job.id, e.target.checked),
  });
  return h(
    "div",
    { role: "row", class: "row", "aria-rowindex": index + 2, "data-id": job.id },
    h("span", { role: "cell", class: "c-box" }, box),
    columns.map(({ kind, content, numeric }) => h("span", { role: "cell", class: `c-${kind}${numeric ? " num" : ""}` }, content(job))),
  );
}

/** The table: head, viewport, and the function that draws what is in sight. */
class Table {
  constructor(onChoose, onSort) {
    Object.assign(this, { onChoose, onSort, names: undefined });
    this.jobs = [];
    this.rows = new Map(); // id -> {element, key}
    this.body = h("div", { role: "rowgroup", class: "rows" });
    this.view = h("div", { class: "viewport", onscroll: () => this.ask(), onkeydown: (e) => this.key(e) }, this.body);
    this.head = h("div", { role: "row", class: "row head", "aria-rowindex": 1 });
    this.element = h("div", { role: "table", class: "jobs", "aria-label": "Jobs" }, h("div", { role: "rowgroup" }, this.head), this.view);
    this.ask = oncePerFrame(() => this.draw());
  }
  /** Of a row. Where the page is narrow, the list's own columns stand in three lines; those of a view scroll sideways. */
  height() {
    return narrow.matches && this.names === "null" ? 72 : 34;
  }
  /** The names of a view's columns, null for the list's own. */
  columnsSet(names) {
    const key = JSON.stringify(names);
    if (this.names === key) return;
    this.names = key;
    this.columns = columnsOf(names);
    this.fields = this.columns.filter(({ kind }) => kind === "field").map(({ name }) => name);
    this.heads = this.columns.map(({ name, kind, head, numeric }) => {
      const sort = h("button", { type: "button", class: "sort", onclick: () => this.onSort(name) }, head);
      return h("span", { role: "columnheader", class: `c-${kind}${numeric ? " num" : ""}`, "data-sort": name }, sort);
    });
    this.head.replaceChildren(h("span", { role: "columnheader", class: "c-box" }, h("span", { class: "hidden" }, "Choose")), ...this.heads);
    this.element.classList.toggle("of-view", names !== null);
    this.element.style.setProperty("--columns", `30px ${this.columns.map(({ width }) => width).join(" ")}`);
    this.element.style.setProperty("--least", `${this.columns.reduce((sum, { least }) => sum + least + 0.7, 4)}rem`);
    this.body.replaceChildren();
    this.rows.clear();
  }
  set(jobs, columns) {
    this.columnsSet(columns);
    this.jobs = jobs;
    for (const head of this.heads) {
      if (head.dataset.sort === kept.sort) head.setAttribute("aria-sort", kept.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    this.ask();
  }
  draw() {
    if (!this.element.isConnected) return;
    const height = this.height(),
      first = Math.max(0, Math.floor(this.view.scrollTop / height) - OVERSCAN);
    const last = Math.min(this.jobs.length, Math.ceil((this.view.scrollTop + this.view.clientHeight) / height) + OVERSCAN);
    kept.scroll = this.view.scrollTop;
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
  /** Back to where one was, once there are rows enough. */
  scroll(top) {
    this.body.style.height = `${this.jobs.length * this.height()}px`;
    this.view.scrollTop = top;
  }
  place(job, index, height) {
    const known = [statusOf(job), job.progress.iteration, job.metrics.loss, job.name, job.tags, chosen.has(job.id), index, ruleStyle(job.rule.type).hex],
      key = JSON.stringify([known, this.fields.map((name) => fieldOf(job, name))]);
    let entry = this.rows.get(job.id);
    if (!entry || entry.key !== key) {
      const element = row(job, index, this.columns, this.onChoose);
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

const inState = (job, status) => (status === "active" ? !ENDED.includes(job.status) : !status || job.status === status);

const trouble = (status) => () => {
  const [title, hint] = FAILURES[status];
  return [h("h2", {}, title), h("p", {}, hint)];
};
/** What stands where no job is shown. */
const EMPTY = {
  reconnecting: trouble(0),
  "token needed": trouble(401),
  none: () => [
    h("h2", {}, "No jobs yet"),
    h("p", {}, "A job trains one recurrent network on one task with one learning rule."),
    h("p", {}, h("a", { class: "button primary", href: "#/new" }, "Make the first one")),
  ],
  filtered: () => [h("p", {}, "No job matches the filter.")],
  reading: () => [h("p", {}, "Loading the jobs.")],
};

const PLACEHOLDER = "name, rule:eprop, seed:1..5, loss<0.1";
const button = (word, kind, onclick) => h("button", { type: "button", class: kind, onclick }, word);

class List {
  constructor(place, signal) {
    Object.assign(this, { place, signal, why: null });
    this.addressTake();
    this.back = kept.scroll;
    this.update = oncePerFrame(() => signal.aborted || this.updateNow());
    this.query = new Query(this.update, signal);
    this.views = new Views(
      "jobs",
      () => ({ q: kept.text, sort: this.order(), columns: kept.columns }),
      (view) => this.viewTake(view),
      signal,
    );
    this.table = new Table(
      (id, on) => {
        if (on) chosen.add(id);
        else chosen.delete(id);
        this.update();
      },
      (key) => {
        kept.down = kept.sort === key ? !kept.down : key === "time";
        kept.sort = key;
        this.addressGive();
      },
    );
    this.count = h("span", { class: "count", role: "status", "aria-live": "polite" });
    this.empty = h("div", { class: "empty" });
    this.fault = h("p", { class: "fault-text", id: "filter-fault", role: "status" });
    place.replaceChildren(h("h1", { class: "hidden" }, "Jobs"), this.filterMake(), this.fault, this.bulkMake(), this.table.element, this.empty);
    this.query.set(kept.text, { blank: true });
    signal.addEventListener("abort", onJobs(this.update));
    addEventListener("resize", () => this.table.ask(), { signal });
    this.update();
  }
  /** Filter, state, order and columns as the address has them; where one scrolled to belongs to an address. */
  addressTake() {
    const { settings } = addressRead();
    Object.assign(kept, { text: settings.get("q") ?? "", status: settings.get("status") ?? "" });
    kept.columns = settings.get("columns")?.split(",").filter(Boolean) ?? null;
    this.orderTake(settings.get("sort") ?? "-time");
    if (location.hash !== kept.address) kept.scroll = 0;
    this.addressKeep();
  }
  /** What the list is sorted by, as an address and a view have it; null: the newest first. */
  order() {
    const sort = `${kept.down ? "-" : ""}${kept.sort}`;
    return sort === "-time" ? null : sort;
  }
  orderTake(sort) {
    const name = sort.replace(/^-/, "");
    Object.assign(kept, name ? { sort: name, down: sort.startsWith("-") } : { sort: "time", down: true });
  }
  viewTake({ q, sort, columns }) {
    kept.text = this.text.value = q;
    kept.columns = columns;
    this.orderTake(sort ?? "-time");
    this.query.set(q);
    this.addressGive();
  }
  addressGive() {
    addressWrite({ q: kept.text, status: kept.status, sort: this.order(), columns: kept.columns?.join(",") ?? null });
    this.addressKeep();
    this.update();
  }
  addressKeep() {
    kept.address = location.hash;
    document.querySelector("nav [data-page=list]").setAttribute("href", location.hash || "#/jobs");
  }
  filterMake() {
    const take = (key) => (event) => {
      kept[key] = event.target.value;
      this.table.view.scrollTop = 0;
      this.query.set(kept.text, { soon: true });
      this.addressGive();
    };
    const about = { "aria-describedby": "filter-fault", autocomplete: "off", spellcheck: "false" };
    this.text = h("input", { id: "filter", type: "search", placeholder: PLACEHOLDER, value: kept.text, ...about, oninput: take("text") });
    const states = [["", "any"], ["active", "not ended"], ...STATUSES.map((s) => [s, s])],
      option = ([value, word]) => h("option", { value, selected: value === kept.status }, word),
      status = h("select", { id: "status", onchange: take("status") }, states.map(option));
    return h(
      "div",
      { class: "tools" },
      h("label", { for: "filter" }, "Filter"),
      this.text,
      h("span", { class: "pair" }, h("label", { for: "status" }, "Status"), status),
      h("a", { href: "#/help/filter" }, "How to filter"),
      this.views.element,
      this.count,
    );
  }
  faultShow() {
    const { faults } = this.query,
      said = faults.join(" ");
    if (this.fault.textContent !== said) this.fault.textContent = said;
    if (faults.length) this.text.setAttribute("aria-invalid", "true");
    else this.text.removeAttribute("aria-invalid");
  }
  bulkMake() {
    this.all = button("Choose all shown", "quiet", () => {
      for (const job of this.shown()) chosen.add(job.id);
      this.update();
    });
    this.none = button("Choose none", "quiet", () => {
      chosen.clear();
      this.update();
    });
    this.compare = button("Compare", "primary", () => {
      location.hash = `#/compare/${[...chosen].join(",")}`;
    });
    this.acts = Object.values(ACTIONS).map((action) => {
      const element = button(action.text, action.danger ? "danger" : "quiet", () => this.act(action));
      return { action, element };
    });
    return h("div", { class: "tools bulk" }, this.all, this.none, this.compare, this.acts.map(({ element }) => element));
  }
  chosenJobs(action) {
    return [...chosen].map(jobOf).filter((job) => job && action.fits(job));
  }
  async act(action) {
    const jobs = this.chosenJobs(action),
      many = `${integerText(jobs.length)} ${jobs.length === 1 ? "job" : "jobs"}`;
    if (action.danger && !window.confirm(`${action.text} ${many} with their events, curves and weights?`)) return;
    const answer = action.ask?.(jobs);
    if (answer === null) return;
    const { done, failed, why } = await actOnAll(action, jobs, answer);
    if (failed) notice(`${integerText(done)} of ${many}: ${action.done}. ${integerText(failed)} failed; the first because: ${why}`, true);
    else notice(`${many}: ${action.done}`);
    this.update();
  }
  shown() {
    return sorted(jobsNewest().filter((job) => inState(job, kept.status) && this.query.fits(job)));
  }
  updateNow() {
    const list = this.shown(),
      total = jobsNewest().length;
    this.faultShow();
    this.views.show();
    this.table.set(list, kept.columns);
    this.table.element.hidden = !list.length;
    this.empty.hidden = list.length > 0;
    if (!list.length) this.emptyShow(total);
    else if (this.back && list.length * this.table.height() >= this.back) {
      this.table.scroll(this.back);
      this.back = 0;
    }
    const said = total || jobsLoaded() ? `${integerText(list.length)} of ${integerText(total)} jobs` : "";
    if (this.count.textContent !== said) this.count.textContent = said;
    for (const id of chosen) if (jobsLoaded() && !jobOf(id)) chosen.delete(id);
    this.bulkShow(list.length);
  }
  emptyShow(total) {
    const now = total && this.query.reading ? "reading" : total ? "filtered" : jobsLoaded() ? "none" : EMPTY[streamState()] ? streamState() : "reading";
    if (this.why !== now) this.empty.replaceChildren(...EMPTY[now]());
    this.why = now;
  }
  bulkShow(shown) {
    const n = chosen.size;
    this.all.disabled = !shown;
    this.none.hidden = !n;
    this.compare.disabled = n < 1 || n > COMPARED_MAX;
    this.compare.title = n > COMPARED_MAX ? `At most ${COMPARED_MAX} jobs are compared at once` : "";
    this.compare.textContent = n ? `Compare ${integerText(n)}` : "Compare";
    for (const { action, element } of this.acts) {
      const fit = this.chosenJobs(action).length;
      element.hidden = !fit;
      element.textContent = `${action.text} ${integerText(fit)}`;
    }
  }
}

/** Shows the view in `place` until `signal`. */
export function listShow(place, signal) {
  jobsRequest();
  new List(place, signal);
}
