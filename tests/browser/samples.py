"""Made-up contexts for every template. Test data only: nothing of this is in the platform."""

from __future__ import annotations

from typing import Any

from healthbrain.web.charts import Chart, Series
from healthbrain.web.pages.cockpit_view import Alert, CockpitPage, Kpi, Move, Rank, TownValue, map_view
from healthbrain.web.pages.failures import ErrorPage
from healthbrain.web.pages.home import _FIGURES, _ROLES, _STATES, HelpPage, HomePage
from healthbrain.web.pages.signin import DemoAccount, LoginPage, PasswordPage, SessionsPage
from healthbrain.web.visit import Visit

TOWNS = (
    ("310118001", "夏阳街道", 71.2), ("310118002", "盈浦街道", 73.8), ("310118003", "香花桥街道", 64.1),
    ("310118102", "朱家角镇", 68.9), ("310118103", "练塘镇", 59.7), ("310118104", "金泽镇", 57.2),
    ("310118105", "赵巷镇", 66.0), ("310118106", "徐泾镇", 74.5), ("310118107", "华新镇", None),
    ("310118109", "重固镇", 62.8), ("310118110", "白鹤镇", 60.4),
)  # fmt: skip
MONTHS = [f"2025-{m:02d}" for m in range(12, 13)] + [f"2026-{m:02d}" for m in range(1, 12)]


def login(visit: Visit) -> LoginPage:
    accounts = [DemoAccount("leader", "x", "leader", "陈立（区领导）"), DemoAccount("cdc", "x", "cdc", "王敏（疾控）")]
    return LoginPage("/", "", "", accounts)


def kpis(visit: Visit) -> list[Kpi]:
    say = visit.language.say
    moves = [Move("同比", "+4.2 个百分点", "up", True), Move("环比", "−0.6 个百分点", "down", False)]
    return [
        Kpi(
            "htn",
            "高血压患者规范管理率",
            "66.3",
            "%",
            "/cockpit?measure=htn",
            "/measures/htn",
            "1.2.0",
            True,
            "",
            "65%",
            66.3,
            65.0,
            False,
            moves,
            "1,284 / 1,937",
            "64.2–68.4%",
            "接入机构 22/24",
            [60, 61, 62, 61, 64, 66.3],
        ),
        Kpi(
            "dm",
            "2型糖尿病患者规范管理率",
            "58.9",
            "%",
            "/cockpit?measure=dm",
            "/measures/dm",
            "1.0.1",
            False,
            "",
            "62%",
            58.9,
            62.0,
            True,
            moves,
            "502 / 852",
            "55.6–62.2%",
            "接入机构 22/24",
        ),
        Kpi(
            "ctrl",
            "高血压控制率",
            "51.7",
            "%",
            "/cockpit?measure=ctrl",
            "/measures/ctrl",
            "1.0.0",
            False,
            "",
            "50%",
            51.7,
            50.0,
            False,
            moves[:1],
            "1,002 / 1,937",
            "49.5–53.9%",
            "接入机构 22/24",
        ),
        Kpi(
            "fd",
            "家庭医生签约服务人数",
            "12,408",
            "人",
            "/cockpit?measure=fd",
            "/measures/fd",
            "1.0.0",
            False,
            "",
            "",
            None,
            None,
            None,
            [Move("环比", "+312", "up", True)],
            "",
            "",
            "接入机构 11/11",
            [11000, 11300, 11800, 12000, 12408],
        ),
        Kpi(
            "vac",
            "适龄儿童国家免疫规划接种率",
            "93.1",
            "%",
            "/cockpit?measure=vac",
            "/measures/vac",
            "2.0.0",
            False,
            "",
            "90%",
            93.1,
            90.0,
            False,
            [],
            "",
            "",
            "接入机构 11/11",
        ),
        Kpi(
            "cov",
            "数据接入覆盖率",
            "",
            "%",
            "/cockpit?measure=cov",
            "/measures/cov",
            "1.0.0",
            False,
            say("Not connected"),
        ),
    ]


