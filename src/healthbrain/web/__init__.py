"""The screens: server-rendered pages for every role, in Chinese and English (SVC-02, SVC-11, HUB-DS-01).

Public: `create_web(platform)`, the routes to mount after those of the API.
"""

from healthbrain.web.app import create_web

__all__ = ["create_web"]
