"use strict";
/* Page of a run: the worst false alarms and misses, all scores, the training curves and the selections. */
const Run = { data: window.MEDS_RUN };

/* Every image, with the share of the other class in its category that it should be apart from, but is not. */
Run.images = () => {
  const { scores } = Run.data;
  const images = scores.image.map((image, i) => ({
    image, category: scores.categories[scores.category[i]], defect: scores.defect ? scores.defects[scores.defect[i]] : scores.anomalous[i] ? "defect" : "good",
    anomalous: Boolean(scores.anomalous[i]), score: scores.score[i], seen: scores.seen ? Boolean(scores.seen[i]) : null,
    called: scores.rules.map((rule, j) => (scores.called[j][i] === null ? null : Boolean(scores.called[j][i]))),
  }));
  const below = (sorted, value) => { let [low, high] = [0, sorted.length]; while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] < value) low = middle + 1; else high = middle; } return low; };
  for (const category of scores.categories) {
    const own = images.filter((each) => each.category === category);
    const of = (anomalous) => own.filter((each) => each.anomalous === anomalous).map((each) => each.score).sort((a, b) => a - b);
    const [normal, defective] = [of(false), of(true)];
    for (const each of own) {
      const others = each.anomalous ? normal : defective;
      if (!others.length) { each.wrong = null; continue; }
      const count = below(others, each.score);
      each.wrong = each.anomalous ? 1 - count / others.length : count / others.length;
    }
  }
  return images;
};

Run.tile = (each) => {
  const place = Run.data.pictures?.places[each.image];
  if (!place) return null;
  const { file, width, height } = Run.data.pictures;
  const [left, top, wide, tall] = place;
  const across = width > wide ? (100 * left) / (width - wide) : 0;
  const down = height > tall ? (100 * top) / (height - tall) : 0;
  const style = `background-image:url("${file}");background-size:${(100 * width) / wide}% auto;background-position:${across}% ${down}%`;
  return Site.make("span", { class: "tile", role: "img", style, "aria-label": `${each.image}: the image with its mask outlined, and its anomaly map` });
};

Run.worst = (images) => {
  for (const [id, anomalous, words] of [["misses", true, "of the normal images score as high or higher"], ["alarms", false, "of the defective images score lower"]]) {
    const list = document.getElementById(id);
    if (!list) continue;
    const chosen = images.filter((each) => each.anomalous === anomalous && each.wrong !== null).sort((a, b) => b.wrong - a.wrong || (anomalous ? a.score - b.score : b.score - a.score) || a.image.localeCompare(b.image));
    const wrong = chosen.filter((each) => each.wrong > 0);
    list.replaceChildren(...wrong.slice(0, 8).map((each) => Site.make("li", {}, Run.tile(each), Site.make("strong", {}, anomalous ? each.defect.replaceAll("_", " ") : "normal"), ` · ${each.category}`, Site.make("br"), each.image, Site.make("br"), `score ${each.score.toPrecision(4)}: ${Math.round(100 * each.wrong)} % ${words}`, each.seen ? " · was a training image" : "")));
    if (!wrong.length) list.replaceChildren(Site.make("li", {}, anomalous ? "None: every defective image scores above all normal images of its category." : "None: every normal image scores below all defective images of its category."));
  }
};

Run.strip = (images) => {
  const element = document.getElementById("strip");
  const choice = document.getElementById("strip-category");
  const draw = () => Site.draw(element, () => {
    const values = images.filter((each) => each.category === choice.value);
    return {
      width: "container", height: 26 * new Set(values.map((each) => each.defect)).size, autosize: { type: "fit-x", contains: "padding" }, data: { values },
      mark: { type: "tick", thickness: 2, opacity: 0.65, tooltip: true },
      encoding: {
        x: { field: "score", type: "quantitative", title: "image score", scale: { zero: false } },
        y: { field: "defect", type: "nominal", title: null, sort: { field: "anomalous", op: "min" } },
        color: { field: "anomalous", type: "nominal", legend: null, scale: { domain: [false, true], range: Site.isDark() ? ["#5db7f5", "#f39a68"] : ["#0072b2", "#c1440e"] } },
        tooltip: [{ field: "image" }, { field: "defect" }, { field: "score", format: ".4" }],
      },
    };
  });
  choice.addEventListener("change", draw);
  element.setAttribute("aria-label", "Scores of the test images by kind. The table below has the same numbers.");
  return draw();
};

