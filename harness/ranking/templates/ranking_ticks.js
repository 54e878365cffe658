// Cards, ticks with undo, what was looked at, and their storage in the browser.
const byId = (id) => document.getElementById(id);
const cards = [...document.querySelectorAll(".card")].map((element) => ({
  element,
  box: element.querySelector("input"),
  name: element.querySelector("input").value,
  score: Number(element.dataset.score),
  category: element.dataset.category ?? "",
  nearest: Number(element.dataset.nearest),
}));
const placeOf = new Map(cards.map((card, place) => [card.element, place]));
// Browsers load all images of a page from disk at once, whatever its attribute `loading` says.
const nearView = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      for (const image of target.querySelectorAll("img")) image.src = image.dataset.src;
      nearView.unobserve(target);
    }
  },
  { rootMargin: "800px" },
);
for (const { element } of cards) nearView.observe(element);

const seen = new Set();
const steps = []; // each step: which boxes it changed, and to what

// A browser may refuse its storage, for instance in a private window: the page then works without.
function load(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {};
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    byId("unkept").hidden = true;
  } catch {
    byId("unkept").hidden = false;
  }
}

const RANKING = `meds-bench-ranking-${document.body.dataset.digest}`;
const SETTINGS = "meds-bench-ranking-settings"; // of all rankings
const settings = { theme: "", letters: true, ...load(SETTINGS) };
const ticked = () => cards.filter((card) => card.box.checked);

function keep() {
  const places = [...cards.keys()];
  store(RANKING, { ticked: places.filter((place) => cards[place].box.checked), seen: [...seen] });
}

function restore() {
  const kept = load(RANKING);
  const valid = (places) => (Array.isArray(places) ? places.filter((place) => cards[place]) : []);
  for (const place of valid(kept.ticked)) cards[place].box.checked = true;
  for (const place of valid(kept.seen)) markSeen(place);
}

// Takes over what another tab of this page kept, so no tab overwrites the ticks of another.
function follow() {
  if (!load(RANKING).ticked) return; // the browser keeps nothing
  for (const { box } of cards) box.checked = false;
  restore();
  showProgress();
  showTick();
}

function showProgress() {
  const count = ticked().length;
  byId("count").textContent = count;
  byId("seen").textContent = seen.size;
  byId("looked").value = seen.size;
  byId("save").disabled = count === 0;
  byId("undo").disabled = steps.length === 0;
}

function markSeen(place) {
  seen.add(place);
  cards[place].element.classList.add("seen");
}

function lookAt(place) {
  if (seen.has(place)) return;
  markSeen(place);
  changed();
}

function changed() {
  showProgress();
  keep();
}

// Ticks or unticks images; returns how many it changed.
function setTicks(places, on) {
  const altered = places.filter((place) => cards[place].box.checked !== on);
  if (altered.length === 0) return 0;
  for (const place of altered) cards[place].box.checked = on;
  steps.push({ places: altered, on });
  changed();
  return altered.length;
}

function toggle(place) {
  markSeen(place);
  setTicks([place], !cards[place].box.checked);
  return place;
}

// Takes the last step back; returns the only image it changed, or -1.
function undo() {
  const step = steps.pop();
  if (!step) return -1;
  for (const place of step.places) cards[place].box.checked = !step.on;
  changed();
  return step.places.length === 1 ? step.places[0] : -1;
}

byId("cards").addEventListener("change", (event) => {
  const place = placeOf.get(event.target.closest(".card"));
  markSeen(place);
  steps.push({ places: [place], on: event.target.checked });
  changed();
});
addEventListener("storage", ({ key }) => key === RANKING && follow());
addEventListener("pageshow", ({ persisted }) => persisted && follow()); // a tab that slept received no event
byId("save").addEventListener("click", () => {
  // A spreadsheet would take a name that starts with one of these characters for a formula.
  const safe = ticked().map(({ name }) => (/^[=+\-@]/.test(name) ? "./" : "") + name);
  const quoted = safe.map((name) => '"' + name.replaceAll('"', '""') + '"');
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([["image", ...quoted].join("\n") + "\n"], { type: "text/csv" }));
  link.download = "remove.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
