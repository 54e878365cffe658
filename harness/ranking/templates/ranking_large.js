// Larger picture of one image, beside its most similar image of the less suspicious half.
let current = -1; // place of the image that keys act on
let enlarged = -1; // place of the enlarged image

function setCurrent(place) {
  cards[current]?.element.classList.remove("current");
  current = place;
  cards[current]?.element.classList.add("current");
}

// The next visible image in a direction; -1 if there is none.
function neighbour(direction) {
  let place = current + direction;
  if (current < 0) place = 0;
  while (cards[place]?.element.hidden) place += direction;
  return cards[place] ? place : -1;
}

const largeAddress = ({ element }) => element.dataset.large ?? element.querySelector("img").dataset.src;

// A fresh element, since the old one would show the last image until the new one is there.
function replaceImage(image, src, alt) {
  const fresh = image.cloneNode();
  Object.assign(fresh, { src, alt });
  image.replaceWith(fresh);
}

function fill(figure, card, caption) {
  const own = card.element.querySelector(".frame");
  const frame = figure.querySelector(".frame");
  frame.style.setProperty("--ratio", own.style.getPropertyValue("--ratio"));
  frame.style.backgroundImage = `url("${own.querySelector("img").dataset.src}")`; // until the larger picture is there
  const [image, map] = frame.querySelectorAll("img");
  replaceImage(image, largeAddress(card), card.name);
  if (map) replaceImage(map, own.querySelector(".map").dataset.src, map.alt);
  figure.querySelector("figcaption").textContent = caption;
}

function showLarge(place) {
  setCurrent(place);
  enlarged = place;
  const card = cards[place];
  byId("title").textContent = `${place + 1} of ${cards.length} · ${card.name} · score ${card.score.toFixed(2)}`;
  fill(byId("suspect"), card, card.element.dataset.large ? "" : "Only a thumbnail of this image is stored.");
  const other = cards[card.nearest];
  byId("nearest").hidden = !other;
  if (other) fill(byId("nearest"), other, `Most similar, less suspicious: ${other.name} (place ${card.nearest + 1})`);
  byId("previous").disabled = neighbour(-1) < 0;
  byId("next").disabled = neighbour(1) < 0;
  if (!byId("large").open) {
    byId("large").showModal();
    byId("tick").focus();
  }
  lookAt(place);
  showTick();
  const following = cards[neighbour(1)];
  if (following) new Image().src = largeAddress(following); // so that it is there at once
}

function showTick() {
  byId("tick").checked = cards[current]?.box.checked ?? false;
}

function move(direction) {
  const place = neighbour(direction);
  if (place < 0) return;
  if (byId("large").open) showLarge(place);
  else focusCard(place);
}

function focusCard(place) {
  cards[place]?.box.focus({ preventScroll: true });
  cards[place]?.element.scrollIntoView({ block: "nearest" }); // below the bar, unlike focus alone
}

// Zooms in on a point of the image, given as fractions of its width and height, or zooms out.
function zoom(x = 0.5, y = 0.5) {
  const on = byId("large").classList.toggle("zoom");
  byId("zoom").setAttribute("aria-pressed", on);
  const room = byId("suspect");
  const frame = room.querySelector(".frame");
  room.scrollTo(x * frame.offsetWidth - room.clientWidth / 2, y * frame.offsetHeight - room.clientHeight / 2);
}

function setOpacity(percent) {
  document.documentElement.style.setProperty("--opacity", percent / 100);
  for (const slider of document.querySelectorAll(".opacity")) slider.value = percent;
}

let hiddenOpacity = 0;
function toggleMap() {
  const now = Number(document.querySelector(".opacity").value);
  setOpacity(now ? 0 : hiddenOpacity || 55);
  hiddenOpacity = now;
}

byId("cards").addEventListener("click", (event) => {
  const button = event.target.closest(".open");
  if (button) showLarge(placeOf.get(button.closest(".card")));
});
byId("cards").addEventListener("focusin", (event) => setCurrent(placeOf.get(event.target.closest(".card"))));
byId("large").addEventListener("close", () => focusCard(enlarged)); // the focus is on an earlier card by now
byId("close").addEventListener("click", () => byId("large").close());
byId("previous").addEventListener("click", () => move(-1));
byId("next").addEventListener("click", () => move(1));
byId("zoom").addEventListener("click", () => zoom());
byId("suspect").querySelector(".frame").addEventListener("click", (event) => {
  const box = event.currentTarget.getBoundingClientRect();
  zoom((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
});
byId("tick").addEventListener("change", () => toggle(current));
for (const slider of document.querySelectorAll(".opacity"))
  slider.addEventListener("input", () => setOpacity(slider.value));
