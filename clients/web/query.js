/*
 * The filter of the list: which jobs the daemon finds for a query. The language is the daemon's alone (server/QUERIES.md); the page sends the text,
 * and asks again about the jobs that change.
 */
import { get } from "./api.js";
import { jobOf, jobPut, onJobs, onOpened } from "./jobs.js";

const PAGE = 100,
  TYPED = 250, // ms after the last letter
  CHANGED = 500, // ms between two questions about jobs that change
  ASKED = 20, // jobs in one of them
  LONGEST = 1023; // bytes of a query

const bytesOf = (text) => new TextEncoder().encode(text).length;

/** What a query finds. `changed()` is called when that changes, `signal` ends it. */
export class Query {
  constructor(changed, signal) {
    Object.assign(this, { changed, signal, text: "", ids: null, faults: [], reading: false, stale: new Set(), asking: false });
    signal.addEventListener("abort", () => this.stop());
    signal.addEventListener(
      "abort",
      onJobs((id) => id && this.touched(id)),
    );
    signal.addEventListener(
      "abort",
      onOpened(() => this.text && this.ask()),
    );
  }
  stop() {
    clearTimeout(this.timer);
    this.control?.abort();
    this.stale.clear();
  }
  /** Whether a job fits. Until an answer has come, those fit that did before. */
  fits(job) {
    return !this.ids || this.ids.has(job.id);
  }
  /** Another text: asked at once, or once nobody types any more. `blank`: nothing fits until the answer has come. */
  set(text, { soon = false, blank = false } = {}) {
    if (text.trim() === this.text && !this.faults.length) return;
    this.stop();
    this.text = text.trim();
    this.faults = [];
    this.reading = Boolean(this.text);
    if (!this.text || blank) this.ids = this.text ? new Set() : null;
    if (this.text && !soon) this.ask();
    else if (this.text) this.timer = setTimeout(() => this.ask(), TYPED);
    this.changed();
  }
  /** All that the query finds, page by page. A page may be empty and not the last: the daemon looks at so many jobs a call. */
  async ask() {
    this.stop();
    this.control = new AbortController();
    const { signal } = this.control,
      q = encodeURIComponent(this.text),
      ids = new Set();
    let after = null;
    this.reading = true;
    try {
      do {
        const page = await get(`/v1/jobs?limit=${PAGE}&q=${q}${after ? `&after=${after}` : ""}`, signal);
        for (const { id } of page.jobs) ids.add(id);
        for (const job of page.jobs) if (!jobOf(job.id)) jobPut(job);
        if (!this.ids || this.ids.size < ids.size) this.ids = new Set(ids);
        after = page.next;
        this.changed();
      } while (after);
      this.ids = ids;
      this.faults = [];
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 422) {
        this.faults = error.errors.map(({ detail }) => `${detail[0].toUpperCase()}${detail.slice(1)}.`.replace(/([.?!])\.$/, "$1"));
        this.text = "";
        this.ids = null;
      }
    }
    this.reading = false;
    this.changed();
  }
  /** A job has changed: whether it fits may have, too. */
  touched(id) {
    if (!this.text || this.reading) return;
    this.stale.add(id);
    if (!this.asking) this.askStale();
  }
  async askStale() {
    const room = Math.floor((LONGEST - bytesOf(this.text) - 4) / 37);
    this.asking = true;
    await new Promise((done) => setTimeout(done, CHANGED));
    this.asking = false;
    const ids = [...this.stale].slice(0, Math.min(ASKED, room)),
      { ids: known, text, signal } = this;
    if (signal.aborted || !known || !this.stale.size) return;
    if (!ids.length) return void this.ask();
    for (const id of ids) this.stale.delete(id);
    try {
      const page = await get(`/v1/jobs?limit=${PAGE}&q=${encodeURIComponent(`${text} id:${ids.join(",")}`)}`, signal);
      if (this.ids !== known) return;
      for (const id of ids) known.delete(id);
      for (const { id } of page.jobs) known.add(id);
      this.changed();
    } catch {
      /* a daemon that does not answer is asked again once it is back */
    }
    if (this.stale.size && !this.asking && this.text) this.askStale();
  }
}

/** Examples, each with what it finds: the page's help is made of them. */
export const EXAMPLES = [
  ["first try", "jobs whose names contain both words; a job without a name is found by its task"],
  ['"first try"', "the two words side by side"],
  ["rule:eprop", "jobs of one rule; rule:eprop,mdgl finds either"],
  ["task:delayed_xor", "jobs of one task; task:*mnist finds all that end so"],
  ["status:running", "jobs in one state; status:active finds those that have not ended"],
  ["outcome:diverged", "jobs that ended above three times their first loss"],
  ["seed:1..5", "seeds from 1 to 5; seed:3 finds seed 3 alone"],
  ["loss<0.1", "the last loss below 0.1; also <=, >, >= and !=. loss:none finds jobs without a loss"],
  ["accuracy>0.9", "the last accuracy above 90 %"],
  ["tag:paper", "jobs with a tag; notes:*word* looks into the notes"],
  ["created>=2026-11-01", "jobs since a day; created:2026-11-28 finds those of that day"],
  ["meta.lab=x", "a value of the job's metadata"],
  ["rule.mu:0.25", "any parameter by its section and name: network.units>100, optimizer.learning_rate<1e-3"],
  ["id:01a2", "the job whose id begins so"],
  ["-rule:bptt", "a minus finds what does not fit"],
];
