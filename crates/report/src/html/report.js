"use strict";
const filter = document.querySelector(".filter");
const input = filter.querySelector("input");
const shown = filter.querySelector("span");
filter.hidden = false;
input.addEventListener("input", () => {
  const wanted = input.value.trim().toLowerCase();
  let count = 0;
  for (const section of document.querySelectorAll("section")) {
    const title = section.querySelector("h2").textContent.toLowerCase();
    let any = title.includes(wanted);
    for (const row of section.querySelectorAll("tbody tr")) {
      const found = title.includes(wanted) || row.textContent.toLowerCase().includes(wanted);
      row.hidden = !found;
      any ||= found;
      count += found;
    }
    section.hidden = !any;
  }
  shown.textContent = wanted ? `${count} ports` : "";
});
for (const head of document.querySelectorAll("th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const body = head.closest("table").tBodies[0];
    const text = (row) => row.cells[head.cellIndex].textContent;
    const sign = order === "ascending" ? 1 : -1;
    const compare = new Intl.Collator(undefined, { numeric: true }).compare;
    body.append(...[...body.rows].sort((a, b) => sign * compare(text(a), text(b))));
  });
}
