/*
 * The recurrent weights as a heat map, units ordered by cell type, and their eigenvalues. W[q][p] is the weight from q to p: a row is
 * what a unit sends. Blue is negative, orange positive, on a scale that ends at the 99th percentile so that a few large weights do not
 * hide the others.
 */
import { get } from "./api.js";
import { canvasContext, css } from "./charts.js";
import { attempt, h, number } from "./dom.js";

const UNITS_SHOWN = 2048,
  UNITS_SPECTRUM = 768;

function order(weights) {
  const all = Array.from({ length: weights.units }, (_, i) => i);
  return weights.types ? all.sort((a, b) => weights.types[a] - weights.types[b] || a - b) : all;
}

function scaleOf(W) {
  const sizes = W.flat()
    .map(Math.abs)
    .filter((v) => v > 1e-9)
    .sort((a, b) => a - b);
  return sizes.length ? sizes[Math.floor(0.99 * (sizes.length - 1))] : 1;
}

/* From white (or the dark ground) to #0072b2 or #d55e00. */
function paint(canvas, weights, units, scale) {
  const n = units.length,
    plain = document.createElement("canvas");
  plain.width = plain.height = n;
  const context = plain.getContext("2d"),
    image = context.createImageData(n, n);
  const ground = matchMedia("(prefers-color-scheme: dark)").matches ? [22, 27, 34] : [255, 255, 255];
  for (let y = 0; y < n; y++) {
    const row = weights.W[units[y]];
    for (let x = 0; x < n; x++) {
      const value = row[units[x]] / scale,
        share = Math.min(1, Math.abs(value)),
        ink = value < 0 ? [0, 114, 178] : [213, 94, 0],
        at = 4 * (y * n + x);
      for (let c = 0; c < 3; c++) image.data[at + c] = ground[c] + share * (ink[c] - ground[c]);
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  const size = canvas.clientWidth,
    target = canvasContext(canvas, size, size);
  target.imageSmoothingEnabled = false;
  target.drawImage(plain, 0, 0, size, size);
  target.strokeStyle = css("--text");
  target.globalAlpha = 0.55;
  for (let i = 1; weights.types && i < n; i++) {
    if (weights.types[units[i]] === weights.types[units[i - 1]]) continue;
    const at = Math.round((i / n) * size) + 0.5;
    target.beginPath();
    target.moveTo(at, 0);
    target.lineTo(at, size);
    target.moveTo(0, at);
    target.lineTo(size, at);
    target.stroke();
  }
}

function spectrumPaint(canvas, { real, imaginary }) {
  const size = canvas.clientWidth,
    context = canvasContext(canvas, size, size),
    radius = Math.max(1.05, ...real.map((r, i) => Math.hypot(r, imaginary[i])));
  const at = (v) => size / 2 + (v / radius) * (size / 2 - 14);
  context.strokeStyle = css("--line");
  context.beginPath();
  context.moveTo(0, size / 2);
  context.lineTo(size, size / 2);
  context.moveTo(size / 2, 0);
  context.lineTo(size / 2, size);
  context.stroke();
  context.setLineDash([4, 3]);
  context.beginPath();
  context.arc(size / 2, size / 2, at(1) - size / 2, 0, 2 * Math.PI);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = css("--muted");
  context.font = "11px system-ui, sans-serif";
  context.fillText("real", size - 26, size / 2 - 5);
  context.fillText("imaginary", size / 2 + 5, 11);
  context.fillStyle = "#009e73";
  context.globalAlpha = 0.8;
  real.forEach((r, i) => {
    context.beginPath();
    context.arc(at(r), size - at(imaginary[i]), 2.6, 0, 2 * Math.PI);
    context.fill();
  });
}

/** Shows in `body`; returns what ends it. */
export function weightsShow(body, job) {
  let worker = null,
    ended = false,
    weights = null,
    values = null;
  const map = h("canvas", { class: "square", role: "img", "aria-label": "Heat map of the recurrent weights, units ordered by type" });
  const plane = h("canvas", { class: "square", role: "img", "aria-label": "Eigenvalues of the recurrent weights in the complex plane" });
  const reading = h("p", { class: "hint num" }, "Point at a weight to read it."),
    said = h("p", { class: "hint num", role: "status" }, "Computing the eigenvalues.");
  const about = h("p", { class: "hint num" });
  const load = () =>
    attempt(async () => {
      if (job.network.units > UNITS_SHOWN) {
        body.replaceChildren(
          h(
            "p",
            { class: "empty" },
            `${job.network.units} units: the heat map is drawn up to ${UNITS_SHOWN}. Download the weights instead.`,
          ),
        );
        return;
      }
      about.textContent = "Reading the weights.";
      try {
        weights = await get(`/v1/jobs/${job.id}/weights`);
      } catch (error) {
        about.textContent = error.status === 409 ? "No checkpoint yet: weights come with the first one." : error.message;
        return;
      }
      if (!ended) draw();
    });
  const drawMaps = () => {
    if (!weights || ended) return;
    paint(map, weights, order(weights), scaleOf(weights.W));
    if (values) spectrumPaint(plane, values);
  };
  const draw = () => {
    figures.hidden = false;
    about.textContent = [
      `Iteration ${number(weights.iteration)}`,
      `${weights.units} units`,
      `scale ±${number(scaleOf(weights.W))}`,
      `sha256 ${weights.sha256.slice(0, 16)}`,
    ].join(" · ");
    drawMaps();
    if (weights.units > UNITS_SPECTRUM) {
      said.textContent = `The spectrum is computed up to ${UNITS_SPECTRUM} units.`;
      return;
    }
    if (worker) worker.terminate();
    worker = new Worker("/spectrum.js", { type: "module" });
    worker.onmessage = ({ data }) => {
      if (!data) {
        said.textContent = "The eigenvalues did not converge.";
        return;
      }
      values = data;
      const radius = Math.max(...data.real.map((r, i) => Math.hypot(r, data.imaginary[i])));
      said.textContent = `Spectral radius ${number(radius, 4)}; the dashed circle has radius 1.`;
      spectrumPaint(plane, data);
    };
    worker.postMessage(weights.W);
  };
  map.addEventListener("pointermove", (event) => {
    if (!weights) return;
    const units = order(weights),
      at = (v, size) => units[Math.min(units.length - 1, Math.max(0, Math.floor((v / size) * units.length)))];
    const q = at(event.offsetY, map.clientHeight),
      p = at(event.offsetX, map.clientWidth),
      type = (u) => (weights.types ? ` (type ${weights.types[u]})` : "");
    reading.textContent = `from ${q}${type(q)} to ${p}${type(p)}: ${number(weights.W[q][p], 4)}`;
  });
  const figures = h(
    "div",
    { class: "two", hidden: true },
    h(
      "figure",
      {},
      h(
        "figcaption",
        {},
        "From (rows) to (columns): ",
        h("span", { class: "negative" }, "■"),
        " negative ",
        h("span", { class: "positive" }, "■"),
        " positive",
      ),
      map,
      reading,
    ),
    h("figure", {}, h("figcaption", {}, "Eigenvalues of W"), plane, said),
  );
  body.replaceChildren(
    h("div", { class: "controls" }, h("button", { type: "button", class: "quiet", onclick: load }, "Read again"), about),
    figures,
  );
  const watcher = new ResizeObserver(drawMaps);
  watcher.observe(figures);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", drawMaps);
  load();
  return () => {
    ended = true;
    watcher.disconnect();
    dark.removeEventListener("change", drawMaps);
    if (worker) worker.terminate();
  };
}
