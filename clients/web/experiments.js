/*
 * The list of experiments: the page that one opens first. It is read in pages as one asks for more, and again while any of them goes on and something
 * happens. Filter and order stand in the address.
 */
import { addressRead, ariaSort, kept, sortNext } from "./address.js";
import { get } from "./api.js";
import { attempt, badge, clock, grouped, h, keyed } from "./dom.js";
import { onExperimentEvent, onOpened } from "./jobs.js";
import { filled } from "./load.js";

const PAGE = 50,
  AGAIN = 2000; // ms between two readings
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
    said = PARTS.filter(([key]) => of[key]).map(([key, word]) => `${grouped(of[key])} ${word}`);
  const parts = PARTS.filter(([key]) => of[key] && key !== "waiting").map(([key]) => {
    const part = h("span", { class: `part-${key}` });
    part.style.width = `${(100 * of[key]) / Math.max(1, total)}%`;
    return part;
  });
  return h("span", { class: "parts-bar", role: "img", "aria-label": said.join(", ") || "nothing yet", title: said.join(", ") }, parts);
}

/** What an experiment is called where it has no name. */
export const experimentName = (experiment) => experiment.name || `experiment ${experiment.id.slice(-6)}`;

function cells(one) {
  const ended = one.counts.succeeded + one.counts.failed + one.counts.cancelled;
  return [
    ["Status", badge(one.status)],
    ["Trials", [h("span", { class: "num" }, `${grouped(ended)} of ${grouped(one.trials)}`), progressBar(one.counts, one.trials)], "progress-cell"],
    ["Points", grouped(one.points), "num"],
    ["Tags", one.tags?.length ? one.tags.map((tag) => h("span", { class: "tag" }, tag)) : "–"],
    ["Created", clock(one.created_at), "num"],
    ["Finished", clock(one.finished_at), "num"],
  ].map(([column, content, kind]) => h("td", { "data-column": column, class: kind ?? null }, h("span", { class: "cell" }, content)));
}
/** A row whose link stays the same element. */
function row(one) {
  const link = h("a", { href: `#/experiments/${one.id}` }),
    head = h("th", { scope: "row" }, link),
    element = h("tr", {}, head);
  return {
    element,
    draw(now) {
      link.textContent = experimentName(now);
      link.title = now.notes || experimentName(now);
      element.replaceChildren(head, ...cells(now));
    },
  };
}

/** Heading, and what the list is sorted by. */
const HEADS = [
  ["Name", (one) => experimentName(one).toLowerCase()],
  ["Status", (one) => one.status],
  ["Trials", (one) => one.trials],
  ["Points", (one) => one.points],
  ["Tags"],
  ["Created", (one) => one.created_at],
  ["Finished", (one) => one.finished_at ?? ""],
];
const TRY = "name, status:running, tag:pilot";

class Experiments {
  constructor(place, signal) {
    Object.assign(this, { place, signal, list: [], next: null, wanted: PAGE, timer: 0, reading: false });
    this.filter = kept("q", h("input", { id: "filter", type: "search", placeholder: TRY, autocomplete: "off", spellcheck: "false", "aria-describedby": "filter-fault" }));
    this.filter.addEventListener("input", () => this.later(250));
    this.count = h("span", { class: "count", role: "status", "aria-live": "polite" });
    this.fault = h("p", { class: "fault-text", id: "filter-fault", role: "status" });
    this.body = h("tbody", {});
    this.heads = h("tr", {});
    this.table = h("table", { class: "cards" }, h("thead", {}, this.heads), this.body);
    this.more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.grow() }, "Show more");
    this.empty = h("div", { class: "empty" });
    this.section = h("section", { class: "wide-table", "aria-label": "Experiments" }, this.table, this.more);
    place.replaceChildren(
      h("div", { class: "section" }, h("h1", {}, "Experiments"), h("span", { class: "controls" }, h("a", { class: "button primary", href: "#/new" }, "New experiment"))),
      h("div", { class: "tools" }, h("label", { for: "filter" }, "Filter"), this.filter, h("a", { href: "#/help/filter" }, "How to filter"), this.count),
      this.fault,
      this.section,
      this.empty,
      h("p", { class: "hint" }, h("a", { href: "#/jobs" }, "All jobs"), ", those of experiments among them"),
    );
    this.listen();
  }
  listen() {
    const ends = [
      onExperimentEvent(() => this.later(AGAIN)),
      onOpened(() => this.later(0)),
    ];
    const slow = setInterval(() => document.hidden || !this.list.some((one) => !EXPERIMENT_ENDED.includes(one.status)) || this.later(0), 5 * AGAIN);
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
    if (this.reading) return this.later(AGAIN);
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
  sortBy(name) {
    sortNext(name);
    this.draw();
  }
  /** As the address says: newest first where it says nothing. */
  sorted() {
    const sort = addressRead().settings.get("sort") ?? "",
      key = HEADS.find(([name]) => name === sort.replace(/^-/, ""))?.[1],
      sign = sort.startsWith("-") ? -1 : 1;
    keyed(this.heads, HEADS, {
      key: ([name]) => name,
      state: ([name]) => String(sort.endsWith(name) && sort),
      make: ([name, by]) => {
        const element = h("th", { scope: "col" }, by ? h("button", { type: "button", class: "sort", onclick: () => this.sortBy(name) }, name) : name);
        const draw = () => ariaSort(element, name);
        return { element, draw };
      },
    });
    if (!key) return this.list;
    return [...this.list].sort((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : 0));
  }
  draw() {
    if (this.signal.aborted) return;
    keyed(this.body, this.sorted(), { key: (one) => one.id, state: JSON.stringify, make: row });
    this.more.hidden = !this.next;
    this.section.hidden = !this.list.length;
    this.empty.hidden = this.list.length > 0;
    const some = `${grouped(this.list.length)}${this.next ? " or more" : ""} ${this.list.length === 1 ? "experiment" : "experiments"}`;
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
  filled(place, "No experiments", signal, async () => {
    const first = await get("/v1/experiments?limit=1", signal); // says what is wrong before anything is drawn
    if (signal.aborted || !first) return;
    const page = new Experiments(place, signal);
    document.querySelector("nav [data-page=experiments]")?.setAttribute("href", addressRead().settings.size ? location.hash : "#/");
    await page.read();
  });
}
