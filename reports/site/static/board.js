"use strict";
/* Leaderboard of a data set: choices, answers in words, curves, and the table. The numbers are means over seeds. */
const Board = { state: {}, board: null };

Board.start = async (board) => {
  Board.board = board;
  board.rows = board.methods.map((method, index) => ({ method, index, runs: [] }));
  board.runs.forEach((run, index) => run[5] && board.rows[run[0]].runs.push({ index, noise: run[1], seed: run[2], place: board.places[run[3]], page: run[4] }));
  Board.read();
  Board.makeControls();
  addEventListener("hashchange", () => { Board.read(); Board.makeControls(); Board.show(); });
  await Board.show();
};

/* The choices are part of the address, so that a link shows the same table. */
Board.read = () => {
  const { metrics, readouts, categories, methods } = Board.board;
  const given = new URLSearchParams(location.hash.slice(1));
  const one = (name, allowed) => (allowed.includes(given.get(name)) ? given.get(name) : allowed[0]);
  const hidden = new Set((given.get("hide") ?? "").split("|").filter(Boolean));
  Board.state = {
    metric: one("metric", metrics.map((each) => each.id)),
    readout: one("readout", readouts.map((each) => each.id)),
    category: one("category", categories),
    settings: one("settings", ["main", "all"]),
    axis: one("axis", ["nominal", "actual"]),
    find: given.get("find") ?? "",
    sort: given.get("sort") ?? "loss",
    down: given.get("down") === "1",
    hidden: new Set(methods.map((each) => each.title).filter((title) => hidden.has(title))),
  };
  if (!given.has("sort")) Board.state.down = true;
};
Board.write = () => {
  const { hidden, down, ...rest } = Board.state;
  const words = new URLSearchParams(Object.entries({ ...rest, down: down ? "1" : "0", hide: [...hidden].join("|") }).filter(([, value]) => value !== ""));
  history.replaceState(null, "", `#${words}`);
};
Board.change = (changes) => { Object.assign(Board.state, changes); Board.write(); Board.show(); };

Board.makeControls = () => {
  const { board, state } = Board;
  const select = (name, label, options) => {
    const list = Site.make("select", { id: `choice-${name}`, onchange: (event) => Board.change({ [name]: event.target.value }) }, ...options.map(([value, text]) => Site.make("option", { value, selected: state[name] === value }, text)));
    return Site.make("label", { for: `choice-${name}` }, label, list);
  };
  const find = Site.make("input", { id: "choice-find", type: "search", value: state.find, placeholder: "e.g. ρ 0.1", oninput: (event) => Board.change({ find: event.target.value }) });
  document.getElementById("controls").replaceChildren(
    select("metric", "Metric", board.metrics.map((each) => [each.id, each.label])),
    select("readout", "Test images", board.readouts.map((each) => [each.id, each.label])),
    select("category", "Category", board.categories.map((name) => [name, name === "mean" ? `mean of ${board.categories.length - 1}` : name])),
    select("settings", "Settings of a method", [["main", "the usual ones"], ["all", `all (${board.methods.length} rows)`]]),
    select("axis", "Noise axis", [["nominal", "nominal ratio"], ["actual", "true share of anomalies"]]),
    Site.make("label", { for: "choice-find" }, "Find a method", find),
  );
  const firsts = board.methods.filter((method, i) => board.methods.findIndex((each) => each.title === method.title) === i);
  document.getElementById("methods").replaceChildren(...firsts.map((method) => {
    const box = Site.make("input", { type: "checkbox", checked: !state.hidden.has(method.title), value: method.title, onchange: (event) => {
      const hidden = new Set(Board.state.hidden);
      if (event.target.checked) hidden.delete(method.title); else hidden.add(method.title);
      Board.change({ hidden });
    } });
    return Site.make("label", {}, box, Site.swatch(method.look), method.title);
  }));
};

/* Cells of all rows: per noise ratio the runs with a value, their mean and spread. */
Board.cells = (values) => Board.board.rows.map((row) => {
  const cells = Board.board.noises.map((_, noise) => {
    const runs = row.runs.filter((run) => run.noise === noise && typeof values[run.index] === "number").map((run) => ({ ...run, value: values[run.index] }));
    if (!runs.length) return null;
    const mean = runs.reduce((sum, run) => sum + run.value, 0) / runs.length;
    const spread = runs.length > 1 ? Math.sqrt(runs.reduce((sum, run) => sum + (run.value - mean) ** 2, 0) / (runs.length - 1)) : null;
    return { runs, mean, spread };
  });
  const [first, last] = [cells[0], cells[cells.length - 1]];
  const loss = first && last && cells.length > 1 ? last.mean - first.mean : null;
  return { ...row, cells, loss };
});

