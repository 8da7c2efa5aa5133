// The district map: [data-map] holds the values by town, its geometry comes from data-shapes. The ranking beside it is
// its twin in text; this is a picture to click on.
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const live = new Map();

const bounds = (shapes) => {
  const box = [180, 90, -180, -90];
  const walk = (part) => {
    if (typeof part[0] === "number") {
      box[0] = Math.min(box[0], part[0]);
      box[1] = Math.min(box[1], part[1]);
      box[2] = Math.max(box[2], part[0]);
      box[3] = Math.max(box[3], part[1]);
    } else part.forEach(walk);
  };
  shapes.features.forEach((feature) => walk(feature.geometry.coordinates));
  return [[box[0], box[1]], [box[2], box[3]]];
};

const hatch = () => {
  const size = 8;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = css("--seq-none");
  pen.fillRect(0, 0, size, size);
  pen.strokeStyle = css("--line-strong");
  pen.beginPath();
  pen.moveTo(0, size);
  pen.lineTo(size, 0);
  pen.stroke();
  return pen.getImageData(0, 0, size, size);
};

const draw = async (node) => {
  live.set(node, null);
  const maplibre = await import(node.dataset.library);
  maplibre.setWorkerUrl(node.dataset.worker);
  const shapes = await (await fetch(node.dataset.shapes)).json();
  const data = JSON.parse(node.dataset.map);
  const towns = new Map(data.towns.map((town) => [town.code, town]));
  for (const feature of shapes.features) {
    const town = towns.get(feature.properties.code);
    feature.id = Number(feature.properties.code) || undefined;
    feature.properties.level = town ? town.level : 0;
    feature.properties.chosen = Boolean(town && town.chosen);
  }
  const fill = ["match", ["get", "level"]];
  [1, 2, 3, 4, 5].forEach((level) => fill.push(level, css(`--seq-${level}`)));
  fill.push(css("--seq-none"));
  const box = bounds(shapes);
  node.classList.toggle("map-small", node.clientWidth < 480);
  const map = new maplibre.Map({
    container: node,
    attributionControl: false,
    fadeDuration: 0,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    cooperativeGestures: false,
    scrollZoom: false,
    bounds: box,
    fitBoundsOptions: { padding: 28 },
    maxBounds: [[box[0][0] - 0.35, box[0][1] - 0.3], [box[1][0] + 0.35, box[1][1] + 0.3]],
    style: {
      version: 8,
      sources: { district: { type: "geojson", data: shapes } },
      layers: [
        { id: "back", type: "background", paint: { "background-color": "rgba(0,0,0,0)" } },
        { id: "towns", type: "fill", source: "district", filter: ["==", ["get", "kind"], "town"], paint: { "fill-color": fill, "fill-opacity": ["case", ["boolean", ["feature-state", "hover"], false], 0.82, 1] } },
        { id: "borders", type: "line", source: "district", filter: ["==", ["get", "kind"], "town"], paint: { "line-color": css("--surface"), "line-width": 1.6 } },
        { id: "water", type: "fill", source: "district", filter: ["==", ["get", "kind"], "water"], paint: { "fill-color": css("--info-soft"), "fill-opacity": 0.85 } },
        { id: "outline", type: "line", source: "district", filter: ["==", ["get", "kind"], "outline"], paint: { "line-color": css("--ink-3"), "line-width": 1.4 } },
        { id: "chosen", type: "line", source: "district", filter: ["==", ["get", "chosen"], true], paint: { "line-color": css("--ink"), "line-width": 3.2 } },
      ],
    },
  });
  live.set(node, map);
  map.touchZoomRotate.disableRotation();
  map.keyboard.disable();
  map.on("load", () => {
    map.addImage("hatch", hatch(), { pixelRatio: 1 });
    map.addLayer({ id: "missing", type: "fill", source: "district", filter: ["all", ["==", ["get", "kind"], "town"], ["==", ["get", "level"], 0]], paint: { "fill-pattern": "hatch" } }, "borders");
  });
  map.getCanvas().setAttribute("tabindex", "-1");
  map.getCanvas().removeAttribute("role");
  map.getCanvas().setAttribute("aria-hidden", "true");

  for (const feature of shapes.features) {
    const { label, code, name, name_en: english } = feature.properties;
    if (!label) continue;
    const town = towns.get(code);
    const text = document.createElement("div");
    text.className = `map-label${town && town.level >= 4 ? " deep" : ""}${town && town.level === 4 ? " mid" : ""}`;
    text.append(document.documentElement.lang === "en" ? english : name);
    if (town && town.text) {
      const value = document.createElement("b");
      value.textContent = town.text;
      text.append(value);
    }
    new maplibre.Marker({ element: text, anchor: "center" }).setLngLat(label).addTo(map);
  }

  const tip = document.createElement("div");
  tip.className = "map-tip";
  tip.hidden = true;
  node.append(tip);
  let over = null;
  const leave = () => {
    if (over !== null) map.setFeatureState({ source: "district", id: over }, { hover: false });
    over = null;
    tip.hidden = true;
    map.getCanvas().style.cursor = "";
  };
  map.on("mousemove", "towns", (event) => {
    const feature = event.features[0];
    const town = towns.get(feature.properties.code);
    if (over !== feature.id) {
      leave();
      over = feature.id;
      map.setFeatureState({ source: "district", id: over }, { hover: true });
    }
    tip.textContent = town ? town.tip : "";
    tip.hidden = !town;
    tip.style.left = `${Math.min(event.point.x + 14, node.clientWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.max(8, event.point.y - tip.offsetHeight - 10)}px`;
    map.getCanvas().style.cursor = town && town.url ? "pointer" : "";
  });
  map.on("mouseleave", "towns", leave);
  map.on("click", "towns", (event) => {
    const town = towns.get(event.features[0].properties.code);
    if (town && town.url) location.assign(town.url);
  });
  map.once("idle", () => {
    node.dataset.ready = "true";
  });
  new ResizeObserver(() => {
    map.resize();
    node.classList.toggle("map-small", node.clientWidth < 480);
    map.fitBounds(box, { padding: node.clientWidth < 500 ? 14 : 28, animate: false });
  }).observe(node);
};

const sweep = () => {
  for (const [node, map] of live) {
    if (!node.isConnected) {
      map?.remove();
      live.delete(node);
    }
  }
  document.querySelectorAll("[data-map]").forEach((node) => {
    if (!live.has(node)) draw(node).catch(() => node.classList.add("failed"));
  });
};
sweep();
document.addEventListener("htmx:afterSettle", sweep);
