/*
 * The form of a new job, made from /v1/tasks and /v1/rules: a parameter that the daemon learns tomorrow appears by itself.
 *
 * Only what differs from its default goes into the document, so that the curl line and the Python below it (snippets.js) are as short as a
 * person would write them. While one types the daemon validates the whole document, and each fault appears beside its field, found by JSON
 * Pointer.
 */
import { addressRead } from "./address.js";
import { get, post } from "./api.js";
import { catalog, parametersOf } from "./catalog.js";
import { datasetsRead } from "./datasets.js";
import { attempt, bytes, duration, grouped, h, notice, number } from "./dom.js";
import { jobPut, onOpened } from "./jobs.js";
import { filled } from "./load.js";
import { curlOf, jsonOf, pythonOf } from "./snippets.js";

const QUIET = 250, // ms after the last key before the daemon is asked
  SEEDS_MAX = 50;
/* What belongs to the job itself stands in the contract, not in /v1/tasks. */
const OWN = {
  name: { type: "string", default: null, nullable: true, description: "what the job is called in lists" },
  seed: {
    type: "integer",
    default: 1,
    minimum: 0,
    maximum: 2 ** 53 - 1,
    description: "initial weights, trials and evaluation batches; the same whatever the rule",
  },
  priority: { type: "integer", default: 0, minimum: -1e6, maximum: 1e6, description: "higher starts first" },
  threads: {
    type: "integer",
    default: null,
    nullable: true,
    minimum: 1,
    maximum: 4096,
    description: "at most so many; empty: all there are. Results do not depend on it",
  },
  time_limit: {
    type: "integer",
    unit: "s",
    default: null,
    nullable: true,
    minimum: 1,
    maximum: 1e9,
    description: "fail the job after this much training time; empty: never",
  },
  metadata: {
    type: "custom",
    default: {},
    schema: { type: "object" },
    description: "anything of your own to keep with the job",
  },
};
const LANGUAGES = { curl: ["curl", curlOf], python: ["Python", pythonOf], json: ["JSON", jsonOf] };
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** A field's text as a value of its parameter: what cannot be read goes to the daemon as text, which says what is wrong with it. */
export function valueRead(parameter, text) {
  const trimmed = text.trim();
  if (trimmed === "") return parameter.nullable ? null : undefined;
  if (parameter.type === "string" || parameter.type === "choice") return trimmed;
  if (parameter.type !== "custom") return Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
  try {
    return JSON.parse(trimmed);
  } catch {
    return trimmed;
  }
}
const valueText = (value) =>
  value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);

const settingsText = (settings) =>
  Object.entries(settings)
    .flatMap(([section, values]) => Object.entries(values).map(([name, value]) => `${section}.${name} ${valueText(value)}`))
    .join(", ");

/** A range as people write it; bounds that no one meets are left out. */
function range({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }) {
  const low = minimum ?? exclusiveMinimum,
    high = maximum ?? exclusiveMaximum,
    wide = (v) => v === undefined || Math.abs(v) >= 1e9,
    written = (v) => (Number.isInteger(v) ? grouped(v) : String(v));
  if (wide(low) && wide(high)) return "";
  if (wide(high)) return `${exclusiveMinimum !== undefined ? "above" : "at least"} ${written(low)}`;
  return `${exclusiveMinimum !== undefined ? "above " : ""}${low === undefined ? "…" : written(low)} to ${written(high)}`;
}

