"""What residents are called: surnames by national share, given names by sex and era, and the names that break forms.

Shares of the common surnames follow the public yearly counts of the Ministry of Public Security (rounded); families
rooted in Qingpu carry the surnames of the water towns more often. Given names are put together from the characters
each generation liked. Minority names have middle dots, a few names hold characters outside the basic plane (four
bytes in GB18030), foreigners have Latin or Japanese names: the cases that identity must cope with.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from healthbrain.twin.chance import Weighted, pick

_SHARES = (
    "王710 李700 张670 刘520 陈480 杨310 黄240 赵210 吴205 周200 徐145 孙150 马130 朱126 胡125 郭115 何110 林108 高104 罗98 "
    "郑94 梁84 谢75 宋73 唐72 许70 韩66 邓65 冯64 曹61 彭60 曾58 肖58 田55 董55 潘51 袁50 蔡50 蒋50 余46 于45 杜45 叶42 程42 "
    "魏42 苏42 吕41 丁40 任40 卢40 姚37 沈36 钟36 姜35 崔35 谭35 陆34 范33 汪33 廖33 石32 金32 韦31 贾31 夏30 付30 方30 邹28 "
    "熊27 白27 孟26 秦26 邱26 侯25 江25 尹25 薛24 闫24 段22 雷22 龙21 黎21 史21 陶20 贺20 毛20 郝20 顾20 龚20 邵20 万19 覃19 "
    "武18 钱18 戴17 严17 莫17 孔17 向16 常16 汤16 康15 赖15 温14 施14 文14 洪13 樊13 季12 俞11 章11 鲁10 葛10 倪10 殷10 柳9 "
    "童9 庄9 骆8 凌8 霍8 盛7 祝7 柯7 管7 尤6 翁6 诸4 欧阳11 上官2 诸葛1 司徒1 仇4 单6 解5 区3 查4 盖2 翟7 臧3 冼2 覃4"
)
_LOCAL = "沈18 陆18 朱14 徐13 顾13 张10 吴9 王9 钱8 陈7 蒋7 曹7 金6 俞6 周6 盛5 诸3 戴4 计2 潘4 杨4 李4 庄3 凌3 施3 陶3 姚4 黄3"

_GIVEN = {
    # (era, sex): single characters with which given names are made; the earlier, the likelier
    ("old", "M"): "国建明德福根林祥生荣金华宝龙海兴志文永才富贵忠良仁义顺长水泉福寿康昌春松柏树云锦安邦汉雄宏",
    ("old", "F"): "英秀兰珍芳凤桂玉梅莲菊香花云霞月娥琴翠素美珠妹巧银彩仙宝惠淑贞爱娣根金妙雪春秋芬红",
    ("mid", "M"): "伟强军勇峰建国斌刚辉平波涛明磊鹏飞杰华海东亮超志林文武俊民健兵浩春宁毅晓龙洪新成永光",
    ("mid", "F"): "芳敏丽静艳娟霞燕红梅玲英华萍洁莉琴莹雪晶蓉慧倩琳娜婷春丹凤蕾颖云文晓秀兰青月佳",
    ("new", "M"): "浩宇轩子涵博文睿泽辰俊杰梓铭奕航晨昊天逸翔嘉一诺瑞霖恒骏哲思远凯煜皓承景行知乐安",
    ("new", "F"): "梓涵欣怡雨萱诗琪思妍语桐佳艺子墨可馨一诺悦彤晨曦若溪雅静婉清芷柔沐瑶安然依依宁夏初",
}
_RARE = "喆堃旻翀赟犇淼鑫燚婳嫣甯玥珺瑄珅栞昇䶮㛃𬱖𬍛"

_UYGHUR_M = (
    "买买提",
    "阿卜杜拉",
    "艾尼瓦尔",
    "吐尔逊",
    "玉素甫",
    "艾合买提",
    "阿迪力",
    "库尔班",
    "亚力坤",
    "努尔麦麦提",
)
_UYGHUR_F = ("阿依古丽", "帕提古丽", "热依拉", "古丽娜尔", "迪丽努尔", "阿孜古丽", "米热古丽", "麦尔哈巴", "祖丽胡玛尔")
_TIBETAN = ("扎西", "多吉", "次仁", "卓玛", "央金", "格桑", "旺堆", "平措", "德吉", "拉姆", "达瓦", "尼玛")
_MONGOL = ("巴特尔", "其其格", "乌云", "苏日娜", "哈斯", "朝鲁", "那顺", "额尔敦", "萨仁", "娜仁图雅")
_FOREIGN = (
    ("SMITH", "JOHN"), ("GARCIA", "MARIA"), ("MUELLER", "THOMAS"), ("KIM", "MINSU"), ("PARK", "JIYOUNG"),
    ("山田", "太郎"), ("佐藤", "美咲"), ("NGUYEN", "THI HOA"), ("DUBOIS", "CLAIRE"), ("ROSSI", "MARCO"),
    ("IVANOVA", "ELENA"), ("KUMAR", "RAJESH"),
)  # fmt: skip

NATIONS = Weighted(  # among residents from elsewhere; natives are nearly all Han
    [("01", 96.2), ("03", 0.55), ("11", 0.4), ("05", 0.12), ("04", 0.05), ("02", 0.2), ("06", 0.55), ("08", 0.5),
     ("15", 0.45), ("07", 0.3), ("09", 0.15), ("12", 0.2), ("10", 0.12)]
)  # fmt: skip


def _weighted(text: str) -> Weighted[str]:
    pairs = []
    for item in text.split():
        surname = item.rstrip("0123456789")
        pairs.append((surname, float(item[len(surname) :])))
    return Weighted(pairs)


_SURNAMES = _weighted(_SHARES)
_LOCAL_SURNAMES = _weighted(_LOCAL)
_CHARACTERS = {
    key: Weighted([(char, 1.0 / (8 + place)) for place, char in enumerate(chars)]) for key, chars in _GIVEN.items()
}
_SINGLE = {"old": 0.14, "mid": 0.36, "new": 0.12}  # share of one-character given names


@dataclass(frozen=True, slots=True)
class Name:
    """A name in its parts; `text` is how it is written in full."""

    family: str
    given: str
    text: str


def surname(rng: Random, *, native: bool) -> str:
    """A family's surname."""
    local = native and rng.random() < 0.45
    return (_LOCAL_SURNAMES if local else _SURNAMES).pick(rng)


