// A mask that is painted slice by slice: brush, eraser, undo. Voxels in RAS order, x fastest; nothing here draws.

const KEPT = 100; // strokes that can be taken back

export class Painting {
  #undo = [];
  #stroke = null;

  /** mask: a byte for each voxel, 0 or 1, changed in place. shape: [x, y, z] voxels. size: mm of a voxel along each. */
  constructor(mask, shape, size) {
    this.mask = mask;
    this.shape = shape;
    this.size = size;
  }

  get strokes() {
    return this.#undo.length;
  }

  begin() {
    this.#stroke = new Map();
  }

  /** A disc in an axial slice. at: [x, y, z] voxels. value: 1 paints, 0 erases. */
  dab([x, y, z], radius, value) {
    const [width, height, depth] = this.shape;
    if (z < 0 || z >= depth) return;
    const reach = [Math.floor(radius / this.size[0]), Math.floor(radius / this.size[1])];
    for (let j = Math.max(0, y - reach[1]); j <= Math.min(height - 1, y + reach[1]); j += 1) {
      for (let i = Math.max(0, x - reach[0]); i <= Math.min(width - 1, x + reach[0]); i += 1) {
        if (((i - x) * this.size[0]) ** 2 + ((j - y) * this.size[1]) ** 2 > radius ** 2) continue;
        const voxel = i + width * (j + height * z);
        if (this.mask[voxel] === value) continue;
        this.#stroke?.set(voxel, this.#stroke.get(voxel) ?? this.mask[voxel]);
        this.mask[voxel] = value;
      }
    }
  }

  /** Discs from one place to another within a slice, so that quick strokes have no gaps. */
  line(from, to, radius, value) {
    const steps = from[2] === to[2] ? Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]), 1) : 1;
    for (let n = 1; n <= steps; n += 1) {
      this.dab([0, 1, 2].map((axis) => Math.round(from[axis] + ((to[axis] - from[axis]) * n) / steps)), radius, value);
    }
  }

  end() {
    if (this.#stroke?.size) this.#undo.push(this.#stroke);
    if (this.#undo.length > KEPT) this.#undo.shift();
    this.#stroke = null;
  }

  /** Clear one slice. */
  clear(z) {
    const [width, height] = this.shape;
    this.begin();
    for (let voxel = width * height * z; voxel < width * height * (z + 1); voxel += 1) {
      if (!this.mask[voxel]) continue;
      this.#stroke.set(voxel, 1);
      this.mask[voxel] = 0;
    }
    this.end();
  }

  /** Take the last stroke back; the slice that it was in, or null where there is none. */
  undo() {
    const stroke = this.#undo.pop();
    if (!stroke) return null;
    for (const [voxel, was] of stroke) this.mask[voxel] = was;
    return Math.floor(stroke.keys().next().value / (this.shape[0] * this.shape[1]));
  }
}

/** mL of a mask, whole, left and right. toLeft: [a, b, c, d], left mm of a voxel: a x + b y + c z + d (RAS). */
export function volumes({ mask, shape, size }, toLeft) {
  const [width, height, depth] = shape;
  const [a, b, c, d] = toLeft;
  let [left, all] = [0, 0];
  for (let z = 0, voxel = 0; z < depth; z += 1) {
    for (let y = 0; y < height; y += 1) {
      const row = b * y + c * z + d;
      for (let x = 0; x < width; x += 1, voxel += 1) {
        if (!mask[voxel]) continue;
        all += 1;
        if (a * x + row > 0) left += 1;
      }
    }
  }
  const ml = (size[0] * size[1] * size[2]) / 1000;
  return { all: all * ml, left: left * ml, right: (all - left) * ml };
}
