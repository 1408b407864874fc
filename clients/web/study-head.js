/*
 * The head of an experiment's page: name, state, progress, what it costs, and what may be done with it.
 */
import { download, patch, post, remove } from "./api.js";
import { attempt, badge, clock, duration, integerText, h, notice } from "./dom.js";
import { EXPERIMENT_ENDED, experimentName, progressBar } from "./experiments.js";
import { seedsRead } from "./several.js";

const ACTIONS = [
  ["pause", "Pause", ({ status }) => status === "running", "paused"],
  ["resume", "Resume", ({ status }) => status === "paused", "resumed"],
  ["cancel", "Cancel", ({ status }) => ["running", "paused"].includes(status), "cancel requested"],
  ["retry", "Retry", ({ status, counts }) => EXPERIMENT_ENDED.includes(status) && counts.failed + counts.cancelled + counts.waiting > 0, "runs again"],
];
const ESTIMATED = 1000; // points of an experiment whose cost is asked for
const button = (text, onclick, kind = "quiet") => h("button", { type: "button", class: kind, onclick }, text);

const seedsOf = (text) => seedsRead(text) ?? [Number(text)];

/** The seeds of a specification as the range that comes after them. */
function seedsNext(seeds) {
  const list = Array.isArray(seeds) ? seeds : [seeds ?? {}],
    ends = list.map((one) => (typeof one === "object" ? (one.from ?? 1) + (one.count ?? 10) : one + 1)),
    from = Math.max(...ends);
  return `${from}-${from + 9}`;
}

/** A dialog with one form: `fields` are elements, `take()` does what it is for. */
function dialogMake(title, fields, word, take) {
  const fault = h("p", { class: "fault-text", role: "alert" }),
    dialog = h(
      "dialog",
      { "aria-label": title },
      h(
        "form",
        {
          method: "dialog",
          onsubmit: async (event) => {
            if (event.submitter?.value === "cancel") return;
            event.preventDefault();
            try {
              await take();
              dialog.close();
            } catch (error) {
              fault.textContent = error.sentence ? error.sentence() : error.message;
            }
          },
        },
        h("h2", {}, title),
        fields,
        fault,
        h("p", { class: "actions" }, h("button", { class: "primary", value: "ok" }, word), " ", h("button", { class: "quiet", value: "cancel", formnovalidate: true }, "Cancel")),
      ),
    );
  return dialog;
}
const field = (id, label, input, about) => [h("label", { for: id }, label), input, about ? h("p", { class: "about" }, about) : null];