def given(rng: Random, sex: str, year: int) -> str:
    """A given name as parents chose in `year`."""
    era = "old" if year < 1965 else "mid" if year < 1998 else "new"
    characters = _CHARACTERS[(era, sex)]
    first = characters.pick(rng)
    if rng.random() < 0.045:
        first = pick(rng, _RARE)
    if rng.random() < _SINGLE[era]:
        return first
    return first + characters.pick(rng)


def name(rng: Random, family: str, sex: str, year: int, nation: str) -> Name:
    """The name of one person of a family."""
    if nation == "05":
        own = pick(rng, _UYGHUR_M if sex == "M" else _UYGHUR_F)
        father = pick(rng, _UYGHUR_M)
        return Name(father, own, f"{own}·{father}")
    if nation == "04":
        first, second = pick(rng, _TIBETAN), pick(rng, _TIBETAN)
        return Name("", first + second, first + second)
    if nation == "02" and rng.random() < 0.6:
        own = pick(rng, _MONGOL)
        return Name("", own, own)
    chosen = given(rng, sex, year)
    return Name(family, chosen, family + chosen)


def foreigner(rng: Random) -> Name:
    """The name of a resident with a foreign passport."""
    family, own = pick(rng, _FOREIGN)
    return Name(family, own, f"{own} {family}" if family.isascii() else family + own)
