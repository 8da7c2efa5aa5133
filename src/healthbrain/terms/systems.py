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

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"

# extension: division code (9-digit township) of an Address
EXT_DIVISION = "urn:healthbrain:ext:division"

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
