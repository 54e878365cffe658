"use strict";
/* Curves of a method among the others, one chart per data set. */
const Method = {};
Method.chart = async (element) => {
  const { board: page, method: title } = element.dataset;
  const board = await Site.load(page);
  if (!board.metrics.length) return;
  const metric = board.metrics.find((each) => each.id === element.dataset.metric) ?? board.metrics[0];
  const chunk = await Site.load(`${page}/${metric.id}-all`);
  const values = chunk.values[board.categories[0]];
  const methods = board.methods.filter((each) => each.main || each.title === title).map((each) => ({ ...each, quiet: each.title !== title }));
  methods.sort((a, b) => Number(b.quiet) - Number(a.quiet));
  const points = methods.flatMap((method) => board.noises.flatMap((noise, at) => {
    const own = board.runs.flatMap((run, index) => (run[5] && board.methods[run[0]].label === method.label && run[1] === at && typeof values[index] === "number" ? [values[index]] : []));
    if (!own.length) return [];
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
    const spread = own.length > 1 ? Math.sqrt(own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (own.length - 1)) : null;
    return [{ method: method.label, x: noise, noise: Site.percent(noise), mean, low: spread === null || method.quiet ? null : mean - spread, high: spread === null || method.quiet ? null : mean + spread, text: `${Site.number(mean)}${spread === null ? "" : ` ± ${Site.number(spread)}`}`, seeds: own.length }];
  }));
  element.setAttribute("aria-label", `${metric.label} of ${title} over noise on ${board.dataset}, beside the other methods. The table below has the numbers.`);
  await Site.draw(element, () => Site.curves({ points, methods, title: metric.label, xTitle: "noise", chance: metric.chance, width: element.clientWidth, height: 300, percentTicks: board.noises }));
};
Method.start = async () => {
  await Promise.all([...document.querySelectorAll("[data-board]")].map(Method.chart));
  document.getElementById("content").dataset.ready = "method";
};
document.addEventListener("DOMContentLoaded", Method.start);
