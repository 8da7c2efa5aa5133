"""The identifier and code systems the platform speaks, each by its one URI.

Sources: OIDs under 2.16.156.10011 as used in WS/T 500 shared documents (卫生信息 OID); international ones from HL7.
Systems that have no public URI are named under `urn:healthbrain:` (our own choice, stated as such in docs/spec-readings.md).
"""

from __future__ import annotations

# identifiers
ID_CARD = "urn:oid:2.16.156.10011.1.3"  # 公民身份号码, GB 11643, 18 digits
HEALTH_RECORD = "urn:oid:2.16.156.10011.1.2"  # 健康档案编号, 17 digits
HEALTH_CARD = "urn:oid:2.16.156.10011.1.19"  # 健康卡号
INSURANCE = "urn:healthbrain:id:insurance"  # 医保个人编号
ORGANISATION = "urn:oid:2.16.156.10011.1.5"  # 医疗机构代码
PRACTITIONER = "urn:oid:2.16.156.10011.1.4"  # 医护人员编号


def local(organisation_code: str, kind: str) -> str:
    """The system of a number that an institution gives itself: kind is mrn (病案号/就诊卡号), visit (就诊号),
    order (申请单号), report (报告单号), prescription (处方号)."""
    return f"urn:healthbrain:org:{organisation_code}:{kind}"


def is_local(system: str) -> bool:
    """Whether only one organisation gives such numbers: others may use the same for somebody else."""
    return not system or system.startswith("urn:healthbrain:org:")


# code systems
ICD10 = "urn:oid:2.16.156.10011.2.3.3.11"  # ICD-10 (GB/T 14396)
ICD9CM3 = "urn:oid:2.16.156.10011.2.3.3.12"  # procedures 手术操作
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
SEX = "urn:oid:2.16.156.10011.2.3.3.4"  # GB/T 2261.1
NATION = "urn:oid:2.16.156.10011.2.3.3.3"  # GB 3304 民族
MARITAL = "urn:oid:2.16.156.10011.2.3.3.5"  # GB/T 2261.2
DIVISION = "urn:healthbrain:cs:division"  # GB/T 2260 + township, 6 or 9 digits
FACILITY_CLASS = "urn:healthbrain:cs:ws218"  # WS 218 卫生机构分类代码
VACCINE = "urn:healthbrain:cs:vaccine"  # HepB, BCG, IPV ... of data/immunization schedule
DRUG = "urn:healthbrain:cs:drug"  # own small list with Chinese generic names
SERVICE = "urn:healthbrain:cs:service"  # what an encounter or an enrolment is for, see below
FINDING = "urn:healthbrain:cs:finding"  # own observation codes: followup-class, next-followup
DEPARTMENT = "urn:healthbrain:cs:department"  # 诊疗科目
QUALIFICATION = "urn:healthbrain:cs:qualification"  # 执业资格: physician, assistant-physician, nurse
DEVICE = "urn:healthbrain:cs:device"  # 医疗设备类别: ct, mri, ventilator ...
FEE = "urn:healthbrain:cs:fee-category"  # 医疗收费项目类别 (医疗保障基金结算清单)
TUMOUR_STAGE = "urn:healthbrain:cs:tumour-stage"  # TNM 分期: 0 I II III IV X

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"

# extension: division code (9-digit township) of an Address
EXT_DIVISION = "urn:healthbrain:ext:division"
# extension of Patient: division code (6 digits) of the household registration 户籍地
EXT_REGISTRATION = "urn:healthbrain:ext:registration"
# extension of EpisodeOfCare: how a family-doctor contract was made, online or onsite
EXT_CHANNEL = "urn:healthbrain:ext:channel"
# extensions of Organization: 医院等级 (text), 电子病历应用水平 (integer), 互联互通成熟度 (text), 卫生健康云 and 数字医院 (boolean)
EXT_HOSPITAL_LEVEL = "urn:healthbrain:ext:hospital-level"
EXT_EMR_LEVEL = "urn:healthbrain:ext:emr-level"
EXT_INTERCONNECTION = "urn:healthbrain:ext:interconnection"
EXT_CLOUD = "urn:healthbrain:ext:cloud"
EXT_DIGITAL_HOSPITAL = "urn:healthbrain:ext:digital-hospital"
# extension of Location: 编制床位数 of a ward (integer)
EXT_BEDS = "urn:healthbrain:ext:beds"

# codes of SERVICE (Encounter.type, EpisodeOfCare.type)
OUTPATIENT = "outpatient"  # 门诊
EMERGENCY = "emergency"  # 急诊
INPATIENT = "inpatient"  # 住院
HTN_FOLLOWUP = "htn-followup"  # 高血压随访
DM_FOLLOWUP = "dm-followup"  # 糖尿病随访
ANNUAL_EXAM = "annual-exam"  # 年度健康体检
VACCINATION = "vaccination"  # 预防接种
HTN_MANAGEMENT = "htn-management"  # EpisodeOfCare: 高血压患者健康管理
DM_MANAGEMENT = "dm-management"  # EpisodeOfCare: 2型糖尿病患者健康管理
FAMILY_DOCTOR = "family-doctor"  # EpisodeOfCare: 家庭医生签约, careManager = the doctor
INTERNET_OUTPATIENT = "internet-outpatient"  # 互联网诊疗
SMI_MANAGEMENT = "smi-management"  # EpisodeOfCare: 严重精神障碍患者管理
SMI_FOLLOWUP = "smi-followup"
TB_MANAGEMENT = "tb-management"  # EpisodeOfCare: 肺结核患者健康管理
TB_FOLLOWUP = "tb-followup"
MATERNAL_MANAGEMENT = "maternal-management"  # EpisodeOfCare: 孕产妇健康管理, period.start = 建册
ANTENATAL = "antenatal"  # 产前随访
DELIVERY = "delivery"  # 住院分娩
POSTPARTUM_VISIT = "postpartum-visit"  # 产后访视
NEWBORN_VISIT = "newborn-visit"  # 新生儿家庭访视
CHILD_CHECKUP = "child-checkup"  # 儿童健康检查
VACCINATION_CARD = "vaccination-card"  # EpisodeOfCare: 建立预防接种证
TCM_ELDERLY = "tcm-elderly"  # 老年人中医药健康管理
TCM_CHILD = "tcm-child"  # 儿童中医药健康管理
WOMEN_SCREENING = "women-screening"  # 妇科病、乳腺病筛查
COLORECTAL_SCREENING = "colorectal-screening"  # 大肠癌筛查
PSYCHOLOGICAL_SERVICE = "psychological-service"  # 社区心理健康服务
DOWN_SCREENING = "down-screening"  # 唐氏综合征产前筛查
SPECIAL_FAMILY = "special-family"  # EpisodeOfCare: 计划生育特殊家庭登记
SPECIAL_FAMILY_CHECKUP = "special-family-checkup"  # 计划生育特殊家庭体检
CHRONIC_FINE = "chronic-fine"  # EpisodeOfCare: 慢性病精细化管理
CONTRACEPTIVES = "contraceptives"  # 免费避孕药具发放
BLOOD_DONATION = "blood-donation"  # Procedure: 无偿献血
REFERRAL_UP = "referral-up"  # ServiceRequest: 上转
REFERRAL_DOWN = "referral-down"  # ServiceRequest: 下转
