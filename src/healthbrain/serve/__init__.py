"""The running platform: a supervisor and its processes (web, HL7 v2 door, background worker)."""
