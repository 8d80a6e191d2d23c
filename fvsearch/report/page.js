// Draws the figures, in dark colours where the reader's screen is dark.
const figures = JSON.parse(document.getElementById("figures").textContent);
const darkOf = JSON.parse(document.getElementById("colours").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

function themed(value) {
  if (Array.isArray(value)) return value.map(themed);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item)]));
  return dark.matches && typeof value === "string" && Object.hasOwn(darkOf, value) ? darkOf[value] : value;
}

function draw() {
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  for (const [name, figure] of Object.entries(figures)) {
    const { data, layout } = themed(figure);
    // A finger that moves over a plot scrolls the page.
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    Plotly.react(`plot-${name}`, data, layout, config);
  }
}

draw();
dark.addEventListener("change", draw);