/** What may be written for a JSON schema, in a line: alternatives, numbers with their range, objects as an example of their form. */
export function schemaText(schema) {
  if (schema.oneOf) return schema.oneOf.map(schemaText).join(", or ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((v) => JSON.stringify(v)).join(" or ");
  const types = [schema.type].flat().filter((t) => t !== "null");
  if (types[0] === "object" && schema.properties)
    return `{${Object.entries(schema.properties)
      .map(([k, v]) => `"${k}"${schema.required?.includes(k) ? "" : "?"}: ${schemaText(v)}`)
      .join(", ")}}`;
  if (types[0] === "array")
    return `a list of ${schema.items?.enum ? schema.items.enum.map((v) => JSON.stringify(v)).join(", ") : `${schema.items?.type ?? "value"}s`}`;
  if (types[0] === "object") return "a JSON object";
  return [{ string: "a name", boolean: "true or false" }[types[0]] ?? types[0], range(schema)].filter(Boolean).join(" ");
}

function limits(parameter) {
  const value = valueText(parameter.default),
    allowed = parameter.schema ? schemaText(parameter.schema) : range(parameter);
  return [allowed, parameter.required ? "required" : `default ${value === "" ? "none" : value}`].filter(Boolean).join("; ");
}

const DATASET = "/task/name";

class Field {
  /** `names`: the datasets that there are. */
  constructor(section, name, parameter, names, changed) {
    Object.assign(this, { section, name, parameter, pointer: `/${[...(section ? [section] : []), name].join("/")}` });
    const id = `f${this.pointer.replaceAll("/", "-")}`,
      about = { id, "aria-describedby": `${id}-about ${id}-fault`, oninput: changed },
      dataset = this.pointer === DATASET,
      choices = parameter.choices ?? (dataset && names.length ? ["", ...names] : null);
    if (choices)
      this.input = h(
        "select",
        about,
        choices.map((c) => h("option", { value: c }, c || "choose")),
      );
    else if (parameter.type === "boolean") this.input = h("input", { ...about, type: "checkbox" });
    else
      this.input = h("input", {
        ...about,
        type: "text",
        inputmode: ["integer", "number"].includes(parameter.type) ? "decimal" : null,
        autocomplete: "off",
        spellcheck: "false",
      });
    this.fault = h("p", { class: "fault-text", id: `${id}-fault` });
    this.element = h(
      "div",
      { class: "field" },
      h("label", { for: id }, name.replaceAll("_", " "), parameter.unit ? h("span", { class: "unit" }, ` ${parameter.unit}`) : null),
      this.input,
      h("p", { class: "about", id: `${id}-about` }, parameter.description, h("span", { class: "limits" }, ` ${limits(parameter)}`)),
      dataset ? h("p", { class: "about" }, h("a", { href: "#/datasets" }, "Datasets: upload, versions")) : null,
      this.fault,
    );
    this.set(parameter.default);
  }
  set(value) {
    if (this.parameter.type === "boolean") this.input.checked = Boolean(value);
    else {
      const text = valueText(value),
        missing = this.input.options && ![...this.input.options].some((o) => o.value === text);
      if (missing) this.input.append(h("option", { value: text }, text)); // of a template, gone since
      this.input.value = text;
    }
  }
  value() {
    return this.parameter.type === "boolean" ? this.input.checked : valueRead(this.parameter, this.input.value);
  }
  say(text) {
    this.fault.textContent = text;
    if (text) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }
}

class Form {
  constructor(place, all, template, signal) {
    Object.assign(this, { place, all, signal, fields: [], timer: 0, control: null });
    this.state = h("span", { class: "hint" });
    this.task = this.pick("task", all.tasks, template?.task.type || all.tasks[0].type);
    this.rule = this.pick("rule", all.rules, template?.rule.type || all.rule);
    this.sections = h("div", { class: "sections" });
    this.count = h("input", {
      id: "f-seeds",
      type: "number",
      min: 1,
      max: SEEDS_MAX,
      value: 1,
      "aria-describedby": "f-seeds-about",
      oninput: () => this.changed(),
    });
    this.summary = h("div", { class: "summary", role: "status", "aria-live": "polite" });
    this.code = h("pre", { tabindex: "0", "aria-label": "The same job as code" });
    this.language = "curl";
    this.button = h("button", { class: "primary", type: "submit" }, "Submit");
    const words = Object.entries(LANGUAGES).map(([key, [text]]) =>
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-pressed": String(key === "curl"),
          "data-language": key,
          onclick: (e) => this.speak(e.currentTarget),
        },
        text,
      ),
    );
    const copy = h(
      "button",
      {
        type: "button",
        class: "quiet",
        onclick: () => attempt(() => this.copy()),
      },
      "Copy",
    );
    place.replaceChildren(
      h("h1", {}, template?.id ? "New job, from another" : "New job"),
      h(
        "form",
        {
          class: "job-form",
          novalidate: true,
          onsubmit: (e) => {
            e.preventDefault();
            this.submit();
          },
        },
        this.sections,
        h(
          "aside",
          { class: "side", "aria-label": "Check and submit" },
          h("h2", {}, "Check"),
          this.summary,
          h("div", { class: "actions submit" }, this.button, this.state),
          h("h2", {}, "The same as"),
          h("div", { class: "controls" }, words, copy),
          this.code,
        ),
      ),
    );
    this.words = words;
    this.build(template);
  }
  pick(word, list, value) {
    return h(
      "select",
      { id: `f-${word}-type`, value, "aria-describedby": `f-${word}-type-about`, onchange: () => this.build(this.written()) },
      list.map((entry) => h("option", { value: entry.type, selected: entry.type === value }, entry.type)),
    );
  }
  speak(button) {
    this.language = button.dataset.language;
    for (const word of this.words) word.setAttribute("aria-pressed", String(word === button));
    this.show();
  }
  /** All fields anew for the chosen task and rule; values of `kept` that have a field stay. */
  build(kept) {
    const active = document.activeElement?.id;
    const of = (list, chosen) => list.find((entry) => entry.type === chosen.value),
      known = parametersOf(this.all, this.task.value, this.rule.value);
    this.fields = [];
    const make = (section, parameters) =>
      Object.entries(parameters).map(([name, parameter]) => {
        const field = new Field(section, name, parameter, this.all.datasets, () => this.changed()),
          from = section ? kept?.[section] : kept;
        if (from && Object.hasOwn(from, name)) field.set(from[name]);
        this.fields.push(field);
        return field.element;
      });
    const group = (title, open, ...children) =>
      h("details", { class: "group", open }, h("summary", {}, h("h2", {}, title)), h("div", { class: "fields" }, children));
    const chooser = (word, select, { description, recommended = [] }) =>
      h(
        "div",
        { class: "field wide" },
        h("label", { for: select.id }, word),
        select,
        h("p", { class: "about", id: `${select.id}-about` }, description),
        recommended.map((one) => this.recommendation(one)),
      );
    const opened = (title) => [...this.sections.children].find((d) => d.querySelector("h2")?.textContent === title)?.open;
    const seeds = h(
      "div",
      { class: "field" },
      h("label", { for: "f-seeds" }, "seeds"),
      this.count,
      h("p", { class: "about", id: "f-seeds-about" }, "submit so many jobs with successive seeds, to compare"),
    );
    this.sections.replaceChildren(
      ...[
        group("Task", true, chooser("task", this.task, of(this.all.tasks, this.task)), make("task", known.task)),
        group("Rule", true, chooser("rule", this.rule, of(this.all.rules, this.rule)), make("rule", known.rule)),
        group("Job", true, make("", OWN), seeds),
        group("Training", opened("Training") ?? true, make("training", known.training)),
        group("Network", opened("Network") ?? false, make("network", known.network)),
        group("Optimizer", opened("Optimizer") ?? false, make("optimizer", known.optimizer)),
      ],
    );
    if (active) document.getElementById(active)?.focus();
    this.changed();
  }
  /** Settings that were measured to work well, and what takes them over. */
  recommendation({ for: use, settings, evidence }) {
    const take = () => {
      const kept = this.written();
      for (const [section, values] of Object.entries(settings)) kept[section] = { ...kept[section], ...values };
      this.build(kept);
      notice(`Set for ${use}`);
    };
    return h(
      "p",
      { class: "about" },
      `Recommended for ${use}: ${settingsText(settings)}. ${evidence} `,
      h("button", { type: "button", class: "quiet", onclick: take }, "Use these settings"),
    );
  }
  /** What differs from the defaults, by section. */
  written() {
    const written = {};
    for (const field of this.fields) {
      const value = field.value();
      if (value === undefined || same(value, field.parameter.default ?? null)) continue;
      if (field.section) (written[field.section] ||= {})[field.name] = value;
      else written[field.name] = value;
    }
    return written;
  }
  document() {
    const { task, rule, ...rest } = this.written();
    return { task: { type: this.task.value, ...task }, rule: { type: this.rule.value, ...rule }, ...rest };
  }
  /** A page that did not come over a safe connection has no clipboard: then the text is selected. */
  async copy() {
    if (!navigator.clipboard) {
      getSelection().selectAllChildren(this.code);
      notice("Selected; copy it with the keyboard");
      return;
    }
    await navigator.clipboard.writeText(this.code.textContent);
    notice("Copied");
  }
  seeds() {
    return Math.min(SEEDS_MAX, Math.max(1, Math.floor(Number(this.count.value)) || 1));
  }
  show() {
    const write = LANGUAGES[this.language][1],
      seeds = this.seeds();
    this.code.textContent = write(this.document(), seeds, location.origin);
    this.button.textContent = seeds > 1 ? `Submit ${plural(seeds, "job")}` : "Submit";
  }
  changed() {
    this.show();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.validate(), QUIET);
  }
  async validate() {
    if (this.control) this.control.abort();
    this.control = new AbortController();
    try {
      const answer = await post("/v1/jobs:validate", this.document(), this.control.signal);
      this.faults([]);
      this.state.textContent = "Valid.";
      const e = answer.estimate,
        each = this.seeds() > 1 ? " each" : "";
      this.summary.replaceChildren(
        h("p", { class: "good" }, "The job is valid."),
        h(
          "dl",
          { class: "facts" },
          [
            ["Memory" + each, bytes(e.memory_bytes)],
            ["Checkpoint", bytes(e.checkpoint_bytes)],
            ["Multiply-adds an iteration", number(e.multiply_adds)],
            ["Method", e.method],
            ...(e.training?.seconds > 0 ? [["Training, about", duration(e.training.seconds)]] : []),
            ...(e.evaluation?.seconds > 0 ? [["Evaluation, about", duration(e.evaluation.seconds)]] : []),
          ].map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", { class: "num" }, v))),
        ),
      );
    } catch (error) {
      if (error.name !== "AbortError" && !this.signal.aborted) this.refuse(error);
    }
  }
  refuse(error) {
    const rest = this.faults(error.errors || []);
    const n = (error.errors || []).length,
      said = n ? `${n} ${n === 1 ? "field needs" : "fields need"} a change.` : error.message;
    this.state.textContent = said;
    this.summary.replaceChildren(
      h("p", { class: "bad" }, said),
      h(
        "ul",
        { class: "plain" },
        (error.errors || []).map((e) =>
          h("li", {}, h("code", {}, e.pointer), ` ${e.detail}`, rest.includes(e) ? " (not in this form)" : ""),
        ),
      ),
    );
  }
  /** Tells each field its fault; returns those that have no field. A fault inside a value belongs to the value's field. */
  faults(errors) {
    const rest = [];
    for (const field of this.fields) field.say("");
    for (const error of errors) {
      const field = this.fields.find((f) => error.pointer === f.pointer || error.pointer.startsWith(`${f.pointer}/`));
      if (!field) {
        rest.push(error);
        continue;
      }
      field.say(error.detail);
      field.element.closest("details").open = true;
    }
    return rest;
  }
  async submit() {
    const first = this.document(),
      seeds = this.seeds(),
      made = [];
    this.button.disabled = true;
    try {
      for (let i = 0; i < seeds; i++) made.push(await post("/v1/jobs", seeds > 1 ? { ...first, seed: (first.seed ?? 1) + i } : first));
      made.forEach(jobPut);
      notice(`${plural(made.length, "job")} submitted`);
      location.hash = made.length > 1 ? `#/compare/${made.map((j) => j.id).join(",")}` : `#/jobs/${made[0].id}`;
    } catch (error) {
      made.forEach(jobPut);
      this.refuse(error);
      if (made.length) notice(`${made.length} of ${seeds} submitted; then: ${error.message}`, true);
      this.fields.find((f) => f.input.getAttribute("aria-invalid"))?.input.focus();
    } finally {
      this.button.disabled = false;
    }
  }
  end() {
    clearTimeout(this.timer);
    if (this.control) this.control.abort();
  }
}

/** Shows the form in `place` until `signal`, filled from job `id` where given; the address may name a dataset to train on. */
export function formShow(place, id, signal) {
  const name = addressRead().settings.get("dataset");
  filled(place, "No such job to start from", signal, async () => {
    const [known, template, { datasets }] = await Promise.all([
      catalog(),
      id ? get(`/v1/jobs/${id}`, signal) : null,
      datasetsRead(signal).catch(() => ({ datasets: [] })),
    ]);
    if (signal.aborted) return;
    const all = { ...known, datasets: datasets.map((d) => d.name) },
      from = template ?? (name ? { task: { type: "dataset", name }, rule: { type: known.rule } } : null);
    const form = new Form(place, all, from, signal);
    const endOpened = onOpened(() => form.validate());
    signal.addEventListener("abort", () => {
      endOpened();
      form.end();
    });
  });
}
