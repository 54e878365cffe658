// Filter, and the histogram of the scores with its cut. Both follow the category; the cut ignores the other filters.
const BINS = 60;
const STEPS = Number(byId("cut").max);
let scope = []; // places of the category's images
let scores = []; // their scores, highest first
let cut = Infinity;

const category = () => byId("category")?.value ?? "";
const above = () => scope.filter((place) => cards[place].score > cut);
const lowest = () => scores.at(-1) ?? 0;
const highest = () => scores[0] ?? 0;

function filter() {
  const wanted = {
    all: () => true,
    ticked: (place) => cards[place].box.checked,
    unticked: (place) => !cards[place].box.checked,
    unseen: (place) => !seen.has(place),
  }[byId("show").value];
  const part = byId("name").value.trim().toLowerCase();
  let count = 0;
  cards.forEach((card, place) => {
    const fits =
      wanted(place) && card.name.toLowerCase().includes(part) && (!category() || card.category === category());
    card.element.hidden = !fits;
    count += fits;
  });
  byId("shown").textContent = `${count} of ${cards.length} shown`;
  byId("none").hidden = count > 0;
}

function drawHistogram() {
  scope = [...cards.keys()].filter((place) => !category() || cards[place].category === category());
  scores = scope.map((place) => cards[place].score).sort((a, b) => b - a);
  const width = (highest() - lowest()) / BINS || 1;
  const counts = new Array(BINS).fill(0);
  for (const score of scores) counts[Math.min(BINS - 1, Math.floor((score - lowest()) / width))] += 1;
  const tallest = Math.log1p(Math.max(...counts));
  const bars = counts.map((count, bin) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = count ? Math.max(2, (38 * Math.log1p(count)) / tallest) : 0; // one image of thousands stays visible
    const place = { x: bin + 0.05, y: 40 - height, width: 0.9, height };
    for (const [key, value] of Object.entries(place)) bar.setAttribute(key, value);
    bar.dataset.middle = lowest() + (bin + 0.5) * width;
    return bar;
  });
  byId("histogram").replaceChildren(...bars);
  byId("lowest").textContent = lowest().toFixed(2);
  byId("highest").textContent = highest().toFixed(2);
  byId("above").max = scores.length;
  setCut(Infinity);
}

function setCut(score) {
  cut = score;
  const count = above().length;
  const share = (cut - lowest()) / (highest() - lowest() || 1);
  byId("cut").value = Math.round(STEPS * Math.min(1, Math.max(0, share)));
  const where = count ? `score ${cut.toFixed(2)}, ` : "";
  byId("cut").setAttribute("aria-valuetext", `${where}${count} images above`);
  byId("above").value = count;
  byId("take").disabled = count === 0;
  byId("take").textContent = count === 1 ? "Tick the image above the cut" : `Tick the ${count} images above the cut`;
  byId("taken").textContent = count ? `score above ${cut.toFixed(2)}` : "";
  for (const bar of byId("histogram").children) bar.classList.toggle("above", Number(bar.dataset.middle) > cut);
}

// The cut goes halfway between two scores, so that no rounding moves an image across it.
function cutAfter(count) {
  if (count <= 0) setCut(Infinity);
  else if (count >= scores.length) setCut(lowest() - 1);
  else setCut((scores[count - 1] + scores[count]) / 2);
}

byId("cut").addEventListener("input", (event) => {
  const step = Number(event.target.value);
  if (step === STEPS) setCut(Infinity);
  else if (step === 0) setCut(lowest() - 1);
  else setCut(lowest() + ((highest() - lowest()) * step) / STEPS);
});
byId("above").addEventListener("change", (event) => cutAfter(Math.round(Number(event.target.value))));
byId("take").addEventListener("click", () => {
  const count = setTicks(above(), true);
  byId("taken").textContent = `${count} more ticked`;
});
byId("show").addEventListener("change", filter);
byId("name").addEventListener("input", filter);
byId("category")?.addEventListener("change", () => {
  filter();
  drawHistogram();
});
