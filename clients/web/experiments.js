/*
 * The list of experiments: the page that one opens first. It is read in pages as one asks for more, and again while any of them goes on and something
 * happens. Filter, order and columns stand in the address, and saved views set all three.
 */
import { addressRead, addressWrite, ariaSort, addressBind, sortNext } from "./address.js";
import { get } from "./api.js";
import { attempt, badge, clock, integerText, h, listSync } from "./dom.js";
import { onExperimentEvent, onOpened } from "./jobs.js";
import { loadInto } from "./load.js";
import { Views } from "./views.js";

const PAGE = 50,
  REREAD_MS = 2000; // ms between two readings
export const EXPERIMENT_ENDED = ["complete", "complete_with_failures", "cancelled"];

const PARTS = [
  ["succeeded", "succeeded"],
  ["failed", "failed"],
  ["cancelled", "cancelled"],
  ["running", "running"],
  ["waiting", "waiting"],
];

/** Counts of an experiment or a point as a bar: each part with its share, and the whole in words for those who do not see it. */
export function progressBar(counts, total) {
  const of = { ...counts, waiting: (counts.waiting ?? 0) + (counts.queued ?? 0) + (counts.paused ?? 0) },
    said = PARTS.filter(([key]) => of[key]).map(([key, word]) => `${integerText(of[key])} ${word}`);
  const parts = PARTS.filter(([key]) => of[key] && key !== "waiting").map(([key]) => {
    const part = h("span", { class: `part-${key}` });
    part.style.width = `${(100 * of[key]) / Math.max(1, total)}%`;
    return part;
  });
  return h("span", { class: "parts-bar", role: "img", "aria-label": said.join(", ") || "nothing yet", title: said.join(", ") }, parts);
}

/** What an experiment is called where it has no name. */
export const experimentName = (experiment) => experiment.name || `experiment ${experiment.id.slice(-6)}`;

const ended = ({ counts }) => counts.succeeded + counts.failed + counts.cancelled;
const tagged = ({ tags }) => (tags?.length ? tags.map((tag) => h("span", { class: "tag" }, tag)) : "–");
/** Columns by the name that a view gives them: heading, what a cell shows, what the list is sorted by, and the cell's class. */
const COLUMNS = {
  name: ["Name", experimentName, (one) => experimentName(one).toLowerCase()],
  status: ["Status", (one) => badge(one.status), (one) => one.status],
  trials: [
    "Trials",
    (one) => [h("span", { class: "num" }, `${integerText(ended(one))} of ${integerText(one.trials)}`), progressBar(one.counts, one.trials)],
    (one) => one.trials,
    "progress-cell",
  ],
  points: ["Points", (one) => integerText(one.points), (one) => one.points, "num"],
  tags: ["Tags", tagged],
  created: ["Created", (one) => clock(one.created_at), (one) => one.created_at, "num"],
  finished: ["Finished", (one) => clock(one.finished_at), (one) => one.finished_at ?? "", "num"],
  notes: ["Notes", (one) => one.notes || "–", (one) => one.notes],
  id: ["Id", (one) => h("code", {}, one.id), (one) => one.id],
};
const ALIASES = { tag: "tags", created_at: "created", time: "created", finished_at: "finished", progress: "trials" };
const PLAIN = ["status", "trials", "points", "tags", "created", "finished"];
/** A column of any name: what the list does not know of an experiment is a dash. */
const columnOf = (name) => COLUMNS[ALIASES[name] ?? name] ?? [name, (one) => (["string", "number"].includes(typeof one[name]) ? String(one[name]) : "–")];
/** The names that the address gives, in its order; null where it gives none. The name leads every row, whatever else is shown. */
const columnsGiven = () => addressRead().settings.get("columns")?.split(",").filter(Boolean) ?? null;
const columnsShown = () => (columnsGiven() ?? PLAIN).filter((name) => name !== "name");
/** What the list is sorted by, as a view has it, and as the address has it: by its heading. */
const sortChanged = (sort, change) => sort && `${sort.startsWith("-") ? "-" : ""}${change(sort.replace(/^-/, ""))}`;
const headOf = (name) => columnOf(name)[0];
const nameOf = (head) => Object.keys(COLUMNS).find((name) => COLUMNS[name][0] === head) ?? head;

/** A row whose link stays the same element. */
function row(one) {
  const link = h("a", { href: `#/experiments/${one.id}` }),
    head = h("th", { scope: "row" }, link),
    element = h("tr", {}, head);
  const cell = (now, name) => {
    const [column, content, , kind] = columnOf(name);
    return h("td", { "data-column": column, class: kind ?? null }, h("span", { class: "cell" }, content(now)));
  };
  return {
    element,
    draw({ one: now, columns }) {
      link.textContent = experimentName(now);
      link.title = now.notes || experimentName(now);
      element.replaceChildren(head, ...columns.map((name) => cell(now, name)));
    },
  };
}

const FILTER_EXAMPLE = "name, status:running, tag:pilot";

