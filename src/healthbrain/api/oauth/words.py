"""What an application asks for, in words a resident understands; Chinese and English."""

from __future__ import annotations

from typing import Literal

from healthbrain.access.smart.grammar import Access, read_scope

Tag = Literal["zh-CN", "en"]

_TYPES: dict[str, tuple[str, str]] = {
    "*": ("健康档案全部内容", "the whole health record"),
    "AllergyIntolerance": ("过敏史", "allergies"),
    "Appointment": ("预约", "appointments"),
    "AuditEvent": ("访问记录", "who looked at the record"),
    "CarePlan": ("诊疗与照护计划", "care plans"),
    "CareTeam": ("照护团队", "care teams"),
    "Condition": ("诊断与健康问题", "diagnoses and problems"),
    "Consent": ("授权同意书", "consents"),
    "Coverage": ("医保信息", "insurance"),
    "Device": ("器械与设备", "devices"),
    "DiagnosticReport": ("检查检验报告", "reports"),
    "DocumentReference": ("病历文书", "documents"),
    "Encounter": ("就诊记录", "visits"),
    "EpisodeOfCare": ("签约与慢病管理", "family-doctor contracts and disease management"),
    "FamilyMemberHistory": ("家族史", "family history"),
    "Goal": ("健康目标", "goals"),
    "Group": ("人群名单", "groups of people"),
    "ImagingStudy": ("影像检查", "imaging"),
    "Immunization": ("预防接种", "vaccinations"),
    "Location": ("就诊地点", "places"),
    "Medication": ("药品", "drugs"),
    "MedicationDispense": ("发药记录", "dispensed medicines"),
    "MedicationRequest": ("处方", "prescriptions"),
    "MedicationStatement": ("用药情况", "medicines taken"),
    "Observation": ("检验结果、体征与测量值", "results, vital signs and measurements"),
    "Organization": ("机构信息", "institutions"),
    "Patient": ("姓名、性别、出生日期等基本信息", "name, sex, birth date and contact data"),
    "Practitioner": ("医务人员", "doctors and nurses"),
    "Procedure": ("手术与操作", "procedures"),
    "Provenance": ("数据来源", "where data come from"),
    "QuestionnaireResponse": ("问卷与评估", "questionnaires"),
    "RelatedPerson": ("联系人与家属", "relatives and contacts"),
    "ServiceRequest": ("申请单与转诊", "orders and referrals"),
    "Specimen": ("标本", "specimens"),
}
_DOING = {"c": ("新增", "add"), "u": ("修改", "change"), "d": ("删除", "delete")}
_PLAIN: dict[str, tuple[str, str]] = {
    "openid": ("确认您的身份", "know who you are"),
    "fhirUser": ("确认您的身份", "know who you are"),
    "profile": ("查看您的姓名", "see your name"),
    "launch": ("获知您正在查看的居民", "know which resident you are looking at"),
    "launch/patient": ("由您选定一位居民", "work with one resident whom you choose"),
    "launch/encounter": ("获知您正在查看的就诊", "know which visit you are looking at"),
    "online_access": ("在您保持登录期间持续使用", "go on while you are signed in"),
    "offline_access": ("在您退出后继续使用，最长 90 天，可随时撤回", "go on after you have signed out, for up to 90 days; you can take it back"),
}  # fmt: skip


def in_words(scope: str, tag: Tag) -> str:
    """One scope as a phrase."""
    which = 0 if tag == "zh-CN" else 1
    access = read_scope(scope)
    if access is None:
        return _PLAIN[scope][which] if scope in _PLAIN else scope
    what = _TYPES.get(access.type, (access.type, access.type))[which]
    doing = _verbs(access, which)
    if which == 0:
        whose = "所选居民的" if access.level == "patient" else "您有权查看的"
        limit = f"（仅限 {_limit(access)}）" if access.where else ""
        return f"{doing}{whose}{what}{limit}"
    whose = "of the chosen resident" if access.level == "patient" else "as far as you may see them yourself"
    limit = f" (only {_limit(access)})" if access.where else ""
    return f"{doing}: {what} {whose}{limit}"


def _verbs(access: Access, which: int) -> str:
    verbs = [("查看", "See")[which]] if {"r", "s"} & set(access.may) else []
    verbs += [_DOING[letter][which] for letter in access.may if letter in _DOING]
    return "、".join(verbs) if which == 0 else ", ".join(verbs).capitalize()


def _limit(access: Access) -> str:
    return "; ".join(f"{name} = {value.rpartition('|')[2] or value}" for name, value in access.where)


# the texts of the pages
TEXTS: dict[str, tuple[str, str]] = {
    "title": ("应用授权", "Let an application in"),
    "asks": ("请求以您的身份使用健康平台数据", "asks to use the health platform in your name"),
    "signed_in": ("当前登录", "Signed in as"),
    "owner": ("应用归属机构", "Owned by"),
    "goes_to": ("授权后将返回", "You will be sent back to"),
    "may": ("允许后，该应用可以：", "If you allow it, the application can:"),
    "besides": ("并且：", "And it will:"),
    "never_more": ("应用所能做的不会超过您本人的权限，每次访问都会留下记录。", "It can never do more than you may yourself, and every access is logged."),
    "choose": ("选择居民", "Choose a resident"),
    "find": ("姓名或证件号码", "Name or identifier"),
    "search": ("查找", "Find"),
    "nobody": ("没有找到您有权查看的居民。", "Nobody was found whom you may see."),
    "first": ("请先查找并选择一位居民。", "Find and choose a resident first."),
    "fixed": ("居民", "Resident"),
    "allow": ("同意授权", "Allow"),
    "deny": ("拒绝", "Refuse"),
    "refused": ("无法继续", "This cannot go on"),
    "refused_text": ("收到的请求不符合要求或无法核实。为保护您的数据，平台没有继续，也没有返回该应用。请重试；若仍不行，请联系应用提供方或管理员。", "What was sent is not right or cannot be verified. To protect your data nothing was done and you are not sent back. Try again; if it happens again, tell the provider of the application or an administrator."),
    "home": ("返回首页", "To the start page"),
    "leaving": ("退出登录？", "Sign out?"),
    "leaving_asked": ("请求退出您在本平台的登录。", "asks to sign you out here."),
    "leaving_text": ("退出后，依赖本次登录的应用也会停止访问。", "Applications that depend on this sign-in stop as well."),
    "leave": ("退出登录", "Sign out"),
    "stay": ("保持登录", "Stay signed in"),
    "remember": ("90 天内不再询问（可随时在“我的授权”中撤回）", "Do not ask again for 90 days (take it back at any time under “My applications”)"),
    "born": ("出生", "born"),
}  # fmt: skip


def texts(tag: Tag) -> dict[str, str]:
    """The texts of the pages in one language."""
    return {name: pair[0 if tag == "zh-CN" else 1] for name, pair in TEXTS.items()}
