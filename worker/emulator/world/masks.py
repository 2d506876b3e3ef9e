"""Names of events whose content is not shown."""

_MASKS = {
    "en": {"busy": "[Busy]", "quest": "[Tentative]", "free": "[Free]", "absent": "[Absent]"},
    "ru": {"busy": "[Занят]", "quest": "[Под вопросом]", "free": "[Свободен]", "absent": "[Отсутствует]"},
    "de": {"busy": "[Beschäftigt]", "quest": "[Mit Vorbehalt]", "free": "[Frei]", "absent": "[Abwesend]"},
}


def mask(language: str, accessibility: str) -> str:
    """What stands for the name of an event whose content is not shown."""
    return _MASKS.get(language, _MASKS["en"]).get(accessibility, "[Busy]")