Board.visible = (rows) => {
  const { state } = Board;
  const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter(({ method, cells }) => cells.some(Boolean) && !state.hidden.has(method.title) && (state.settings === "all" || method.main) && words.every((word) => method.label.toLowerCase().includes(word)));
};

Board.show = async () => {
  const { board, state } = Board;
  const address = `${board.page}/${state.metric}-${state.readout}`;
  if (!board.chunks.includes(`${state.metric}/${state.readout}`)) return Board.empty("No run has this metric on these test images. Choose other test images or another metric.");
  const chunk = await Site.load(address);
  if (address !== `${board.page}/${state.metric}-${state.readout}`) return;
  const values = chunk.values[state.category];
  if (!values) return Board.empty("No run has this metric on this category.");
  const rows = Board.visible(Board.cells(values));
  if (!rows.length) return Board.empty("No method is left. Show a method or empty the search.");
  const known = state.category === board.categories[0] ? chunk.chance : null;
  for (const row of rows) row.chance = known?.methods[row.method.label] ?? null;
  Board.unit = known?.unit ?? "";
  Board.answer(rows);
  Board.table(rows);
  await Board.curves(rows);
  document.getElementById("board").dataset.ready = address;
};
Board.empty = (text) => {
  document.getElementById("answer").replaceChildren(Site.make("p", {}, text));
  document.getElementById("board").tBodies[0].replaceChildren();
  document.getElementById("curves").replaceChildren();
};

Board.answer = (rows) => {
  const { board, state } = Board;
  const name = board.metrics.find((each) => each.id === state.metric).label;
  const ends = [board.noises[0], board.noises[board.noises.length - 1]];
  const parts = [];
  const losing = rows.filter((row) => row.loss !== null).sort((a, b) => b.loss - a.loss);
  if (losing.length) {
    const [best, next] = losing;
    const between = `from ${Site.percent(ends[0])} to ${Site.percent(ends[1])} noise`;
    parts.push(Site.make("p", {}, Site.make("strong", {}, best.method.label), ` loses least ${between}: ${name} ${Board.ends(best)}`, Board.bounds(Board.lossBounds(best)), next ? `; next is ${next.method.label}, ${Board.ends(next)}${Board.compared(next.chance?.loss?.[state.settings])}.` : "."));
  }
  const at = rows.filter((row) => row.cells[row.cells.length - 1]).sort((a, b) => b.cells[b.cells.length - 1].mean - a.cells[a.cells.length - 1].mean);
  if (at.length) parts.push(Site.make("p", {}, Site.make("strong", {}, at[0].method.label), ` is best at ${Site.percent(ends[1])}: ${Site.number(at[0].cells[at[0].cells.length - 1].mean)}`, at[1] ? `; next is ${at[1].method.label} with ${Site.number(at[1].cells[at[1].cells.length - 1].mean)}${Board.verdict(at[1])}.` : "."));
  const most = Math.max(...rows.flatMap((row) => row.cells.filter(Boolean).map((cell) => cell.runs.length)));
  parts.push(Site.make("p", { class: "quiet" }, `${most > 1 ? `Means over up to ${most} runs; ± is one standard deviation over them.` : "One run per number."} ${Board.unit ? `Chance: ${Board.unit}.` : ""}`));
  if (state.readout === "all" && board.readouts.some((each) => each.id === "unseen") && ends[1] > 0) parts.push(Site.make("p", { class: "quiet" }, "With noise, the injected anomalies are both training and test images here. Other test images leave them out."));
  document.getElementById("answer").replaceChildren(...parts);
};
/* A change from the lowest to the highest noise with both values, because a method that is bad anyway loses little. */
Board.ends = (row) => `from ${Site.number(row.cells[0].mean)} to ${Site.number(row.cells[row.cells.length - 1].mean)}, ${Site.signed(row.loss)}`;

