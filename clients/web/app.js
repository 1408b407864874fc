/*
 * The dashboard's frame: pages by location hash, the one event stream, the token. No build step and no framework: each page is a
 * module with one function that fills <main> and returns what ends it.
 */
import { get, onRefused, streamFollow, tokenSet } from "./api.js";
import { compareShow } from "./compare.js";
import { $ } from "./dom.js";
import { formShow } from "./form.js";
import { jobShow } from "./job.js";
import { jobsEvent, jobsLoad } from "./jobs.js";
import { listShow } from "./list.js";

let end = () => {};

const PAGES = [
  [/^#?\/?$/, "list", (place) => listShow(place), "Jobs"],
  [/^#\/new(?:\/([\w-]+))?$/, "new", (place, id) => formShow(place, id), "New job"],
  [/^#\/compare(?:\/([\w,-]*))?$/, "compare", (place, ids) => compareShow(place, (ids || "").split(",").filter(Boolean)), "Compare"],
  [/^#\/jobs\/([\w-]+)$/, "list", (place, id) => jobShow(place, id), "Job"],
];

function route(first) {
  const main = $("main"),
    found = PAGES.find(([pattern]) => pattern.test(location.hash)) || PAGES[0];
  end();
  end = () => {};
  document.title = `${found[3]} – modprop`;
  for (const link of document.querySelectorAll("[data-page]")) {
    if (link.dataset.page === found[1]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.className = `page-${found[1]}${found[3] === "Job" ? " page-job" : ""}`;
  end = found[2](main, (found[0].exec(location.hash) || [])[1]) || (() => {});
  if (first !== true) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function login() {
  const dialog = $("login");
  if (!dialog.open) dialog.showModal();
}

function stateShow(word) {
  const link = $("link");
  link.className = `link ${word}`;
  link.textContent = word;
}

onRefused(login);
$("token").addEventListener("click", login);
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});
$("login").addEventListener("close", () => {
  if ($("login").returnValue !== "ok") return;
  tokenSet($("login-token").value.trim());
  location.reload();
});
addEventListener("hashchange", route);
route(true);
get("/version").then(
  (version) => {
    $("version").textContent = `modpropd ${version.version ?? ""}`;
  },
  () => {},
);
streamFollow({ state: stateShow, opened: () => jobsLoad().catch(() => {}), emit: jobsEvent });
