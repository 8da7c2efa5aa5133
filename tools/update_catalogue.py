"""Keep the Chinese catalogue of the screens in step with templates and code.

    python tools/update_catalogue.py            # adds new texts (untranslated), drops unused ones, says what is open
    python tools/update_catalogue.py --check    # changes nothing; 1 when a text has no translation or is unused

English texts are the keys: `_('…')` in templates, `N_("…")` in code.
"""

from __future__ import annotations

import argparse
import re
import sys
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

WEB = Path(__file__).parents[1] / "src" / "healthbrain" / "web"
CATALOGUE = WEB / "locale" / "zh_CN.po"
_METHODS = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]
_OPTIONS = {"templates/**.html": {"trimmed": "true"}}
_KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
_PLACE = re.compile(r"%\((\w+)\)s|\{(\w+)\}")


def texts() -> dict[str, str]:
    """Every text of templates and code, with the place of its first use."""
    found: dict[str, str] = {}
    for file, line, message, _, _ in extract_from_dir(
        str(WEB), method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS
    ):
        for text in message if isinstance(message, tuple) else (message,):
            found.setdefault(text, f"{file}:{line}")
    return found


def translations() -> dict[str, str]:
    """The Chinese of every text in the catalogue."""
    if not CATALOGUE.exists():
        return {}
    catalogue = read_po(BytesIO(CATALOGUE.read_bytes()), locale="zh_CN")
    return {str(message.id): str(message.string or "") for message in catalogue if message.id}


def faults(used: dict[str, str], known: dict[str, str]) -> list[str]:
    """What is wrong with the catalogue, one line each."""
    wrong = [f"{place}: no Chinese for {text!r}" for text, place in used.items() if not known.get(text)]
    wrong += [f"no longer used: {text!r}" for text in known if text not in used]
    for text, chinese in known.items():
        if chinese and sorted(_PLACE.findall(text)) != sorted(_PLACE.findall(chinese)):
            wrong.append(f"placeholders differ: {text!r}")
    return wrong


def write(used: dict[str, str], known: dict[str, str]) -> None:
    """Write the catalogue, sorted by text so that changes are easy to read."""
    catalogue = Catalog(locale="zh_CN", project="HealthBrain", charset="utf-8", fuzzy=False)
    for text in sorted(used):
        catalogue.add(text, known.get(text, ""), locations=[(used[text].rpartition(":")[0], 0)])
    buffer = BytesIO()
    write_po(buffer, catalogue, width=0, sort_output=True, omit_header=False, include_lineno=False)
    stable = re.sub(
        rb'"(POT-Creation-Date|PO-Revision-Date|Generated-By|Last-Translator|Report-Msgid-Bugs-To|Language-Team): .*\\n"\n',
        b"",
        buffer.getvalue(),
    )
    stable = re.sub(rb"\A(#.*\n)+", b"# Chinese texts of the screens.\n", stable)
    CATALOGUE.parent.mkdir(exist_ok=True)
    CATALOGUE.write_bytes(stable)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    used, known = texts(), translations()
    if not parser.parse_args().check:
        write(used, known)
        known = translations()
    wrong = faults(used, known)
    print("\n".join(wrong) or f"{len(used)} texts, all in Chinese")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
