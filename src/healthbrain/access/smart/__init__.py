"""SMART App Launch v2 and OpenID Connect: applications, what they are granted, the secrets they hold. No HTTP here."""
