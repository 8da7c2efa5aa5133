"""HealthBrain: the platform on which a district or a city runs its digital health (数字健康大脑)."""

__version__ = "0.1.0"
