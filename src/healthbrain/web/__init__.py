"""The screens: server-rendered pages for every role, in Chinese and English (SVC-02, SVC-11, HUB-DS-01).

Public: `create_web(platform)`, the routes to mount after those of the API; `show_on_sign_in`, for the demo's accounts.
"""

from healthbrain.web.app import create_web
from healthbrain.web.pages.signin import show_on_sign_in

__all__ = ["create_web", "show_on_sign_in"]
