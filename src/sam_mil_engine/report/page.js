"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("num");
      const before = head.getAttribute("aria-sort");
      const ascending = before ? before === "descending" : !numeric;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => (numeric ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true }));
      const rows = [...body.rows].sort((first, second) => {
        const [a, b] = [value(first), value(second)];
        // Rows without a value stay last whichever way the column is sorted.
        if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
        return ascending ? compare(a, b) : compare(b, a);
      });
      body.append(...rows);
    });
  });
}
for (const button of document.querySelectorAll("button.image")) {
  button.addEventListener("click", () => {
    const wide = button.closest("figure").classList.toggle("wide");
    button.setAttribute("aria-expanded", String(wide));
  });
}
