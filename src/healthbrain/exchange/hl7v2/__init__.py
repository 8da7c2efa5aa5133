"""HL7 v2: parse, translate, acknowledge, and listen for it over MLLP."""

from healthbrain.exchange.hl7v2.message import Message, Segment, Value, parse
from healthbrain.exchange.hl7v2.tables import Tables, tables
from healthbrain.exchange.hl7v2.translate import Made, Translation, translate

__all__ = ["Made", "Message", "Segment", "Tables", "Translation", "Value", "parse", "tables", "translate"]
