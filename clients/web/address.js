/*
 * What a view shows stands in its address, so that a link or a bookmark brings back the same filter, order and scale. The page's name comes before
 * the question mark of the hash, its settings after it. Typing replaces the entry of the history instead of adding one.
 */

/** The hash as {path, settings}: "#/jobs/1?log=1" is "#/jobs/1" and log=1. */
export function addressRead(hash = location.hash) {
  const at = hash.indexOf("?");
  return at < 0 ? { path: hash, settings: new URLSearchParams() } : { path: hash.slice(0, at), settings: new URLSearchParams(hash.slice(at + 1)) };
}

/** Writes `changes` {name: value} into the address; null, "" and false remove a setting. */
export function addressWrite(changes) {
  const { path, settings } = addressRead();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "" || value === false) settings.delete(name);
    else settings.set(name, value === true ? "1" : String(value));
  }
  const rest = settings.toString();
  history.replaceState(history.state, "", `${path || "#/"}${rest ? `?${rest}` : ""}`);
}

/**
 * Keeps `input` in the address under `name`: it begins as the address says, and each change is written there; its value as the page makes it stands
 * for none. Returns `input`.
 */
export function addressBind(name, input) {
  const box = input.type === "checkbox",
    given = addressRead().settings.get(name),
    plain = box ? input.checked : input.value;
  if (given !== null) {
    if (box) input.checked = given === "1";
    else input.value = given;
  }
  input.addEventListener(box ? "change" : "input", () => {
    const now = box ? input.checked : input.value;
    addressWrite({ [name]: now === plain ? null : box ? (now ? "1" : "0") : now });
  });
  return input;
}

/** What `sort` becomes when a heading is pressed: upwards, downwards, not at all. */
export function sortNext(name) {
  const now = addressRead().settings.get("sort");
  addressWrite({ sort: now === name ? `-${name}` : now === `-${name}` ? null : name });
}
/** Says at a heading how the address sorts by it. */
export function ariaSort(heading, name) {
  const now = addressRead().settings.get("sort");
  if (now === name || now === `-${name}`) heading.setAttribute("aria-sort", now === name ? "ascending" : "descending");
  else heading.removeAttribute("aria-sort");
}
