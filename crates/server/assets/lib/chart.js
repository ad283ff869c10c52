// The course of a scan as lines. Pure: runs under node as well.

/** Points kept: with more, every second one goes, so that a day's scan stays small. */
const MOST = 600;

/** A course: points of [ms since the start, share done 0 to 1, probes a second]. */
export class Course {
  constructor() {
    this.points = [];
    this.every = 1;
    this.skipped = 0;
  }

  add(elapsed, share, rate) {
    const last = this.points.at(-1);
    if (last && elapsed <= last[0]) return;
    this.skipped += 1;
    if (this.skipped < this.every) return;
    this.skipped = 0;
    this.points.push([elapsed, share, rate]);
    if (this.points.length > MOST) {
      this.points = this.points.filter((_, i) => i % 2 === 0);
      this.every *= 2;
    }
  }

  /** The lines as the points of SVG polylines within `width` by `height`. */
  lines(width, height) {
    const [first, last] = [this.points[0][0], this.points.at(-1)[0]];
    const span = Math.max(1, last - first);
    const peak = Math.max(1, ...this.points.map((point) => point[2]));
    const at = (x, y) => `${((x - first) / span * width).toFixed(1)},${((1 - y) * height).toFixed(1)}`;
    const done = this.points.map(([x, share]) => at(x, share));
    return {
      done: done.join(" "),
      area: [`0,${height}`, ...done, `${width},${height}`].join(" "),
      rate: this.points.map(([x, , rate]) => at(x, rate / peak)).join(" "),
      peak,
      span,
    };
  }
}
