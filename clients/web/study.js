/*
 * What the parts of an experiment's page share: the axes of its points, and how a point looks. Pure.
 */
import { tickText } from "./scales.js";

/** The axes of the points: {name, values in their order, numeric}; those with one value alone are none. */
export function axesOf(points) {
  const axes = new Map();
  for (const { values } of points)
    for (const [name, value] of Object.entries(values ?? {})) {
      if (!axes.has(name)) axes.set(name, new Set());
      axes.get(name).add(value);
    }
  return [...axes]
    .map(([name, set]) => ({ name, values: [...set], numeric: [...set].every((v) => typeof v === "number") }))
    .map((axis) => (axis.numeric ? { ...axis, values: axis.values.sort((a, b) => a - b) } : axis))
    .filter(({ values }) => values.length > 1);
}

/** A point's look, all of it as the server says: colour of its rule, dash and marker of further axes. */
export const styleOf = ({ colour, dash, marker }) => ({ hex: colour, dash: dash ?? 0, marker: marker ?? 0 });

/** An axis' value as text; a number as short as on an axis. */
export const valueName = (value) => (typeof value === "number" ? tickText(value) : String(value));