Run.list = (images) => {
  const { rules } = Run.data.scores;
  const table = document.getElementById("scores");
  const kind = document.getElementById("scores-kind");
  const find = document.getElementById("scores-find");
  const state = { column: "wrong", down: true };
  const columns = [["image", "image"], ["category", "category"], ["kind", "defect"], ["score", "score"], ["misplaced", "wrong"], ["in training", "seen"], ...rules.map((rule, i) => [rule, `rule-${i}`])];
  const value = (each, column) => (column.startsWith("rule-") ? Number(each.called[Number(column.slice(5))]) : typeof each[column] === "boolean" ? Number(each[column]) : each[column]);
  const text = (each, column) => {
    if (column.startsWith("rule-")) { const called = each.called[Number(column.slice(5))]; return called === null ? "–" : called === each.anomalous ? (called ? "found" : "passed") : called ? "false alarm" : "missed"; }
    if (column === "score") return each.score.toPrecision(5);
    if (column === "wrong") return each.wrong === null ? "–" : `${Math.round(100 * each.wrong)} %`;
    if (column === "seen") return each.seen === null ? "–" : each.seen ? "yes" : "no";
    return each[column];
  };
  const MOST = 300;
  const show = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = images.filter((each) => (kind.value === "all" || (kind.value === "defective") === each.anomalous) && words.every((word) => `${each.image} ${each.category} ${each.defect}`.toLowerCase().includes(word)));
    kept.sort((a, b) => { const [one, other] = [value(a, state.column), value(b, state.column)]; return one === null || other === null ? Site.order(one, other) : state.down ? Site.order(other, one) : Site.order(one, other); });
    table.tBodies[0].replaceChildren(...kept.slice(0, MOST).map((each) => Site.make("tr", {}, ...columns.map(([, column]) => Site.make("td", { class: ["score", "wrong"].includes(column) ? "" : column === "image" ? "text wrap" : "text" }, text(each, column))))));
    document.getElementById("scores-count").textContent = `${Math.min(MOST, kept.length)} of ${kept.length} images shown`;
  };
  table.tHead.replaceChildren(Site.make("tr", {}, ...columns.map(([name, column]) => {
    const head = Site.make("th", { scope: "col", class: "text" });
    head.append(Site.make("button", { type: "button", onclick: () => {
      Object.assign(state, { down: state.column === column ? !state.down : true, column });
      for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      show();
    } }, name));
    return head;
  })));
  kind.addEventListener("change", show);
  find.addEventListener("input", show);
  show();
};

/* Training curves: the losses of each phase, then the sizes of its selections. */
Run.curves = (id, curves, yTitle) => {
  const element = document.getElementById(id);
  if (!element) return undefined;
  const values = curves.flatMap(({ name, steps, values: of }) => steps.map((step, i) => ({ name, step, value: of[i] })));
  element.setAttribute("aria-label", `${yTitle} over training steps: ${curves.map((curve) => curve.name).join(", ")}`);
  return Site.draw(element, () => ({
    width: "container", height: 240, autosize: { type: "fit-x", contains: "padding" }, data: { values },
    mark: { type: "line", point: values.length < 60, tooltip: true, interpolate: id === "selections" ? "step-after" : "linear" },
    encoding: {
      x: { field: "step", type: "quantitative", title: "training step", scale: { nice: false } },
      y: { field: "value", type: "quantitative", title: yTitle, scale: { zero: id === "selections" } },
      color: { field: "name", type: "nominal", title: null, legend: { orient: "bottom", columns: 2, labelLimit: 260 }, scale: { range: Site.isDark() ? ["#5db7f5", "#f39a68", "#3fd6a6", "#cf7bee"] : ["#0072b2", "#c1440e", "#1c9872", "#8c19b1"] } },
      strokeDash: { field: "name", type: "nominal", title: null },
    },
  }));
};

/* One line per training image, one column per selection: filled where the image was selected. */
Run.passes = () => {
  const table = document.getElementById("passes");
  if (!table) return;
  const { image, injected, chosen } = Run.data.passes;
  const share = (text) => [...text].filter((mark) => mark === "1").length / text.length;
  const rows = image.map((name, i) => ({ name, injected: Boolean(injected[i]), chosen: chosen[i], share: share(chosen[i]) }));
  const kind = document.getElementById("passes-kind");
  const show = () => {
    const kept = rows.filter((row) => kind.value === "all" || (kind.value === "injected") === row.injected);
    kept.sort((a, b) => (kind.value === "injected" ? b.share - a.share : a.share - b.share) || a.name.localeCompare(b.name));
    table.tBodies[0].replaceChildren(...kept.slice(0, 100).map((row) => Site.make("tr", {}, Site.make("td", { class: "text wrap" }, row.name), Site.make("td", { class: "text" }, row.injected ? "injected anomaly" : "normal"), Site.make("td", {}, `${Math.round(100 * row.share)} %`), Site.make("td", { class: "text", "aria-label": `selected in ${Math.round(100 * row.share)} % of the passes` }, [...row.chosen].map((mark) => (mark === "1" ? "■" : "·")).join("")))));
    document.getElementById("passes-count").textContent = `${Math.min(100, kept.length)} of ${kept.length} images shown`;
  };
  kind.addEventListener("change", show);
  show();
};

Run.start = async () => {
  const { scores, losses, selections, passes } = Run.data;
  if (scores) {
    const images = Run.images();
    Run.worst(images);
    Run.list(images);
    await Run.strip(images);
  }
  if (passes) Run.passes();
  if (losses) await Run.curves("losses", losses, "loss");
  if (selections) await Run.curves("selections", selections, "training images");
  document.getElementById("content").dataset.ready = "run";
};
document.addEventListener("DOMContentLoaded", Run.start);
