/*
 * Many series over one time, each a row of a map: beyond a handful, lines and their legend look alike. Colours are those of the weights
 * (weights.js), on a scale that ends at the largest value; the map stands under the same time as the charts beside it, and zooms with them
 * (`linked` of charts.js). It is read by pointing, or by the arrow keys.
 */
import { canvasContext, MARGIN } from "./charts.js";
import { css, onScheme } from "./colours.js";
import { integerText, h, number } from "./dom.js";
import { roundTicks } from "./scales.js";
import { mapColour } from "./weights.js";

/* As the charts that stand above and below. */
const { left: LEFT, right: RIGHT, bottom: BOTTOM } = MARGIN;

const largestOf = (rows) => Math.max(1e-9, ...rows.map(([, ...values]) => Math.max(...values.map(Math.abs))));

/** A row a series, a column a moment; moments that share one of at most `columns` show their largest value, so that no spike is lost. */
function pixels(rows, count, columns, largest) {
  const width = Math.min(columns, rows.length),
    peaks = new Float64Array(width * count),
    plain = h("canvas", { width, height: count }),
    context = plain.getContext("2d"),
    image = context.createImageData(width, count);
  rows.forEach(([, ...values], moment) =>
    values.forEach((value, y) => {
      const at = y * width + Math.floor((moment * width) / rows.length);
      if (Math.abs(value) > Math.abs(peaks[at])) peaks[at] = value;
    }),
  );
  peaks.forEach((value, at) => image.data.set([...mapColour(value / largest), 255], 4 * at));
  context.putImageData(image, 0, 0);
  return plain;
}

/** As `chart` of charts.js, for series named `word` 0, 1, .., or by `names` in their place: {element, set(rows), window(low and high, or null), destroy()}. */
export function raster(title, word, count, { x, names = null }) {
  const canvas = h("canvas", { class: "raster", role: "application", tabindex: "0" }),
    reading = h("span", { class: "reading num", "aria-live": "polite" }),
    element = h("figure", {}, h("figcaption", {}, h("span", {}, title), reading), canvas);
  const nameOf = (row) => names?.[row] ?? row;
  let rows = [],
    largest = 1,
    windowNow = null,
    at = [0, 0];
  const span = () => windowNow ?? [rows[0][0], rows.at(-1)[0]];
  const draw = () => {
    if (rows.length < 2 || canvas.clientWidth < 2 * LEFT) return;
    const wide = canvas.clientWidth - LEFT - RIGHT,
      high = canvas.clientHeight - BOTTOM,
      context = canvasContext(canvas, canvas.clientWidth, canvas.clientHeight),
      [low, end] = span(),
      place = (time) => LEFT + ((time - low) / (end - low)) * wide,
      half = (rows[1][0] - rows[0][0]) / 2,
      seen = rows.filter(([time]) => time + half >= low && time - half <= end);
    if (!seen.length) return;
    context.imageSmoothingEnabled = false;
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, wide, high);
    context.clip();
    const from = place(seen[0][0] - half);
    context.drawImage(pixels(seen, count, Math.round(wide), largest), from, 0, place(seen.at(-1)[0] + half) - from, high);
    context.restore();
    context.strokeStyle = css("--line");
    context.strokeRect(LEFT, 0, wide, high);
    context.fillStyle = css("--muted");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(`${word} ${nameOf(0)}`, LEFT - 5, 10);
    context.fillText(String(nameOf(count - 1)), LEFT - 5, high);
    context.textAlign = "center";
    for (const time of roundTicks(low, end, 8)) context.fillText(integerText(time), place(time), high + 14);
    context.fillText(x, LEFT + wide / 2, high + 29);
  };
  const read = (moment, row) => {
    const inside = (v, n) => Math.min(n - 1, Math.max(0, v));
    at = [inside(moment, rows.length), inside(row, count)];
    reading.textContent = `${x} ${number(rows[at[0]][0], 6)}: ${word} ${nameOf(at[1])} ${number(rows[at[0]][at[1] + 1], 4)}`;
  };
  canvas.addEventListener("pointermove", (event) => {
    if (rows.length < 2) return;
    const [low, end] = span(),
      time = low + ((event.offsetX - LEFT) / (canvas.clientWidth - LEFT - RIGHT)) * (end - low);
    read(Math.round((time - rows[0][0]) / (rows[1][0] - rows[0][0])), Math.floor((event.offsetY / (canvas.clientHeight - BOTTOM)) * count));
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step || !rows.length) return;
    event.preventDefault();
    read(at[0] + step[0], at[1] + step[1]);
  });
  const watcher = new ResizeObserver(draw),
    endScheme = onScheme(draw);
  watcher.observe(canvas);
  return {
    element,
    set(values) {
      rows = values;
      largest = largestOf(rows);
      const most = `values up to ${number(largest, 4)}`;
      canvas.setAttribute("aria-label", `${title}: a map of ${count} rows over ${x}, ${most}; arrow keys read single values`);
      draw();
    },
    window(shown) {
      windowNow = shown;
      draw();
    },
    destroy() {
      watcher.disconnect();
      endScheme();
    },
  };
}
