// <progress-chart>: how far a scan was and how fast it went, over time.
import { Course } from "../lib/chart.js";
import { duration, percent, perSecond } from "../lib/text.js";
import { setText } from "../lib/page.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [360, 110];

customElements.define("progress-chart", class extends HTMLElement {
  connectedCallback() {
    if (this.course) return;
    this.course = new Course();
    const svg = document.createElementNS(SVG, "svg");
    const shape = (tag, name) => {
      const element = document.createElementNS(SVG, tag);
      element.setAttribute("class", name);
      svg.append(element);
      return element;
    };
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "The course of the scan: nothing yet");
    this.area = shape("polygon", "chart-area");
    this.rate = shape("polyline", "chart-rate");
    this.done = shape("polyline", "chart-done");
    this.svg = svg;
    this.line = document.createElement("p");
    this.line.className = "small soft nowrap";
    setText(this.line, "Drawn while the scan is watched");
    this.append(svg, this.line);
  }

  add(progress) {
    const total = progress.total || 1;
    this.course.add(progress.elapsed_ms, Math.min(1, progress.done / total), progress.rate);
    if (this.course.points.length < 2) return;
    const lines = this.course.lines(WIDTH, HEIGHT);
    this.area.setAttribute("points", lines.area);
    this.done.setAttribute("points", lines.done);
    this.rate.setAttribute("points", lines.rate);
    const share = this.course.points.at(-1)[1];
    const words = `${percent(share)} done after ${duration(progress.elapsed_ms)}; fastest ${perSecond(lines.peak)}`;
    setText(this.line, words);
    this.svg.setAttribute("aria-label", `The course of the scan: ${words}`);
  }
});
