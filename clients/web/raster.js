/*
 * Many series over one time, each a row of a map: beyond a handful, lines and their legend look alike. Colours are those of the weights
 * (weights.js), on a scale that ends at the largest value; the map stands under the same time as the charts beside it, and zooms with them
 * (`linked` of charts.js). It is read by pointing, or by the arrow keys. Rows stand by number, or with the most active or the earliest above.
 */
import { canvasContext, MARGIN } from "./charts.js";
import { css, onScheme } from "./colours.js";
import { integerText, h, number } from "./dom.js";
import { roundTicks } from "./scales.js";
import { mapColour } from "./weights.js";

/* As the charts that stand above and below. */
const { left: LEFT, right: RIGHT, bottom: BOTTOM } = MARGIN;

const largestOf = (rows) => Math.max(1e-9, ...rows.map(([, ...values]) => Math.max(...values.map(Math.abs))));

const mean = (rows, i) => rows.reduce((sum, row) => sum + Math.abs(row[i + 1]), 0);
/** The first moment at which a series reaches half of its largest value; none at all comes last. */
function firstHalf(rows, i) {
  const peak = Math.max(...rows.map((row) => Math.abs(row[i + 1])));
  return peak > 0 ? rows.findIndex((row) => Math.abs(row[i + 1]) >= peak / 2) : rows.length;
}
/* Orders of rows: what is sorted by, the least above. */
const ORDERS = {
  number: ["by number", (_, i) => i],
  activity: ["most active above", (rows, i) => -mean(rows, i)],
  time: ["earliest above", firstHalf],
};
/** The series of each row, from above. */
export function rowsOrder(rows, count, by) {
  const keys = Array.from({ length: count }, (_, i) => ORDERS[by][1](rows, i));
  return keys.map((_, i) => i).sort((a, b) => keys[a] - keys[b] || a - b);
}

/** A row a series, in the order of `series`, a column a moment; moments that share one of at most `columns` show their largest value, so that no spike is lost. */
function pixels(rows, series, columns, largest) {
  const count = series.length,
    width = Math.min(columns, rows.length),
    peaks = new Float64Array(width * count),
    plain = h("canvas", { width, height: count }),
    context = plain.getContext("2d"),
    image = context.createImageData(width, count);
  rows.forEach(([, ...values], moment) =>
    series.forEach((one, y) => {
      const at = y * width + Math.floor((moment * width) / rows.length),
        value = values[one];
      if (Math.abs(value) > Math.abs(peaks[at])) peaks[at] = value;
    }),
  );
  peaks.forEach((value, at) => image.data.set([...mapColour(value / largest), 255], 4 * at));
  context.putImageData(image, 0, 0);
  return plain;
}

/** The frame of a map `wide` by `high`, its rows' first and last names, and the times from `low` to `end` below it. */
function axesPaint(context, [wide, high], [low, end], { x, first, last }) {
  context.strokeStyle = css("--line");
  context.strokeRect(LEFT, 0, wide, high);
  context.fillStyle = css("--muted");
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  context.fillText(first, LEFT - 5, 10);
  context.fillText(last, LEFT - 5, high);
  context.textAlign = "center";
  for (const time of roundTicks(low, end, 8)) context.fillText(integerText(time), LEFT + ((time - low) / (end - low)) * wide, high + 14);
  context.fillText(x, LEFT + wide / 2, high + 29);
}

/** As `chart` of charts.js, for series named `word` 0, 1, .., or by `names` in their place: {element, set(rows), window(low and high, or null), destroy()}. */
export function raster(title, word, count, { x, names = null }) {
  const canvas = h("canvas", { class: "raster", role: "application", tabindex: "0" }),
    reading = h("span", { class: "reading num", "aria-live": "polite" }),
    menu = h("select", { class: "raster-order", "aria-label": `Order of the rows of ${title}`, onchange: () => reorder() }),
    element = h("figure", {}, h("figcaption", {}, h("span", {}, title), reading, count > 1 ? menu : null), canvas);
  menu.append(...Object.entries(ORDERS).map(([value, [text]]) => h("option", { value }, text)));
  let series = Array.from({ length: count }, (_, i) => i);
  const nameOf = (row) => names?.[series[row]] ?? series[row];
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
    context.drawImage(pixels(seen, series, Math.round(wide), largest), from, 0, place(seen.at(-1)[0] + half) - from, high);
    context.restore();
    axesPaint(context, [wide, high], [low, end], { x, first: `${word} ${nameOf(0)}`, last: String(nameOf(count - 1)) });
  };
  const reorder = () => {
    series = rowsOrder(rows, count, menu.value);
    reading.textContent = "";
    draw();
  };
  const read = (moment, row) => {
    const inside = (v, n) => Math.min(n - 1, Math.max(0, v));
    at = [inside(moment, rows.length), inside(row, count)];
    reading.textContent = `${x} ${number(rows[at[0]][0], 6)}: ${word} ${nameOf(at[1])} ${number(rows[at[0]][series[at[1]] + 1], 4)}`;
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
      series = rowsOrder(rows, count, menu.value);
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
