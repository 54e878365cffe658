"use strict";
/* Parts that every page has: the theme, tables that sort and filter, and small helpers for the other scripts. */
const Site = { chunks: {}, waiting: {} };

Site.make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};

/* Values of a metric arrive as a script, because pages opened from disk cannot fetch files. */
Site.chunk = (address, content) => {
  Site.chunks[address] = content;
  for (const resolve of Site.waiting[address] ?? []) resolve(content);
  delete Site.waiting[address];
};
Site.load = (address) => {
  if (Site.chunks[address]) return Promise.resolve(Site.chunks[address]);
  return new Promise((resolve, reject) => {
    const isFirst = !Site.waiting[address];
    (Site.waiting[address] ??= []).push(resolve);
    if (!isFirst) return;
    const script = Site.make("script", { src: `${Site.root}data/${address}.js` });
    script.addEventListener("error", () => reject(new Error(`data/${address}.js is missing`)));
    document.head.append(script);
  });
};

/* The library of the curves is large, so it is read after the page is there. */
Site.vega = () => {
  Site.library ??= new Promise((resolve, reject) => {
    if (window.vegaEmbed) return resolve(window.vegaEmbed);
    const script = Site.make("script", { src: `${Site.root}assets/vega.js` });
    script.addEventListener("load", () => resolve(window.vegaEmbed));
    script.addEventListener("error", () => reject(new Error("assets/vega.js is missing")));
    document.head.append(script);
  });
  return Site.library;
};

Site.root = document.documentElement.dataset.root ?? "";
Site.isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
Site.onTheme = [];
Site.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
Site.percent = (noise) => `${+(100 * noise).toFixed(2)} %`;
Site.number = (value, digits = 3) => (value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits).replace("-", "−"));
Site.signed = (value, digits = 3) => (value > 0 ? `+${Site.number(value, digits)}` : Site.number(value, digits));

/* A click on a column header sorts by the column; a second click reverses the order. Empty cells come last. */
Site.cellValue = (cell) => {
  const text = (cell.dataset.value ?? cell.textContent).trim();
  if (text === "" || text === "–") return null;
  const number = Number(text.replace("−", "-").replace(/[ %].*$/, ""));
  return Number.isNaN(number) ? text : number;
};
Site.order = (a, b) => {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
};
Site.sortRows = (table, column, down) => {
  const pairs = [...table.tBodies[0].rows].map((row) => [Site.cellValue(row.cells[column]), row]);
  pairs.sort(([a], [b]) => (a === null || b === null ? Site.order(a, b) : down ? Site.order(b, a) : Site.order(a, b)));
  table.tBodies[0].append(...pairs.map(([, row]) => row));
};
Site.sortable = (table) => {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    if (head.dataset.fixed !== undefined || head.querySelector("button")) return;
    const button = Site.make("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const sorted = head.getAttribute("aria-sort");
      const numeric = typeof Site.cellValue(table.tBodies[0].rows[0]?.cells[column] ?? head) === "number";
      const down = sorted ? sorted === "ascending" : numeric;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      Site.sortRows(table, column, down);
    });
  });
};
/* An input with data-filter="id" hides the rows of the table with this id that lack one of its words. */
Site.filterable = (input) => {
  const table = document.getElementById(input.dataset.filter);
  const count = document.querySelector(`[data-count="${input.dataset.filter}"]`);
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    if (count) count.textContent = `${shown} of ${table.tBodies[0].rows.length} shown`;
  };
  input.addEventListener("input", apply);
  apply();
};

Site.drawTheme = () => {
  const button = document.getElementById("theme");
  const dark = Site.isDark();
  button.textContent = dark ? "Light" : "Dark";
  button.setAttribute("aria-label", `Use ${dark ? "light" : "dark"} colours`);
};
Site.start = () => {
  Site.drawTheme();
  document.getElementById("theme").addEventListener("click", () => {
    const theme = Site.isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("meds-bench-theme", theme); } catch { /* a page from disk may not store */ }
    Site.drawTheme();
    for (const draw of Site.onTheme) draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    Site.drawTheme();
    for (const draw of Site.onTheme) draw();
  });
  document.querySelectorAll("table.sortable").forEach(Site.sortable);
  document.querySelectorAll("input[data-filter]").forEach(Site.filterable);
};
document.addEventListener("DOMContentLoaded", Site.start);
