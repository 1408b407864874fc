/*
 * The language of the filter: which jobs a text asks for. Pure: it knows neither the page nor the daemon, so that it can follow the daemon's own
 * language word for word.
 *
 *   query    = term, separated by blanks; a job must fit all of them
 *   term     = ["-"] word | ["-"] field operator values         "-" finds those that do not fit
 *   word     = text that the name contains, or that the task's name contains where the job has no name
 *   operator = ":" | "=" (the same) | "!=" | "<" | "<=" | ">" | ">="
 *   values   = value {"," value}                                any of them
 *   value    = text, upper and lower case alike, "*" for any characters | number | low ".." high, one of which may be missing | "none"
 *
 * Quotes keep blanks together: name:"first try". Fields are those of FIELDS, and any of a job's document by its path: rule.mu, meta.lab.
 */

const ENDED = ["succeeded", "failed", "cancelled"];
/** Fields with a name of their own: what they are of a job. */
const FIELDS = {
  name: (job) => job.name,
  id: (job) => job.id,
  task: (job) => job.task?.type,
  rule: (job) => job.rule?.type,
  status: (job) => job.status,
  outcome: (job) => job.outcome,
  seed: (job) => job.seed,
  priority: (job) => job.priority,
  loss: (job) => job.metrics?.loss,
  accuracy: (job) => job.metrics?.accuracy,
  iteration: (job) => job.progress?.iteration,
  units: (job) => job.network?.units,
  dataset: (job) => job.task?.name,
};
const SECTIONS = { meta: "metadata", metadata: "metadata", task: "task", network: "network", rule: "rule", optimizer: "optimizer", training: "training" };
const TERM = /^(-?)([A-Za-z_][\w.]*)(:|!=|<=|>=|=|<|>)(.*)$/s;

/** Where text differs least: the known name for one that was mistyped, or null. */
function nearest(word, known) {
  const distance = (a, b) => {
    let row = Array.from({ length: b.length + 1 }, (_, i) => i);
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
      row = next;
    }
    return row[b.length];
  };
  const [best, far] = known.map((name) => [name, distance(word, name)]).sort((a, b) => a[1] - b[1])[0];
  return far <= 2 ? best : null;
}

/** Blanks separate, except within quotes: the parts of a text. */
function split(text) {
  const parts = [];
  let part = "",
    quoted = false;
  for (const c of text) {
    if (c === '"') quoted = !quoted;
    if (/\s/.test(c) && !quoted) {
      if (part) parts.push(part);
      part = "";
    } else part += c;
  }
  return part ? [...parts, part] : parts;
}
const unquoted = (text) => text.replaceAll('"', "");

/** What gives the field of a job, or null where there is no such field. */
function reader(field) {
  if (Object.hasOwn(FIELDS, field)) return FIELDS[field];
  const [first, ...rest] = field.split("."),
    section = Object.hasOwn(SECTIONS, first) && SECTIONS[first];
  if (!section || !rest.length || rest.includes("")) return null;
  return (job) => rest.reduce((value, name) => (value && typeof value === "object" && Object.hasOwn(value, name) ? value[name] : undefined), job[section]);
}

const isNumber = (text) => text !== "" && Number.isFinite(Number(text));

/** Whether a field's value is the written one. */
function equal(written) {
  const range = /^([^.]*(?:\.\d+)?[^.]*)\.\.(.*)$/.exec(written);
  if (range && (range[1] || range[2]) && [range[1], range[2]].every((end) => end === "" || isNumber(end))) {
    const low = range[1] === "" ? -Infinity : Number(range[1]),
      high = range[2] === "" ? Infinity : Number(range[2]);
    return (value) => typeof value === "number" && value >= low && value <= high;
  }
  if (written === "none") return (value) => value === null || value === undefined;
  const pattern = new RegExp(`^${written.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`, "is");
  return (value) => {
    if (value === null || value === undefined) return false;
    if (typeof value === "number") return isNumber(written) && value === Number(written);
    return pattern.test(typeof value === "object" ? JSON.stringify(value) : String(value));
  };
}

const ORDERS = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };

/** A term as a function of a job; throws a sentence for what is none. */
function term(text) {
  const found = TERM.exec(text);
  if (!found) {
    const [sign, word] = text.startsWith("-") && text.length > 1 ? [true, text.slice(1)] : [false, text],
      wanted = unquoted(word).toLowerCase();
    return (job) => String(job.name || job.task?.type || "").toLowerCase().includes(wanted) !== sign;
  }
  const [, minus, field, operator, rest] = found,
    read = reader(field),
    values = rest.split(",").map(unquoted);
  if (!read) {
    const near = nearest(field, Object.keys(FIELDS));
    throw new Error(`There is no field "${field}"${near ? `; did you mean "${near}"?` : `. Fields are ${Object.keys(FIELDS).join(", ")}, meta.… and rule.… as in a job.`}`);
  }
  if (values.includes("")) throw new Error(`"${text}" needs a value after "${operator}".`);
  return check(field, operator, values, text, read, minus === "-");
}

function check(field, operator, values, text, read, negated) {
  if (ORDERS[operator]) {
    if (values.length > 1 || !isNumber(values[0])) throw new Error(`"${text}" needs one number after "${operator}".`);
    const bound = Number(values[0]);
    return (job) => (typeof read(job) === "number" && ORDERS[operator](read(job), bound)) !== negated;
  }
  if (field === "seed" && values.some((v) => !/^\d+$|^\d*\.\.\d*$/.test(v) || v === "..")) throw new Error(`"${text}" needs a number, or a range such as 1..5.`);
  const fits = values.map((value) => (field === "status" && value === "active" ? (status) => !ENDED.includes(status) : equal(field === "id" ? `${value}*` : value))),
    wanted = (operator === "!=") === negated;
  return (job) => fits.some((fit) => fit(read(job))) === wanted;
}

/** A text as {fits(job), faults}: terms that cannot be read are left out, each with a sentence that says why. */
export function queryParse(text) {
  const terms = [],
    faults = [];
  for (const part of split(text)) {
    try {
      terms.push(term(part));
    } catch (error) {
      faults.push(error.message);
    }
  }
  return { fits: (job) => terms.every((one) => one(job)), faults };
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
  ["accuracy>0.9", "more than 90 % right"],
  ["meta.lab=x", "a value of the job's metadata"],
  ["rule.mu:0.25", "any parameter by its section and name: network.units>100, optimizer.learning_rate<1e-3"],
  ["id:01a2", "the job whose id begins so"],
  ["-rule:bptt", "a minus finds what does not fit"],
];
