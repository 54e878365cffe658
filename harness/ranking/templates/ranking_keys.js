// Keys, help, colours, and the start of the page.
function undoAndShow() {
  const place = undo();
  if (byId("large").open) {
    if (place >= 0 && place !== current) showLarge(place);
    else showTick();
  } else focusCard(place);
}

function toggleCurrent() {
  if (current < 0) return;
  toggle(current);
  showTick();
}

const KEYS = {
  ArrowRight: () => move(1),
  ArrowLeft: () => move(-1),
  " ": toggleCurrent,
  Enter: () => current >= 0 && !byId("large").open && showLarge(current),
};
const LETTERS = {
  j: () => move(1),
  k: () => move(-1),
  x: toggleCurrent,
  u: undoAndShow,
  m: toggleMap,
  z: () => byId("large").open && zoom(),
  "?": () => byId("help").showModal(),
};

// Whether the element under the focus uses the key itself.
function takesKey(element, key) {
  if (element.matches("select, [type=search], [type=number]")) return true;
  if (element.matches("[type=range]")) return key.startsWith("Arrow");
  if (element.matches("[type=checkbox]")) return key === " ";
  return element.matches("button") && (key === " " || key === "Enter");
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (byId("help").open || takesKey(target, key)) return;
  const modified = event.ctrlKey || event.metaKey;
  const undoing = modified && !event.shiftKey && key.toLowerCase() === "z";
  if (event.altKey || (modified && !undoing)) return;
  const act = undoing ? undoAndShow : KEYS[key] ?? (settings.letters ? LETTERS[key] : undefined);
  if (!act) return;
  event.preventDefault();
  act();
});

function setTheme() {
  document.documentElement.dataset.theme = settings.theme;
  byId("theme").value = settings.theme;
}

byId("undo").addEventListener("click", undoAndShow);
byId("ask").addEventListener("click", () => byId("help").showModal());
byId("theme").addEventListener("change", (event) => {
  settings.theme = event.target.value;
  setTheme();
  store(SETTINGS, settings);
});
byId("letters").addEventListener("change", (event) => {
  settings.letters = event.target.checked;
  store(SETTINGS, settings);
});

const tellOfLostPictures = () => (byId("lost").hidden = false);
document.addEventListener("error", tellOfLostPictures, true);

byId("letters").checked = settings.letters;
setTheme();
restore();
changed(); // shows at once whether the browser keeps ticks
filter();
drawHistogram();
