"use strict";
/* Curves drawn with Vega-Lite, in the colours and with the markers of the printed figures. */
const star = Array.from({ length: 10 }, (_, i) => {
  const radius = i % 2 ? 0.45 : 1.1;
  const angle = (Math.PI * i) / 5 - Math.PI / 2;
  return `${(radius * Math.cos(angle)).toFixed(3)},${(radius * Math.sin(angle)).toFixed(3)}`;
}).join("L");
Site.shapes = {
  o: "M0.9,0A0.9,0.9,0,1,1,-0.9,0A0.9,0.9,0,1,1,0.9,0Z",
  s: "M-0.85,-0.85L0.85,-0.85L0.85,0.85L-0.85,0.85Z",
  D: "M0,-1.1L1.1,0L0,1.1L-1.1,0Z",
  "^": "M0,-1L1,0.8L-1,0.8Z",
  v: "M0,1L1,-0.8L-1,-0.8Z",
  P: "M-0.35,-1L0.35,-1L0.35,-0.35L1,-0.35L1,0.35L0.35,0.35L0.35,1L-0.35,1L-0.35,0.35L-1,0.35L-1,-0.35L-0.35,-0.35Z",
  X: "M-0.95,-0.45L-0.45,-0.95L0,-0.5L0.45,-0.95L0.95,-0.45L0.5,0L0.95,0.45L0.45,0.95L0,0.5L-0.45,0.95L-0.95,0.45L-0.5,0Z",
  "*": `M${star}Z`,
};
Site.inkOf = (look) => (Site.isDark() ? look.dark : look.colour);

