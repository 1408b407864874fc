/*
 * Several values in a field, or several rules and seeds, make an experiment of what would be a job. Pure: from what the form holds to the documents
 * of the API.
 */
const STRUCTURED = /^[[{"]/; // one value that is itself a list, an object or a text

/** The values that a field's text names, separated by commas; null where it is one value. */
export function valuesRead(parameter, text, read) {
  if (!["integer", "number", "custom"].includes(parameter.type) || STRUCTURED.test(text.trim()) || !text.includes(",")) return null;
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  if (parts.length < 2 || (parameter.type === "custom" && !parts.every((part) => Number.isFinite(Number(part))))) return null;
  return parts.map((part) => read(parameter, part));
}

/** "1-20", "3" or "1, 5-9" as the API's seeds; null where it is one seed alone; throws a sentence for what is none. */
export function seedsRead(text) {
  const parts = text.replace(/\s*[-–]\s*/g, "-").split(/[\s,]+/).filter(Boolean);
  if (!parts.length) throw new Error("must be a seed, or seeds such as 1-20");
  const list = parts.map((part) => {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part),
      [from, to] = range ? [Number(range[1]), Number(range[2] ?? range[1])] : [1, 0];
    if (to < from || !Number.isSafeInteger(to)) throw new Error(`must be a seed, or seeds such as 1-20; got "${part}"`);
    return { from, count: to - from + 1 };
  });
  if (list.length === 1) return list[0].count === 1 ? null : list[0];
  return list.flatMap(({ from, count }) => (count === 1 ? [from] : [{ from, count }]));
}
/** The same as text. */
export function seedsText(seeds) {
  const range = ({ from = 1, count = 10 }) => (count === 1 ? String(from) : `${from}-${from + count - 1}`);
  return (Array.isArray(seeds) ? seeds : [seeds ?? {}]).map((one) => (typeof one === "object" ? range(one) : String(one))).join(", ");
}

/** Every combination of lists: [[1, 2], [3]] is [[1, 3], [2, 3]]. */
const combined = (lists) => lists.reduce((made, list) => made.flatMap((head) => list.map((value) => [...head, value])), [[]]);

/**
 * The axes of an experiment. `rules`: the chosen types, the first with its parameters in `rule`; `several`: fields {section, name, values}. Where there
 * are several rules, several values of the first rule's parameters are conditions of that rule alone, since the others may not have them.
 */
function axesMake(rules, rule, several) {
  const own = several.filter(({ section }) => section === "rule"),
    rest = rules.length > 1 ? several.filter(({ section }) => section !== "rule") : several,
    last = (name) => rest.filter((field) => field.name === name).length > 1;
  const axes = rest.map(({ section, name, values }) => ({
    ...(last(name) ? { name: `${section}.${name}` } : {}),
    path: `/${section ? `${section}/` : ""}${name}`,
    values,
  }));
  if (rules.length < 2) return axes;
  const first = combined(own.map(({ values }) => values)).map((values) => ({ ...rule, ...Object.fromEntries(own.map(({ name }, i) => [name, values[i]])) })),
    patches = [...first, ...rules.slice(1).map((type) => ({ type }))].map((value) => ({ "/rule": value }));
  const named = own.length
    ? patches.map((patch) => {
        const values = own.map(({ name }) => patch["/rule"][name]).filter((v) => v !== undefined);
        return { label: [patch["/rule"].type, ...(patch["/rule"].type === rule.type ? values : [])].join(" "), ...patch };
      })
    : patches.map((patch) => ({ label: patch["/rule"].type, ...patch }));
  return [{ name: "rule", patches: named }, ...axes];
}

/**
 * What is submitted: {job}, or {experiment} where there are several rules, values or seeds. `document` is the job as it stands, without the fields of
 * `several`; `seeds` as seedsRead gives them; `about` holds the experiment's own {threshold, row, tags, notes}.
 */
export function submissionMake({ document, rules, several, seeds, about }) {
  if (rules.length < 2 && !several.length && !seeds) return { job: document };
  const { name, seed, ...base } = document,
    axes = axesMake(rules, base.rule, several);
  if (rules.length > 1) delete base.rule;
  return {
    experiment: {
      ...(name ? { name } : {}),
      ...(about.notes ? { notes: about.notes } : {}),
      ...(about.tags.length ? { tags: about.tags } : {}),
      base,
      ...(axes.length ? { axes } : {}),
      seeds: seeds ?? { from: seed ?? 1, count: 1 },
      metrics: [...(about.threshold === null ? [] : [{ name: "learned", loss_below: about.threshold, in_a_row: about.row }]), { final: "loss" }, { best: "accuracy" }],
    },
  };
}

/**
 * An experiment's specification as the form takes it: {template (a job), rules, values (by JSON Pointer), seeds (text)}; null where it has a form that
 * the page does not have (ranges, lists of points, patches of more than the rule).
 */
export function templateOf({ name, base, axes = [], design = "grid", seeds, notes, tags }) {
  const values = new Map(),
    rules = [],
    template = { ...structuredClone(base), name: name ?? null };
  if (design !== "grid") return null;
  for (const axis of axes) {
    if (axis.values && axis.path) values.set(axis.path, axis.values);
    else if (axis.patches?.every((patch) => Object.keys(patch).every((key) => key === "label" || key === "/rule"))) {
      for (const patch of axis.patches) if (!rules.includes(patch["/rule"].type)) rules.push(patch["/rule"].type);
      template.rule = axis.patches[0]["/rule"];
    } else return null;
  }
  return { template, rules, values, seeds: seedsText(seeds), notes, tags };
}