class Head {
  constructor(experiment, { changed, signal }) {
    Object.assign(this, { experiment, changed, signal, may: null });
    this.title = h("div", {});
    this.buttons = h("div", { class: "actions" });
    this.reason = h("div", { role: "status" });
    this.list = h("dl", { class: "facts" });
    this.dialogs = h("div", {});
    this.element = h("div", { class: "job-head" }, this.title, this.buttons, this.reason, this.list, this.dialogs);
    this.draw(experiment, []);
    if (experiment.points <= ESTIMATED) this.estimateRead();
  }
  /** What it costs as a whole, as it would be said of a new one; a reader's token may not ask. */
  async estimateRead() {
    try {
      this.estimate = (await post("/v1/experiments:validate", this.experiment.specification, this.signal)).estimate;
      if (!this.signal.aborted) this.draw(this.experiment, this.points);
    } catch {
      this.estimate = null;
    }
  }
  get path() {
    return `/v1/experiments/${this.experiment.id}`;
  }
  act([word, , , done]) {
    return attempt(async () => {
      this.changed(await post(`${this.path}/${word}`));
      notice(`${experimentName(this.experiment)}: ${done}`);
    });
  }
  drop() {
    if (!window.confirm(`Delete ${experimentName(this.experiment)} with the jobs that it made and that nothing else uses?`)) return undefined;
    return attempt(async () => {
      await remove(this.path);
      location.hash = "#/";
    });
  }
  open(dialog) {
    this.dialogs.replaceChildren(dialog);
    dialog.addEventListener("close", () => dialog.remove());
    dialog.showModal();
  }
  extend() {
    const seeds = h("input", { id: "more-seeds", value: seedsNext(this.experiment.specification.seeds), autocomplete: "off" }),
      about = "Existing trials stay. Seeds that already exist change nothing, so the request may be repeated.";
    const take = async () => {
      this.changed(await patch(this.path, { seeds: seedsOf(seeds.value) }));
      notice(`${experimentName(this.experiment)}: seeds added`);
    };
    this.open(dialogMake("Add seeds", field("more-seeds", "Seeds", seeds, about), "Add", take));
  }
  edit() {
    const { name, notes, tags } = this.experiment,
      input = { name: h("input", { id: "edit-name", value: name ?? "" }), tags: h("input", { id: "edit-tags", value: (tags ?? []).join(", ") }), notes: h("textarea", { id: "edit-notes", rows: 5 }) };
    input.notes.value = notes ?? "";
    const take = async () => {
      const words = input.tags.value.split(",").map((tag) => tag.trim());
      this.changed(await patch(this.path, { name: input.name.value.trim() || null, notes: input.notes.value || null, tags: words.filter(Boolean) }));
    };
    const fields = [field("edit-name", "Name", input.name), field("edit-tags", "Tags", input.tags, "separated by commas"), field("edit-notes", "Notes", input.notes)];
    this.open(dialogMake("Name, tags, notes", fields, "Save", take));
  }
  buttonsMake() {
    const { experiment } = this,
      save = (what) => button(`${what[0].toUpperCase()}${what.slice(1)}, CSV`, () => attempt(() => download(`${this.path}/${what}`, `${experiment.id}.${what}.csv`, "text/csv")));
    return [
      ...ACTIONS.filter(([, , fits]) => fits(experiment)).map((action) => button(action[1], () => this.act(action))),
      ...(["cancelling", "cancelled"].includes(experiment.status) ? [] : [button("Add seeds", () => this.extend())]),
      button("Edit", () => this.edit()),
      h("a", { class: "button quiet", href: `#/new?experiment=${experiment.id}` }, "Use as a template"),
      save("points"),
      save("trials"),
      save("compare"),
      ...(EXPERIMENT_ENDED.includes(experiment.status) ? [button("Delete", () => this.drop(), "danger")] : []),
    ];
  }
  facts(points) {
    const { experiment } = this,
      { counts } = experiment,
      spent = 3600 * (this.estimate?.core_hours ?? 0),
      count = (key, word) => counts[key] > 0 && [word, integerText(counts[key])],
      diverged = points.reduce((sum, point) => sum + (point.diverged ?? 0), 0);
    const list = [
      ["Points", integerText(experiment.points)],
      ["Trials", integerText(experiment.trials)],
      count("succeeded", "Succeeded"),
      diverged > 0 && ["Diverged", integerText(diverged)],
      count("failed", "Failed"),
      count("cancelled", "Cancelled"),
      count("running", "Running"),
      count("paused", "Paused"),
      counts.waiting + counts.queued > 0 && ["Waiting", integerText(counts.waiting + counts.queued)],
      spent > 0 && ["Cost, about", `${duration(spent)} of a core`],
      ["Created", clock(experiment.created_at)],
      experiment.finished_at && ["Finished", clock(experiment.finished_at)],
    ];
    return list.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { class: "num" }, value)));
  }
  draw(experiment, points) {
    Object.assign(this, { experiment, points });
    const name = experimentName(experiment),
      tags = (experiment.tags ?? []).map((tag) => h("span", { class: "tag" }, tag));
    document.title = `${name} – modprop`;
    const may = JSON.stringify([experiment.status, ACTIONS.map(([, , fits]) => fits(experiment))]);
    if (may !== this.may) {
      const held = this.buttons.contains(document.activeElement) ? document.activeElement.textContent : null;
      this.buttons.replaceChildren(...this.buttonsMake());
      if (held) [...this.buttons.children].find((b) => b.textContent === held)?.focus();
      this.may = may;
    }
    this.title.replaceChildren(
      h("div", { class: "title" }, h("h1", {}, name), badge(experiment.status), tags, h("span", { class: "id" }, experiment.id)),
      experiment.notes ? h("p", { class: "notes" }, experiment.notes) : "",
      progressBar(experiment.counts, experiment.trials),
    );
    this.reason.className = experiment.reason ? "fault" : "";
    if (this.reason.textContent !== (experiment.reason ?? "")) this.reason.textContent = experiment.reason ?? "";
    this.list.replaceChildren(...this.facts(points));
  }
}

/** The head of `experiment`: {element, draw(experiment, points)}; `changed(experiment)` hears what an action answered. */
export const headMake = (experiment, settings) => new Head(experiment, settings);
