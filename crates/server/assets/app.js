// The one script of every page: habits first, then the elements that the page may have.
import { keys, menus, theme, times, trials } from "./elements/habits.js";
import "./elements/copy-button.js";
import "./elements/query-box.js";
import "./elements/port-map.js";
import "./elements/progress-chart.js";
import "./elements/result-table.js";
import "./elements/live-scan.js";
import "./elements/live-list.js";
import "./elements/scan-form.js";

theme();
times();
keys();
menus();
trials();
setInterval(() => document.hidden || times(), 30_000);
