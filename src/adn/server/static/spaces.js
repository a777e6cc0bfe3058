// From a place in the scan to the same place in the aligned brain, and back. Matrices are rows of 4, homogeneous, mm.

const LPS_FROM_RAS = [
  [-1, 0, 0, 0],
  [0, -1, 0, 0],
  [0, 0, 1, 0],
  [0, 0, 0, 1],
];

/** of (a result.json) → what carries a place (RAS mm) from one space, "scan" or "aligned", into the other. */
export function carrier({ aligned_from_scan: aligned, grid }) {
  const there = product(LPS_FROM_RAS, product(aligned, inverse(grid.affine)));
  const ways = { aligned: there, scan: inverse(there) };
  return (place, space) =>
    ways[space].slice(0, 3).map((row) => row[0] * place[0] + row[1] * place[1] + row[2] * place[2] + row[3]);
}

/** [a, b, c, d]: how far left of the mid-sagittal plane a voxel lies, mm: a x + b y + c z + d, voxels in RAS order. */
export function leftOf({ aligned_from_scan: aligned, grid }) {
  if (!aligned) return [0, 0, 0, 0];
  const result = [0, 0, 0, aligned[0][3]];
  [...grid.axes].forEach((letter, stored) => {
    const axis = ["RL", "AP", "SI"].findIndex((pair) => pair.includes(letter));
    const step = aligned[0][stored];
    if ("RAS".includes(letter)) result[axis] = step;
    else {
      result[axis] = -step;
      result[3] += step * (grid.shape[stored] - 1);
    }
  });
  return result;
}

function product(a, b) {
  return a.map((row) => b[0].map((_, column) => row.reduce((sum, value, n) => sum + value * b[n][column], 0)));
}

/** Of an affine matrix, by cofactors. */
function inverse(m) {
  const cofactor = (i, j) => {
    const [a, b] = [(i + 1) % 3, (i + 2) % 3];
    const [c, d] = [(j + 1) % 3, (j + 2) % 3];
    return m[a][c] * m[b][d] - m[a][d] * m[b][c];
  };
  const size = m[0][0] * cofactor(0, 0) + m[0][1] * cofactor(0, 1) + m[0][2] * cofactor(0, 2);
  const turn = [0, 1, 2].map((i) => [0, 1, 2].map((j) => cofactor(j, i) / size));
  const shift = turn.map((row) => -(row[0] * m[0][3] + row[1] * m[1][3] + row[2] * m[2][3]));
  return [...turn.map((row, i) => [...row, shift[i]]), [0, 0, 0, 1]];
}
