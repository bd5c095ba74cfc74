// Start: read the data, build the three experiments, and link them.

function byId(id) {
  return document.getElementById(id);
}

// A table whose head and first column are headings; its cells are HTML.
function table(head, rows) {
  const cells = ([first, ...others]) => `<th scope="row">${first}</th>${others.map((c) => `<td>${c}</td>`).join("")}`;
  return `<table><thead><tr>${head.map((c) => `<th scope="col">${c}</th>`).join("")}</tr></thead>
    <tbody>${rows.map((row) => `<tr>${cells(row)}</tr>`).join("")}</tbody></table>`;
}

async function start() {
  if (typeof DecompressionStream === "undefined") throw new Error("this browser is from before 2023, and too old");
  const data = JSON.parse(byId("data").textContent);
  const model = await Model.load(data.model);
  const labels = new LabelsPanel(model, data.lines, data.pair);
  const stars = await StarsPanel.load(model, data.lines, data.stars);
  await labels.build();
  await stars.build();
  byId("take").addEventListener("click", () => {
    const star = stars.sample[stars.chosen];
    labels.set(star.curve, star.factors);
  });
  let dial = null;
  if (data.dial) {
    dial = new DialPanel(model.labels, data.dial);
    await dial.build();
  } else {
    byId("dial-body").innerHTML = "<p>This survey has no star without labels.</p>";
  }
  return { model, labels, stars, dial };
}

// The page's objects, once all is drawn: for the console, and for tests.
const lab2 = start().catch((problem) => {
  const place = byId("problem");
  place.hidden = false;
  place.textContent = `This page cannot be shown: ${problem.message}.`;
  throw problem;
});
