// Draws [data-chart] with ECharts from the same data as its table twin, in the colours of the theme.
(() => {
  "use strict";
  const drawn = new Map();
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const wall = () => document.body.classList.contains("wall");
  const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;

  // the target is part of the picture even when no value comes near it; both ends of the axis lie on a line of the grid
  const withTarget = (data) => {
    const values = data.series.flatMap((one) => one.values).filter((value) => value !== null);
    if (data.target === null || !values.length) return {};
    const low = data.fromZero ? 0 : Math.min(data.target, ...values);
    const high = Math.max(data.target, ...values);
    const rough = (high - low || Math.abs(high) || 1) / 4;
    const size = 10 ** Math.floor(Math.log10(rough));
    const interval = [1, 2, 2.5, 5, 10].map((factor) => factor * size).find((step) => step >= rough * 0.999);
    const max = Math.ceil((high + interval * 0.05) / interval) * interval;
    const min = Math.floor((low - (data.fromZero ? 0 : interval * 0.05)) / interval) * interval;
    const share = data.unit === "%" && high <= 100;
    return { interval, max: share ? Math.min(100, max) : max, min: low >= 0 ? Math.max(0, min) : min };
  };

  const option = (data) => {
    const ink = css("--ink-2");
    const faint = css("--ink-3");
    const line = css("--line");
    const size = wall() ? Math.max(11, Math.min(innerWidth / 1920, innerHeight / 1080) * 15) : rem() * 0.75;
    const colours = [1, 2, 3, 4, 5, 6].map((n) => css(`--c-${n}`));
    const number = (value) =>
      value === null || value === undefined || Number.isNaN(value)
        ? "—"
        : Number(value).toLocaleString("en-US", { minimumFractionDigits: data.digits, maximumFractionDigits: data.digits });
    const named = Boolean(data.unit) && data.unit !== "%";
    const lines = !data.series.some((one) => one.kind === "bar");
    const series = data.series.map((one, index) => ({
      name: one.name,
      type: one.kind === "bar" ? "bar" : "line",
      data: one.values,
      connectNulls: false,
      smooth: false,
      showSymbol: one.values.filter((value) => value !== null).length <= 36,
      symbol: ["circle", "rect", "triangle", "diamond"][index % 4],
      symbolSize: size * 0.45,
      lineStyle: { width: 2.25, type: index === 0 ? "solid" : [[6, 3], [2, 3], [8, 3, 2, 3]][(index - 1) % 3] },
      areaStyle: one.kind === "area" ? { opacity: 0.14 } : undefined,
      barMaxWidth: 22,
      stack: data.stacked && one.kind === "bar" ? "all" : undefined,
      itemStyle: one.kind === "bar" ? { borderRadius: [2, 2, 0, 0] } : undefined,
      emphasis: { focus: "series" },
    }));
    const marks = [];
    if (data.target !== null)
      marks.push({ yAxis: data.target, name: data.targetLabel, lineStyle: { color: css("--warn"), type: "dashed", width: 1.5 }, label: { formatter: `${data.targetLabel} ${number(data.target)}`, color: css("--warn"), position: "insideStartTop", fontSize: size } });
    data.breaks.forEach(([at, label]) =>
      marks.push({ xAxis: at, lineStyle: { color: faint, type: "dotted" }, label: { formatter: label, color: faint, fontSize: size, position: "end", rotate: 0 } }),
    );
    if (series.length && marks.length) series[0].markLine = { silent: true, symbol: "none", data: marks };
    const areas = [];
    if (data.band) areas.push([{ yAxis: data.band[0] ?? "min", itemStyle: { color: css("--ok-soft"), opacity: 0.75 } }, { yAxis: data.band[1] ?? "max" }]);
    if (data.openFrom) areas.push([{ xAxis: data.openFrom, itemStyle: { color: faint, opacity: 0.1 }, label: { show: true, formatter: data.openLabel, position: "insideTop", color: faint, fontSize: size } }, { xAxis: data.categories[data.categories.length - 1] }]);
    if (series.length && areas.length) series[0].markArea = { silent: true, data: areas };
    return {
      animation: !matchMedia("(prefers-reduced-motion: reduce)").matches && !navigator.webdriver,
      animationDuration: 350,
      color: colours,
      textStyle: { fontFamily: css("--font"), color: ink, fontSize: size },
      grid: { left: lines ? size * 1.4 : 6, right: lines ? size * 2.8 : size, top: (series.length > 1 ? size * 2.4 : size) + (named ? size * 1.6 : 0) + (data.breaks.length ? size : 0), bottom: 4, containLabel: true },
      legend: series.length > 1 ? { top: 0, left: 0, itemWidth: 18, itemHeight: 8, textStyle: { color: ink, fontSize: size } } : undefined,
      tooltip: {
        trigger: "axis",
        renderMode: "richText",
        confine: true,
        backgroundColor: css("--ink"),
        borderWidth: 0,
        textStyle: { color: css("--surface"), fontSize: size, fontFamily: css("--font") },
        valueFormatter: (value) => `${number(value)}${data.unit ? ` ${data.unit}` : ""}`,
      },
      xAxis: {
        type: "category",
        data: data.categories,
        boundaryGap: data.series.some((one) => one.kind === "bar"),
        axisLine: { lineStyle: { color: line } },
        axisTick: { show: false },
        axisLabel: { color: faint, fontSize: size, hideOverlap: true },
      },
      yAxis: {
        type: "value",
        scale: !data.fromZero,
        name: named ? data.unit : "",
        nameTextStyle: { color: faint, fontSize: size, align: "left" },
        nameGap: size * 0.8,
        axisLabel: { color: faint, fontSize: size, formatter: (value) => Number(value).toLocaleString("en-US") + (data.unit === "%" ? "%" : "") },
        splitLine: { lineStyle: { color: line } },
        splitNumber: 4,
        ...withTarget(data),
      },
      series,
    };
  };

  const draw = (node) => {
    const data = JSON.parse(node.dataset.chart);
    let chart = drawn.get(node);
    if (!chart) {
      chart = echarts.init(node, null, { renderer: "canvas" });
      drawn.set(node, chart);
      watcher.observe(node);
    }
    // before setOption: the first paint would be missed otherwise
    chart.off("finished");
    chart.on("finished", () => {
      node.dataset.ready = "true";
    });
    chart.setOption(option(data), true);
  };
  const watcher = new ResizeObserver((entries) => entries.forEach(({ target }) => drawn.get(target)?.resize()));
  const sweep = (root = document) => {
    for (const [node, chart] of drawn) {
      if (!node.isConnected) {
        watcher.unobserve(node);
        chart.dispose();
        drawn.delete(node);
      }
    }
    root.querySelectorAll?.("[data-chart]").forEach((node) => drawn.has(node) || draw(node));
  };
  document.addEventListener("DOMContentLoaded", () => sweep());
  document.addEventListener("htmx:afterSettle", () => sweep());
  new MutationObserver(() => drawn.forEach((_, node) => draw(node))).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
})();
