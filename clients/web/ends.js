/*
 * The names of lines at their ends, so that a chart is read without its legend. Pure: from where lines end to marks.
 *
 * A name stands right of the data, as near the height of its line's end as the others allow, and is joined to it by a short line in the series'
 * colour and dash; words have the colour of text, which is legible where a series' colour may not be. Where there is no room for all of them there
 * are none, nor where they would be cut to the same words: the legend has every name.
 */
import { dashOf } from "./colours.js";
import { line, textFit, textWidth, words } from "./scene.js";

const GAP = 13, // px between two names, at least
  JOIN = 12, // px of the line that joins a name to its line
  WIDEST = 200, // px of a name
  SHARE = 0.25, // of the chart's width
  NARROWEST = 420, // px of a chart that has any
  MOST = 12; // names

/**
 * Heights for names that would like to stand at `wanted`, in its order: at least `gap` apart, between `top` and `bottom`, in the order of their
 * heights, with the least sum of squares of what they are moved (the pools of isotonic regression; Barlow et al. 1972).
 */
export function apart(wanted, gap, top, bottom) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b] || a - b),
    pools = [];
  order.forEach((at, rank) => {
    pools.push({ sum: wanted[at] - rank * gap, count: 1 });
    while (pools.length > 1 && pools.at(-2).sum / pools.at(-2).count >= pools.at(-1).sum / pools.at(-1).count) {
      const last = pools.pop();
      pools.at(-1).sum += last.sum;
      pools.at(-1).count += last.count;
    }
  });
  const highest = bottom - (wanted.length - 1) * gap,
    levels = pools.flatMap(({ sum, count }) => Array(count).fill(Math.max(top, Math.min(highest, sum / count)))),
    heights = [];
  order.forEach((at, rank) => (heights[at] = levels[rank] + rank * gap));
  return heights;
}

/** The width in pixels that the names take right of the data of a chart `width` by `height`; 0: there are to be none. */
export function endsRoom(names, width, height) {
  if (names.length < 2 || names.length > MOST || names.length * GAP > height || width < NARROWEST) return 0;
  const wide = Math.ceil(Math.min(WIDEST, SHARE * width, Math.max(...names.map((name) => textWidth(name)))));
  return new Set(names.map((name) => textFit(name, wide))).size < names.length ? 0 : JOIN + 4 + wide;
}

/** Marks of `ends`, each {name, style, x, y (of the line's end), opacity}, in `room` pixels right of the data's `area` [left, top, width, height]. */
export function endsMarks(ends, [left, top, wide, high], room, theme) {
  const heights = apart(
    ends.map(({ y }) => y),
    GAP,
    top + GAP / 2,
    top + high - GAP / 2,
  );
  return ends.flatMap(({ name, style, x, y, opacity }, i) => {
    const at = left + wide + JOIN,
      look = { stroke: theme.of(style), width: 1, dash: dashOf(style), opacity: 0.8 * opacity };
    return [line(x, y, at, heights[i], look), words(at + 3, heights[i], textFit(name, room - JOIN - 4), { fill: opacity < 1 ? theme.muted : theme.text, name: "end" })];
  });
}