/* A short line with the marker of a method, for legends and tables. */
Site.swatch = (look) => {
  const space = "http://www.w3.org/2000/svg";
  const draw = (name, attributes) => {
    const element = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const svg = draw("svg", { class: "swatch", viewBox: "-13 -7 26 14", "aria-hidden": "true" });
  const line = draw("path", { d: "M-13,0L13,0", "stroke-width": 2, "stroke-dasharray": look.dash.join(" "), fill: "none" });
  const marker = draw("path", { d: Site.shapes[look.marker], transform: "scale(5)" });
  const paint = () => { line.setAttribute("stroke", Site.inkOf(look)); marker.setAttribute("fill", Site.inkOf(look)); };
  paint();
  Site.onTheme.push(paint);
  svg.append(line, marker);
  return svg;
};

Site.chartConfig = () => ({
  background: null,
  font: "system-ui, sans-serif",
  axis: { labelColor: Site.colour("text"), titleColor: Site.colour("text"), gridColor: Site.colour("line"), domainColor: Site.colour("strong"), tickColor: Site.colour("strong"), labelFontSize: 12, titleFontSize: 13, titleFontWeight: 500 },
  legend: { labelColor: Site.colour("text"), titleColor: Site.colour("text"), labelFontSize: 12, titleFontSize: 12 },
  header: { labelColor: Site.colour("text"), titleColor: Site.colour("text"), labelFontSize: 13 },
  text: { fontSize: 12 },
  view: { stroke: null },
});

/* Draw a specification into an element, at once and whenever the theme changes; return the view. */
Site.draw = async (element, makeSpec, onClick) => {
  const embed = await Site.vega();
  const turn = (element.turn = (element.turn ?? 0) + 1);
  const spec = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", ...makeSpec(), config: Site.chartConfig() };
  const { view } = await embed(element, spec, { actions: false, renderer: "svg", tooltip: { theme: Site.isDark() ? "dark" : "light" } });
  if (turn !== element.turn) return view.finalize();
  element.view?.finalize();
  element.view = view;
  if (onClick) view.addEventListener("click", (event, item) => item?.datum && onClick(item.datum));
  element.dataset.drawn = turn;
  if (!element.redraws) {
    element.redraws = true;
    Site.onTheme.push(() => element.redraw());
  }
  element.redraw = () => Site.draw(element, makeSpec, onClick);
  return view;
};

/* Move labels apart so that none hides another; `gap` is in units of the axis. */
Site.apart = (points, gap) => {
  const sorted = [...points].sort((a, b) => a.mean - b.mean);
  for (let pass = 0; pass < 60; pass += 1) {
    for (let i = 1; i < sorted.length; i += 1) {
      const missing = gap - (sorted[i].label_y - sorted[i - 1].label_y);
      if (missing > 0) { sorted[i].label_y += missing / 2; sorted[i - 1].label_y -= missing / 2; }
    }
  }
};

/* Specification of one metric over the noise: points has method, x, mean, low, high, text; methods has label, look. */
Site.curves = ({ points, methods, title, xTitle, chance, width, height = 380, percentTicks }) => {
  const labels = methods.map((method) => method.label);
  const inks = methods.map((method) => (method.quiet ? Site.colour("strong") : Site.inkOf(method.look)));
  const wide = width > 560;
  const all = points.flatMap((point) => [point.mean, point.low ?? point.mean, point.high ?? point.mean]);
  if (chance !== null && chance !== undefined && Math.min(...all) < chance + 0.15) all.push(chance);
  const [bottom, top] = [Math.min(...all), Math.max(...all)];
  const margin = Math.max(0.01, 0.06 * (top - bottom));
  const domain = [bottom - margin, top + margin];
  const last = Math.max(...points.map((point) => point.x));
  const ends = points.filter((point) => point.x === last && !methods[labels.indexOf(point.method)]?.quiet).map((point) => ({ ...point, label_y: point.mean }));
  Site.apart(ends, ((domain[1] - domain[0]) * 15) / (height - 50));
  const colour = { field: "method", type: "nominal", scale: { domain: labels, range: inks }, legend: null };
  const y = (field) => ({ field, type: "quantitative", title, scale: { domain, zero: false, nice: false } });
  const x = { field: "x", type: "quantitative", title: xTitle, scale: { nice: false, padding: 12 }, axis: { values: percentTicks, format: ".3~%", grid: false } };
  const tooltip = [{ field: "method", title: "method" }, { field: "noise", title: "noise" }, { field: "text", title }, { field: "seeds", title: "runs" }];
  const base = { encoding: { x, color: colour } };
  const isBand = points.some((point) => point.low !== null);
  const layer = [
    ...(isBand ? [{ ...base, mark: { type: "rule", strokeWidth: 1.5, opacity: 0.55 }, transform: [{ filter: "isValid(datum.low)" }], encoding: { ...base.encoding, y: y("low"), y2: { field: "high" } } }] : []),
    { ...base, mark: { type: "line", strokeWidth: 2 }, encoding: { ...base.encoding, y: y("mean"), strokeDash: { field: "method", type: "nominal", legend: null, scale: { domain: labels, range: methods.map((method) => (method.look.dash.length ? method.look.dash : [1, 0])) } }, opacity: { condition: { test: { field: "method", oneOf: methods.filter((method) => method.quiet).map((method) => method.label) }, value: 0.35 }, value: 1 } } },
    { ...base, mark: { type: "point", filled: true, size: 75, opacity: 1, cursor: "pointer", tooltip: true }, encoding: { ...base.encoding, y: y("mean"), tooltip, shape: { field: "method", type: "nominal", legend: null, scale: { domain: labels, range: methods.map((method) => Site.shapes[method.look.marker]) } } } },
  ];
  if (wide) layer.push({ data: { values: ends }, mark: { type: "text", align: "left", dx: 10, baseline: "middle", clip: false }, encoding: { x, y: y("label_y"), color: colour, text: { field: "method" } } });
  if (chance !== null && chance !== undefined && chance >= domain[0]) {
    layer.unshift({ data: { values: [{ chance }] }, mark: { type: "rule", strokeDash: [3, 3], color: Site.colour("strong") }, encoding: { y: { ...y("chance"), field: "chance" } } });
    layer.push({ data: { values: [{ chance, x: Math.min(...points.map((point) => point.x)) }] }, mark: { type: "text", align: "left", dy: 10, dx: 4, color: Site.colour("quiet"), text: "chance" }, encoding: { x, y: { ...y("chance"), field: "chance" } } });
  }
  return { width: "container", height, autosize: { type: "fit", contains: "padding" }, padding: { left: 4, right: 6, top: 8, bottom: 4 }, data: { values: points }, layer };
};
