"""Codes and their meaning: the systems we speak (`systems`) and the tables we ship (`tables`)."""
