"""A real browser, without a window. Where Chromium is not installed its tests say that they were skipped."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.integration.stage import Stage
from worker.emulator import Emulator, PortalSpec

DESKTOP, PHONE = (1200, 900), (390, 844)
PATIENCE = 60.0


@dataclass
class Browser:
    """What a person does with a browser."""

    chrome: Chrome

    def open(self, address: str) -> None:
        self.chrome.get(address)

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """The person likes pages "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def scripts(self, *, on: bool) -> None:
        self.chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not on})

    def find(self, selector: str) -> WebElement:
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def headline(self) -> str:
        return self.find("h1").text

    def click(self, text: str) -> None:
        """Click the button or link that says this."""
        for it in self.chrome.find_elements(By.CSS_SELECTOR, "button, a"):
            if it.text == text:
                it.click()
                return
        raise AssertionError(f"there is no {text!r} on the page: {self.find('body').text}")

    def wait(self, reached: Callable[[], object]) -> None:
        """Until the page shows it; elements may be exchanged under our hands meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if reached():
                    return
            except Exception:  # noqa: BLE001, S110 - a page that is being exchanged has no such element yet
                pass
            time.sleep(0.1)
        raise AssertionError(f"it did not come: {self.find('body').text}")

    def overflows(self) -> bool:
        """Whether the page is wider than the screen."""
        wide: bool = self.chrome.execute_script(
            "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide

    def complaints(self) -> list[str]:
        """What the browser wrote to its console: blocked by the policy, missing, broken."""
        return [entry["message"] for entry in self.chrome.get_log("browser")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("Chromium and its driver are not installed (Debian: chromium, chromium-driver)")
    options = ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    chrome = Chrome(options=options, service=Service(driver))
    chrome.set_page_load_timeout(PATIENCE)
    yield Browser(chrome)
    chrome.quit()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A portal, and the settings of a daemon that looks every second."""
    with Emulator() as emulator:
        spec = PortalSpec(users=5, tasks=60, events=10, groups=1, limits=False)
        stage = Stage(emulator, emulator.add_portal(spec), tmp_path)
        stage.environ |= {"B24SYNC_SYNC_INTERVAL": "1", "B24SYNC_CONCURRENCY": "2"}
        yield stage
        stage.close()
