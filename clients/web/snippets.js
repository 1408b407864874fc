/*
 * A job as a person would write it elsewhere: a curl line, Python, JSON. `seeds` many jobs differ in their seed alone.
 */
import { tokenKnown } from "./api.js";

/** The first of several seeds, and the document without it. */
function seedTake({ seed, ...rest }) {
  return { first: Number.isInteger(seed) ? seed : 1, rest };
}

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** One job streams its progress and ends with its weights; of several each is submitted, and they run side by side. */
export function curlOf(document, seeds, origin) {
  const token = tokenKnown() ? ' -H "Authorization: Bearer $MODPROP_TOKEN"' : "",
    head = `-H 'Content-Type: application/json'${token}`;
  if (seeds === 1)
    return `curl -N ${head} -H 'Accept: application/x-ndjson' \\\n  -d ${shell(JSON.stringify(document))} \\\n  ${origin}/v1/jobs\n`;
  const { first, rest } = seedTake(document),
    body = `${shell(JSON.stringify(rest).slice(0, -1))}',"seed":'$seed'}'`;
  return `for seed in $(seq ${first} ${first + seeds - 1}); do\n  curl ${head} \\\n    -d ${body} \\\n    ${origin}/v1/jobs\ndone\n`;
}

function python(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([k, v]) => `${JSON.stringify(k)}: ${python(v)}`)
    .join(", ")}}`;
}

export function pythonOf(document, seeds, origin) {
  const write = (values, indent) =>
    Object.entries(values)
      .map(([key, value]) => `${indent}${key}=${python(value)},\n`)
      .join("");
  const head = `from modprop import Client\n\nclient = Client(${JSON.stringify(origin)})${tokenKnown() ? "  # the token is $MODPROP_TOKEN" : ""}\n`;
  if (seeds === 1)
    return (
      `${head}job = client.train(\n${write(document, "    ")})\nfor progress in job:\n` +
      "    print(progress.iteration, progress.loss, progress.accuracy)\nweights = job.weights\n"
    );
  const { first, rest } = seedTake(document);
  return (
    `${head}jobs = [\n    client.train(\n${write(rest, "        ")}        seed=seed,\n    )\n    for seed in range(${first}, ${first + seeds})\n]\n` +
    "for job in jobs:\n    job.wait()\nprint(client.compare(jobs).table())\n"
  );
}

export const jsonOf = (document) => `${JSON.stringify(document, null, 2)}\n`;
