/*
 * Eigenvalues of a real square matrix, in a worker so that the page stays quick: reduction to Hessenberg form by stabilised elementary
 * transformations, then the shifted QR algorithm of Francis with deflation (EISPACK's elmhes and hqr, values only). About 10 n^3
 * multiply-adds. In: rows of numbers. Out: {real, imaginary}, or null where an eigenvalue did not converge.
 */
const ROUNDS = 60;

/** Makes `a` (n rows) upper Hessenberg, in place. */
function hessenberg(a, n) {
  for (let m = 1; m < n - 1; m++) {
    let best = m;
    for (let i = m + 1; i < n; i++) if (Math.abs(a[i][m - 1]) > Math.abs(a[best][m - 1])) best = i;
    const pivot = a[best][m - 1];
    if (pivot === 0) continue;
    if (best !== m) {
      [a[best], a[m]] = [a[m], a[best]];
      for (let i = 0; i < n; i++) [a[i][best], a[i][m]] = [a[i][m], a[i][best]];
    }
    for (let i = m + 1; i < n; i++) {
      const factor = a[i][m - 1] / pivot;
      if (factor === 0) continue;
      for (let j = m - 1; j < n; j++) a[i][j] -= factor * a[m][j];
      for (let j = 0; j < n; j++) a[j][m] += factor * a[j][i];
      a[i][m - 1] = 0;
    }
  }
}

/** Where the active block that ends at row `end` begins. */
function blockStart(a, end, norm) {
  let l = end;
  for (; l > 0; l--) {
    const size = Math.abs(a[l - 1][l - 1]) + Math.abs(a[l][l]) || norm;
    if (Math.abs(a[l][l - 1]) <= Number.EPSILON * size) {
      a[l][l - 1] = 0;
      break;
    }
  }
  return l;
}

/** One double-shift sweep over rows l..end with shifts of sum s and product t. */
function sweep(a, l, end, s, t) {
  let p = a[l][l] * a[l][l] + a[l][l + 1] * a[l + 1][l] - s * a[l][l] + t,
    q = a[l + 1][l] * (a[l][l] + a[l + 1][l + 1] - s),
    r = a[l + 1][l] * a[l + 2][l + 1];
  for (let k = l; k < end; k++) {
    const three = k + 2 <= end;
    if (k > l) {
      p = a[k][k - 1];
      q = a[k + 1][k - 1];
      r = three ? a[k + 2][k - 1] : 0;
    }
    const size = Math.sign(p || 1) * Math.hypot(p, q, r);
    if (size === 0) continue;
    if (k > l) {
      a[k][k - 1] = -size;
      a[k + 1][k - 1] = 0;
      if (three) a[k + 2][k - 1] = 0;
    }
    const x = (p + size) / size,
      y = q / size,
      z = r / size,
      u = q / (p + size),
      v = r / (p + size);
    for (let j = k; j <= end; j++) {
      const sum = a[k][j] + u * a[k + 1][j] + (three ? v * a[k + 2][j] : 0);
      a[k][j] -= sum * x;
      a[k + 1][j] -= sum * y;
      if (three) a[k + 2][j] -= sum * z;
    }
    for (let i = l; i <= Math.min(end, k + 3); i++) {
      const sum = x * a[i][k] + y * a[i][k + 1] + (three ? z * a[i][k + 2] : 0);
      a[i][k] -= sum;
      a[i][k + 1] -= sum * u;
      if (three) a[i][k + 2] -= sum * v;
    }
  }
}

/** The two eigenvalues of the block whose last row is `end`. */
function pair(a, end, real, imaginary) {
  const half = (a[end - 1][end - 1] - a[end][end]) / 2,
    middle = (a[end - 1][end - 1] + a[end][end]) / 2;
  const d = half * half + a[end - 1][end] * a[end][end - 1],
    root = Math.sqrt(Math.abs(d));
  real[end - 1] = middle + (d >= 0 ? root : 0);
  real[end] = middle - (d >= 0 ? root : 0);
  imaginary[end - 1] = d >= 0 ? 0 : root;
  imaginary[end] = d >= 0 ? 0 : -root;
}

export function eigenvalues(rows) {
  const n = rows.length,
    a = rows.map((row) => Float64Array.from(row)),
    real = new Array(n).fill(0),
    imaginary = new Array(n).fill(0);
  hessenberg(a, n);
  const norm = a.reduce((sum, row) => sum + row.reduce((t, v) => t + Math.abs(v), 0), 0) || 1;
  for (let end = n - 1, rounds = 0; end >= 0;) {
    const l = blockStart(a, end, norm);
    if (l === end) {
      real[end] = a[end][end];
      end -= 1;
      rounds = 0;
      continue;
    }
    if (l === end - 1) {
      pair(a, end, real, imaginary);
      end -= 2;
      rounds = 0;
      continue;
    }
    if (rounds++ === ROUNDS) return null;
    let s = a[end - 1][end - 1] + a[end][end],
      t = a[end - 1][end - 1] * a[end][end] - a[end - 1][end] * a[end][end - 1];
    if (rounds % 10 === 0) {
      const w = Math.abs(a[end][end - 1]) + Math.abs(a[end - 1][end - 2]);
      s = 1.5 * w;
      t = w * w;
    } // leaves a cycle
    sweep(a, l, end, s, t);
  }
  return { real, imaginary };
}

if (typeof self !== "undefined") self.onmessage = ({ data }) => self.postMessage(eigenvalues(data));