/* Words on chance, from the statistics that the site was built with. */
Board.bounds = (bounds) => (bounds ? ` (95 % interval ${Site.signed(bounds[0])} to ${Site.signed(bounds[1])})` : "");
Board.lossBounds = (row) => { const bounds = row.chance?.loss?.bounds; return bounds ? [-bounds[1], -bounds[0]] : null; };
Board.compared = (found) => {
  if (!found) return "";
  const words = { tie: "within chance", behind: "beyond chance", apart: "beyond chance, although a method farther away is not", untested: "whether by chance is unknown" }[found.verdict];
  return words ? `, ${words}${found.p === null ? "" : ` (p = ${found.p}, corrected)`}` : "";
};
Board.verdict = (row) => { const list = row.chance?.verdicts[Board.state.settings]; return Board.compared(list ? { verdict: list[list.length - 1], p: null } : null); };

Board.columns = () => [
  ...Board.board.noises.map((noise, i) => ({ id: `noise-${i}`, head: Site.percent(noise), value: (row) => row.cells[i]?.mean ?? null })),
  ...(Board.board.noises.length > 1 ? [{ id: "loss", head: `${Site.percent(Board.board.noises[0])} to ${Site.percent(Board.board.noises[Board.board.noises.length - 1])}`, value: (row) => row.loss }] : []),
  ...(Board.unit ? Board.extra : []),
];
Board.extra = [
  { id: "area", head: "area", about: "mean over the true share of anomalies, trapezoidal rule", value: (row) => row.chance?.area?.[0] ?? null, text: (row) => Site.number(row.chance?.area?.[0]), bounds: (row) => row.chance?.area?.slice(1) },
  { id: "kept", head: "kept", about: "worst value as a share of the value without noise", value: (row) => row.chance?.kept ?? null, text: (row) => (row.chance?.kept ? `${(100 * row.chance.kept).toFixed(0)} %` : "–") },
  { id: "below", head: "overtaken at", about: "first true share of anomalies at which the best other training-free method is better, at any of its settings", value: (row) => row.chance?.below_at ?? null, text: (row) => (row.chance?.below_at === null || row.chance?.below_at === undefined ? "–" : Site.percent(row.chance.below_at)) },
];

Board.table = (rows) => {
  const { state } = Board;
  const columns = Board.columns();
  const sorted = [...rows];
  const by = columns.find((column) => column.id === state.sort);
  const key = by ? by.value : (row) => row.method.label;
  sorted.sort((a, b) => {
    const [one, other] = [key(a), key(b)];
    if (one === null || other === null) return Site.order(one, other);
    return state.down ? Site.order(other, one) : Site.order(one, other);
  });
  const head = (id, text, about) => {
    const sort = state.sort === id ? (state.down ? "descending" : "ascending") : null;
    const button = Site.make("button", { type: "button", "data-sort": id, onclick: () => {
      Board.change({ sort: id, down: state.sort === id ? !state.down : id !== "method" });
      document.querySelector(`[data-sort="${id}"]`)?.focus();
    } }, text);
    return Site.make("th", { scope: "col", class: id === "method" ? "text" : null, "aria-sort": sort, title: about }, button);
  };
  const table = document.getElementById("board");
  table.tHead.replaceChildren(Site.make("tr", {}, head("method", "method"), ...columns.map((column) => head(column.id, column.head, column.about))));
  const best = Object.fromEntries(columns.map((column) => [column.id, Math.max(...rows.map(column.value).filter((value) => value !== null))]));
  table.tBodies[0].replaceChildren(...sorted.map((row) => Board.row(row, columns, best)));
};

Board.row = (row, columns, best) => {
  const name = Site.make("th", { scope: "row", class: "text wrap" }, Site.swatch(row.method.look), " ", Site.make("a", { href: `${Site.root}methods/${row.method.page}.html` }, row.method.label));
  const cells = columns.map((column) => {
    const value = column.value(row);
    const isBest = value !== null && value === best[column.id];
    const index = column.id.startsWith("noise-") ? Number(column.id.slice(6)) : null;
    const cell = index === null ? null : row.cells[index];
    if (!cell) {
      const bounds = column.bounds?.(row);
      const interval = bounds && bounds[0] !== null ? Site.make("small", {}, ` ${Site.number(bounds[0])} to ${Site.number(bounds[1])}`) : null;
      return Site.make("td", { class: isBest && column.id !== "below" ? "best value" : "value" }, column.text ? column.text(row) : Site.signed(value), interval);
    }
    const isTie = row.chance?.verdicts[Board.state.settings]?.[index] === "tie";
    const spread = cell.spread === null ? null : Site.make("small", {}, ` ±${Site.number(cell.spread)}`);
    const describe = `${Site.number(cell.mean)}, ${row.method.label} at ${column.head} noise: show the runs`;
    return Site.make("td", { class: `value${isBest ? " best" : ""}` }, Site.make("button", { type: "button", "aria-label": describe, onclick: () => Board.runs(row, index) }, `${Site.number(cell.mean)}${isTie ? " ≈" : ""}`), spread);
  });
  return Site.make("tr", {}, name, ...cells);
};

