"""The page of the settings is what the types say."""

from pathlib import Path

from streams import settings_page


def test_the_page_is_up_to_date() -> None:
    committed = (Path(__file__).parents[3] / "docs" / "settings.md").read_text(encoding="utf-8")
    assert committed == settings_page.page(), "run: python -m streams.settings_page > docs/settings.md"
