/*
 * What the page and the daemon understand: the filter's language, keys, the calls behind the page, and where the rest is written.
 */
import { get, tokenKnown } from "./api.js";
import { h } from "./dom.js";
import { EXAMPLES } from "./query.js";

const KEYS = [
  ["List", "Arrow keys, page up and down, home and end go from job to job; Enter opens one."],
  ["Curves", "Drag to zoom, shift and drag to pan, double-click to show everything. Plus and minus zoom, arrows pan or read values, 0 shows everything. On a phone use two fingers."],
  ["Legends", "Press an entry to hide or show it; “only” or a double click shows it alone. While you point at an entry, the others fade."],
  ["Maps, differences", "Arrow keys step through the values."],
  ["Figures", "Save writes what is drawn, without what is hidden, as SVG, PNG, or CSV with its numbers."],
];
const STATISTICS = [
  ["point", "one condition: trials that differ only in the seed"],
  ["trial", "a point with one seed: a job like any other"],
  ["median, quartiles", "of the seeds' values; a seed that never got there ranks after all others, so a median can be never"],
  ["95 %", "an interval: of a median by order statistics, of a mean by Student's t, of a share Wilson's; † marks those of fewer than ten seeds"],
  ["IQ mean", "the mean of the middle half of the values"],
  ["won", "the number of seeds on which the point beats the one that it is compared with; ties count half"],
  ["p (Holm)", "how often signs drawn at random give differences at least as large, adjusted over all comparisons of the metric; with n pairs at least 2 / 2ⁿ"],
  ["×", "a factor: differences of iterations are those of their logarithms"],
];
const WORDS = [
  ["queued", "accepted and stored; waits in the queue"],
  ["running", "training; its curve updates live"],
  ["paused", "keeps its checkpoint and continues when it is resumed, with the same results"],
  ["succeeded", "trained for all its iterations, or until its stop condition was met"],
  ["diverged", "trained to the end, but its loss ended above three times its first loss"],
  ["failed", "ended by an error, which its page names; its last checkpoint stays"],
  ["cancelled", "ended by a user; its curve and its last checkpoint stay"],
  ["no loss", "no step of that evaluation counted: its mask was 0 throughout"],
];
const LINKS = [
  ["/openapi.json", "OpenAPI document", "every call, field, range and response; tools generate clients from it"],
  ["/v1/tasks", "Tasks", "every task with its parameters, units, defaults and ranges"],
  ["/v1/rules", "Rules", "every learning rule, and which settings are recommended for what"],
  ["/v1/neurons", "Neuron models", "every neuron model, with the parameters of its network"],
  ["/version", "Version", "build, instruction set, cores and memory of this daemon"],
  ["/metrics", "Metrics", "counters for Prometheus"],
  ["/readyz", "Readiness", "whether the daemon accepts jobs now, and if not, why"],
];

const list = (pairs, code) => h("dl", { class: "terms" }, pairs.map(([term, about]) => [h("dt", {}, code ? h("code", {}, term) : term), h("dd", {}, about)]));

function calls() {
  const token = tokenKnown() ? '-H "Authorization: Bearer $MODPROP_TOKEN" ' : "",
    curl = `curl ${token}${location.origin}`;
  return [
    "# submit a job with its defaults and follow it to its weights",
    `curl -N ${token}-H 'Content-Type: application/json' -H 'Accept: application/x-ndjson' \\`,
    `  -d '{"task":{"type":"delayed_xor"}}' ${location.origin}/v1/jobs`,
    "# the experiments; what one found; its curves",
    `${curl}/v1/experiments`,
    `${curl}/v1/experiments/ID/points?metrics=final:loss`,
    `${curl}/v1/experiments/ID/curves?keys=loss -H 'Accept: text/csv'`,
    "# the newest jobs; one job; its curve; its weights",
    `${curl}/v1/jobs`,
    `${curl}/v1/jobs/ID`,
    `${curl}/v1/jobs/ID/metrics`,
    `${curl}/v1/jobs/ID/weights?format=safetensors -o weights.safetensors`,
    "# a dataset of your own",
    `curl ${token}-T data.safetensors -H 'Content-Type: application/octet-stream' ${location.origin}/v1/datasets/NAME`,
    "",
  ].join("\n");
}

const part = (id, title, ...content) => h("section", { "aria-labelledby": id }, h("h2", { id }, title), content);

/** Shows the help in `place`, scrolled to the section `id` where given. */
export function helpShow(place, id) {
  const link = ([url, name, about]) => h("li", {}, h("a", { href: url }, name), h("span", { class: "hint" }, ` ${about}`)),
    links = h("ul", { class: "plain" }, LINKS.map(link));
  const terms = ["Separate terms by spaces; a job must match all of them. A plain word matches the name, any other term a field. ", "Upper and lower case do not matter."];
  place.replaceChildren(
    h("h1", {}, "Help"),
    part("filter", "How to filter", h("p", {}, terms), list(EXAMPLES, true)),
    part("words", "What the words mean", list(WORDS)),
    part(
      "experiments",
      "Experiments and their numbers",
      h("p", {}, "Give a field of the form several values (0.1, 0.25), choose several rules, or several seeds (1-20): every combination is trained. All numbers are computed by the daemon."),
      list(STATISTICS),
    ),
    part("keys", "Keys and gestures", list(KEYS)),
    part(
      "calls",
      "The same without this page",
      h("p", {}, "The daemon has an HTTP interface, which this page, the command modprop and the Python package use."),
      h("pre", { tabindex: "0", "aria-label": "Calls with curl" }, calls()),
      h("p", {}, "The command line has its own help: modprop help. A form's values are shown as curl, Python and JSON beside it."),
    ),
    part("links", "Documents that this daemon serves", links),
  );
  get("/").then(
    ({ links: served }) => served.docs && links.prepend(link([served.docs, "Documentation", "guides, the mathematics and every reference, as pages"])),
    () => {}, // a daemon that is away is reported elsewhere
  );
  const wanted = id && document.getElementById(id);
  if (wanted) requestAnimationFrame(() => wanted.scrollIntoView());
}