/* The runs behind a number, in a dialog. */
Board.runs = (row, index) => {
  const { board, state } = Board;
  const cell = row.cells[index];
  const name = board.metrics.find((each) => each.id === state.metric).label;
  const lines = cell.runs.map((run) => Site.make("tr", {}, Site.make("td", { class: "text" }, Site.make("a", { href: `${Site.root}runs/${run.page}.html` }, `run ${run.page}`)), Site.make("td", {}, Site.number(run.value, 4)), Site.make("td", {}, run.seed.split("/")[0]), Site.make("td", {}, run.seed.split("/")[1]), Site.make("td", { class: "text" }, run.place)));
  const heads = [["run", "text"], [name, ""], ["training seed", ""], ["noise seed", ""], ["study", "text"]];
  const table = Site.make("table", {}, Site.make("thead", {}, Site.make("tr", {}, ...heads.map(([text, kind]) => Site.make("th", { scope: "col", class: kind }, text)))), Site.make("tbody", {}, ...lines));
  const dialog = document.getElementById("runs");
  dialog.replaceChildren(
    Site.make("h2", { id: "runs-title" }, `${row.method.label} at ${Site.percent(board.noises[index])} noise`),
    Site.make("p", { class: "quiet" }, `${name}, ${state.category === "mean" ? "mean over categories" : state.category}, ${board.readouts.find((each) => each.id === state.readout).label}. A run has its settings, its images and its scores.`),
    Site.make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "runs" }, table),
    Site.make("form", { method: "dialog" }, Site.make("button", {}, "Close")),
  );
  dialog.showModal();
};

/* Ends of the bar of a point: the interval where it is known, else one standard deviation. */
Board.range = (row, cell, noise) => {
  const bounds = row.chance?.levels[noise];
  if (bounds) return { low: bounds[0], high: bounds[1], text: `${Site.number(cell.mean)}, 95 % interval ${Site.number(bounds[0])} to ${Site.number(bounds[1])}` };
  if (cell.spread === null) return { low: null, high: null, text: Site.number(cell.mean) };
  return { low: cell.mean - cell.spread, high: cell.mean + cell.spread, text: `${Site.number(cell.mean)} ± ${Site.number(cell.spread)}` };
};

Board.curves = (rows) => {
  const { board, state } = Board;
  const element = document.getElementById("curves");
  const metric = board.metrics.find((each) => each.id === state.metric);
  const place = (noise) => (state.axis === "actual" ? board.shares[`${board.noises[noise]}`]?.[1] ?? board.noises[noise] : board.noises[noise]);
  const points = rows.flatMap((row) => row.cells.flatMap((cell, noise) => (cell ? [{ method: row.method.label, row: row.index, at: noise, x: place(noise), noise: Site.percent(board.noises[noise]), mean: cell.mean, ...Board.range(row, cell, noise), seeds: cell.runs.length }] : [])));
  const xTitle = state.axis === "actual" ? "true share of anomalies in training" : "noise: anomalies per normal training image";
  element.setAttribute("aria-label", `${metric.label} over noise for ${rows.length} methods. The table below has the same numbers.`);
  const methods = rows.map((row) => row.method);
  const draw = () => Site.curves({ points, methods, title: metric.label, xTitle, chance: metric.chance, width: element.clientWidth, height: element.clientWidth > 560 ? 400 : 300, percentTicks: board.noises.map((_, noise) => place(noise)) });
  return Site.draw(element, draw, (datum) => { const row = rows.find((each) => each.index === datum.row); if (row) Board.runs(row, datum.at); });
};
document.addEventListener("DOMContentLoaded", async () => Board.start(await Site.load(document.getElementById("board").dataset.board)));