def cockpit(visit: Visit) -> CockpitPage:
    said = visit.language
    towns = [
        TownValue(
            code,
            name,
            value,
            f"{value:.1f}%" if value else said.say("Not connected"),
            f"{name}  {value or '—'}%  n=173",
            "/cockpit?area=" + code,
            code == "310118102",
        )
        for code, name, value in TOWNS
    ]
    ranked = sorted((t for t in TOWNS if t[2]), key=lambda t: -(t[2] or 0))
    ranks = [
        Rank(i, name, f"{value:.1f}%", f"/cockpit?area={code}", value, 65, (value or 0) < 65, "", code == "310118102")
        for i, (code, name, value) in enumerate(ranked, 1)
    ]
    ranks.append(Rank(0, "华新镇", said.say("Not connected"), "/cockpit?area=310118107"))
    places = [
        Rank(i, name, f"{v}%", "/cockpit?area=x", v, 65, v < 65, f"n={n}")
        for i, (name, v, n) in enumerate(
            (
                ("徐泾镇社区卫生服务中心", 74.5, 210),
                ("盈浦街道社区卫生服务中心", 73.8, 240),
                ("夏阳街道社区卫生服务中心", 71.2, 301),
                ("朱家角人民医院", 68.9, 90),
                ("金泽镇社区卫生服务中心", 57.2, 33),
            ),
            1,
        )
    ]
    trend = Chart(
        "trend",
        "高血压患者规范管理率 · 近 12 个月",
        MONTHS,
        [
            Series("青浦区", [58, 58.5, 59, 60.2, 61, 61.4, None, 62.5, 63, 64.9, 66.9, 66.3]),
            Series("上年同期", [50, 51, 53, 53, 54, 55, 56, 57, 58, 59, 60, 62.1]),
        ],
        "%",
        1,
        65,
        said.say("Target"),
        breaks=[("2026-06", "口径 v1.2")],
        open_from="2026-10",
        open_label="未满月",
        csv="/cockpit?format=csv",
        from_zero=False,
    )
    weekly = Chart(
        "weekly",
        said.say("Infectious diseases by week"),
        [f"{w}周" for w in range(30, 47)],
        [
            Series("流行性感冒", [2, 3, 1, 4, 3, 6, 8, 9, 14, 18, 25, 31, 42, 55, 61, 58, 23], "bar"),
            Series("手足口病", [9, 12, 11, 14, 13, 8, 6, 5, 4, 6, 3, 4, 2, 2, 1, 2, 0], "line"),
        ],
        "例",
        csv="/x",
    )
    alerts = [
        Alert(
            "bad",
            "alert",
            "华新镇社区卫生服务中心 已 3 天没有送数",
            "最近一次 2026-11-19 07:12 · HL7 v2",
            "/arrivals?source=4",
            "查看",
        ),
        Alert(
            "warn",
            "cross",
            "复旦大学附属中山医院青浦分院 今日拒收 42 条",
            "平时每天约 3 条 · PID-3: 缺少患者标识",
            "/arrivals?source=2&state=refused",
            "查看",
        ),
        Alert("warn", "clock", "1 个来源等待核实", "MSH-4 = QP-LAB-9", "/sources", "核实"),
    ]
    return CockpitPage(
        "青浦区驾驶舱", "", "2026年11月", [("2026-11", "2026年11月"), ("2026-10", "2026年10月")], "2026-11-22 16:00", "22/24",
        "htn", "高血压患者规范管理率", [("htn", "高血压患者规范管理率"), ("dm", "2型糖尿病患者规范管理率")], "", kpis(visit),
        map_view(said, "高血压患者规范管理率 · 街镇分布", towns, "%", 0), ranks, places, "机构排名", trend, weekly, alerts, "/cockpit?format=csv", "/cockpit/persons",
    )  # fmt: skip


def error(visit: Visit) -> ErrorPage:
    return ErrorPage(
        403,
        visit.language.say("You may not open this"),
        visit.language.say(
            "Your role, your organisation or your present purpose of use does not allow it. This attempt was logged."
        ),
        "the role leader may not search Patient for the purpose HOPERAT",
        False,
        ["PUBHLTH"],
    )


PAGES: dict[str, tuple[Any, ...]] = {
    "/login": ("login.html", None, login),
    "/": (
        "home.html",
        "administrator",
        lambda visit: HomePage("下午好，陈立", "青浦区卫生健康委员会 · 2026年11月22日 · 星期日"),
    ),
    "/help": ("help.html", "leader", lambda visit: HelpPage(_FIGURES, _STATES, _ROLES), "Help"),
    "/password": ("password.html", "doctor", lambda visit: PasswordPage(True), "Change password"),
    "/sessions": ("sessions.html", "doctor", lambda visit: SessionsPage([], ""), "Sessions"),
    "/cockpit": ("cockpit.html", "leader", cockpit, "Cockpit"),
    "/cockpit/wall": ("wall.html", "leader", cockpit),
    "/error": ("error.html", "leader", error, "You may not open this"),
    "/offline": ("offline.html", None, lambda visit: None),
}
