/*
 * The dashboard's frame: pages by location hash, the one event stream, the token. No build step and no framework: each page is a module with
 * one function that fills <main>. A page gets a signal that is aborted when another takes its place: it ends requests, listeners and timers.
 */
import { addressRead } from "./address.js";
import { get, notReady, onRefused, onUnavailable, streamFollow, tokenFault, tokenKnown, tokenSet } from "./api.js";
import { catalog } from "./catalog.js";
import { compareShow } from "./compare.js";
import { datasetsShow } from "./datasets.js";
import { $, h } from "./dom.js";
import { experimentShow } from "./experiment.js";
import { experimentsShow } from "./experiments.js";
import { formShow } from "./form.js";
import { helpShow } from "./help.js";
import { jobShow } from "./job.js";
import { jobsEvent, jobsOpened, streamStateSet } from "./jobs.js";
import { listShow } from "./list.js";
import { messageShow } from "./load.js";
import { workersLink, workersShow } from "./workers.js";

/** Pattern of the hash, name in the navigation, title, class, and what shows the page. */
const PAGES = [
  [/^#?\/?$/, "experiments", "Experiments", "page-experiments", (place, _, signal) => experimentsShow(place, signal)],
  [/^#\/experiments\/([\w-]+)$/, "experiments", "Experiment", "page-experiment", experimentShow],
  [/^#\/jobs$/, "list", "Jobs", "page-list", (place, _, signal) => listShow(place, signal)],
  [/^#\/new(?:\/([\w-]+))?$/, "new", "New job", "page-new", formShow],
  [/^#\/compare(?:\/([\w,-]*))?$/, "compare", "Compare", "page-compare", compareShow],
  [/^#\/jobs\/([\w-]+)$/, "list", "Job", "page-job", jobShow],
  [/^#\/datasets$/, "datasets", "Datasets", "page-datasets", (place, _, signal) => datasetsShow(place, signal)],
  [/^#\/workers$/, "workers", "Workers", "page-workers", (place, _, signal) => workersShow(place, signal)],
  [/^#\/help(?:\/(\w+))?$/, "help", "Help", "page-help", helpShow],
  [/^/, "", "Nothing here", "page-none", notFoundShow],
];
const READINESS_EVERY = 30000; // ms
let control = new AbortController();

function notFoundShow(place) {
  messageShow(place, "There is no such page", h("p", {}, h("a", { href: "#/jobs" }, "All jobs")));
}

function route(first) {
  const main = $("main"),
    { path } = addressRead(),
    [pattern, page, title, kind, show] = PAGES.find(([fits]) => fits.test(path));
  control.abort();
  control = new AbortController();
  document.title = `${title} – modprop`;
  for (const link of document.querySelectorAll("[data-page]")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.className = kind;
  main.replaceChildren();
  if (first !== true) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  show(main, pattern.exec(path)[1], control.signal);
}

function login() {
  const dialog = $("login");
  $("token").hidden = false;
  if (!dialog.open) dialog.showModal();
}

/** Takes the token if the daemon does; else the dialog stays, and says why. */
async function loginTry(event) {
  if (event.submitter?.value === "cancel") return;
  event.preventDefault();
  const input = $("login-token"),
    token = input.value.trim(),
    fault = await tokenFault(token);
  loginMessage(fault);
  if (fault) {
    input.select();
    return;
  }
  tokenSet(token);
  $("login").close("ok");
  route(true); // what could not be read is read now
}

function loginMessage(fault) {
  $("login-fault").textContent = fault;
  if (fault) $("login-token").setAttribute("aria-invalid", "true");
  else $("login-token").removeAttribute("aria-invalid");
}

/** A notice while the daemon takes no jobs. The page asks when the stream opens, after refusals, and while it is in sight. */
export async function readinessShow() {
  const reason = await notReady(),
    place = $("readiness");
  place.hidden = !reason;
  if (place.textContent !== (reason ?? "")) place.textContent = reason ?? "";
}

function stateShow(word) {
  const link = $("link");
  link.className = `link ${word.split(" ")[0]}`;
  link.textContent = word;
  streamStateSet(word);
}

function versionShow() {
  get("/version").then(
    (version) => {
      $("version").textContent = `modpropd ${version.version ?? ""}`;
    },
    () => {},
  );
}

onRefused(login);
$("token").hidden = !tokenKnown();
$("token").addEventListener("click", login);
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});
$("login").addEventListener("submit", loginTry);
$("login").addEventListener("close", () => {
  $("login-token").value = "";
  loginMessage("");
});
onUnavailable(readinessShow);
setInterval(() => document.hidden || readinessShow(), READINESS_EVERY);
addEventListener("hashchange", route);
route(true);
streamFollow({
  state: stateShow,
  opened() {
    versionShow();
    readinessShow();
    workersLink($("workers-link"));
    jobsOpened();
    catalog().catch(() => {}); // for the rules' colours
  },
  emit: jobsEvent,
});