class Experiments {
  constructor(place, signal) {
    Object.assign(this, { place, signal, list: [], next: null, wanted: PAGE, timer: 0, reading: false });
    this.filter = addressBind("q", h("input", { id: "filter", type: "search", placeholder: FILTER_EXAMPLE, autocomplete: "off", spellcheck: "false", "aria-describedby": "filter-fault" }));
    this.filter.addEventListener("input", () => this.later(250));
    this.count = h("span", { class: "count", role: "status", "aria-live": "polite" });
    this.fault = h("p", { class: "fault-text", id: "filter-fault", role: "status" });
    this.body = h("tbody", {});
    this.heads = h("tr", {});
    this.table = h("table", { class: "cards" }, h("thead", {}, this.heads), this.body);
    this.more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.grow() }, "Show more");
    this.empty = h("div", { class: "empty" });
    this.section = h("section", { class: "wide-table", "aria-label": "Experiments" }, this.table, this.more);
    this.views = new Views(
      "experiments",
      () => ({ q: this.filter.value.trim(), sort: sortChanged(addressRead().settings.get("sort"), nameOf), columns: columnsGiven() }),
      (view) => this.viewTake(view),
      signal,
    );
    place.replaceChildren(
      h("div", { class: "section" }, h("h1", {}, "Experiments"), h("span", { class: "controls" }, h("a", { class: "button primary", href: "#/new" }, "New experiment"))),
      h("div", { class: "tools" }, h("label", { for: "filter" }, "Filter"), this.filter, h("a", { href: "#/help/filter" }, "How to filter"), this.views.element, this.count),
      this.fault,
      this.section,
      this.empty,
      h("p", { class: "hint" }, h("a", { href: "#/jobs" }, "All jobs"), ", those of experiments among them"),
    );
    this.listen();
  }
  listen() {
    const ends = [
      onExperimentEvent(() => this.later(REREAD_MS)),
      onOpened(() => this.later(0)),
    ];
    const slow = setInterval(() => document.hidden || !this.list.some((one) => !EXPERIMENT_ENDED.includes(one.status)) || this.later(0), 5 * REREAD_MS);
    this.signal.addEventListener("abort", () => {
      clearTimeout(this.timer);
      clearInterval(slow);
      ends.forEach((end) => end());
    });
  }
  later(ms) {
    if (ms <= 250) clearTimeout(this.timer);
    else if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.read().catch(() => {});
    }, ms);
  }
  grow() {
    this.wanted += PAGE;
    attempt(() => this.read());
  }
  /** As many as are wanted, in pages. */
  async read() {
    if (this.reading) return this.later(REREAD_MS);
    this.reading = true;
    const q = this.filter.value.trim(),
      found = [];
    let after = null;
    try {
      do {
        const page = await get(`/v1/experiments?limit=${PAGE}${q ? `&q=${encodeURIComponent(q)}` : ""}${after ? `&after=${after}` : ""}`, this.signal);
        found.push(...page.experiments);
        after = page.next;
      } while (after && found.length < this.wanted);
      this.faultSay("");
    } catch (error) {
      if (error.status !== 422 || !q) throw error;
      this.faultSay(error.errors.map((e) => e.detail).join(" ") || error.message);
      return undefined;
    } finally {
      this.reading = false;
    }
    Object.assign(this, { list: found, next: after, q });
    this.draw();
    return undefined;
  }
  faultSay(text) {
    this.fault.textContent = text;
    if (text) this.filter.setAttribute("aria-invalid", "true");
    else this.filter.removeAttribute("aria-invalid");
  }
  viewTake({ q, sort, columns }) {
    this.filter.value = q;
    addressWrite({ q, sort: sortChanged(sort, headOf), columns: columns?.join(",") ?? null });
    this.later(0);
  }
  sortBy(name) {
    sortNext(name);
    this.draw();
  }
  /** As the address says: newest first where it says nothing. */
  sorted() {
    const sort = addressRead().settings.get("sort") ?? "",
      key = COLUMNS[nameOf(sort.replace(/^-/, ""))]?.[2],
      sign = sort.startsWith("-") ? -1 : 1;
    listSync(this.heads, ["name", ...columnsShown()], {
      key: (name) => name,
      state: (name) => String(sort.replace(/^-/, "") === headOf(name) && sort),
      make: (name) => {
        const [head, , by] = columnOf(name),
          element = h("th", { scope: "col" }, by ? h("button", { type: "button", class: "sort", onclick: () => this.sortBy(head) }, head) : head);
        const draw = () => ariaSort(element, head);
        return { element, draw };
      },
    });
    if (!key) return this.list;
    return [...this.list].sort((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : 0));
  }
  draw() {
    if (this.signal.aborted) return;
    const columns = columnsShown(),
      rows = this.sorted().map((one) => ({ one, columns }));
    listSync(this.body, rows, { key: ({ one }) => one.id, state: JSON.stringify, make: ({ one }) => row(one) });
    this.views.show();
    this.more.hidden = !this.next;
    this.section.hidden = !this.list.length;
    this.empty.hidden = this.list.length > 0;
    const some = `${integerText(this.list.length)}${this.next ? " or more" : ""} ${this.list.length === 1 ? "experiment" : "experiments"}`;
    this.count.textContent = this.list.length ? some : "";
    if (!this.list.length) this.empty.replaceChildren(...(this.q ? [h("p", {}, "No experiment matches the filter.")] : nothing()));
  }
}

const nothing = () => [
  h("h2", {}, "No experiments yet"),
  h("p", {}, "An experiment runs conditions on seeds, and compares them: rules, parameters, networks. Give a field of the form several values, and a range of seeds."),
  h("p", {}, h("a", { class: "button primary", href: "#/new" }, "Make the first one"), " ", h("a", { class: "button", href: "#/jobs" }, "Jobs")),
];

/** Shows the list in `place` until `signal`. */
export function experimentsShow(place, signal) {
  loadInto(place, "No experiments", signal, async () => {
    const first = await get("/v1/experiments?limit=1", signal); // says what is wrong before anything is drawn
    if (signal.aborted || !first) return;
    const page = new Experiments(place, signal);
    document.querySelector("nav [data-page=experiments]")?.setAttribute("href", addressRead().settings.size ? location.hash : "#/");
    await page.read();
  });
}
